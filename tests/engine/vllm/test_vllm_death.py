"""The end of the engine that all tests share."""

import psutil
import pytest

from clipfleet.errors import EngineDead
from clipfleet_workers.inference.vllm_engine.engine import VllmEngine
from tests.engine.vllm.test_contract import ask, video
from tests.support.cli import command_line


def test_an_engine_that_dies_says_so_to_everyone_who_waits(vllm_mini: VllmEngine) -> None:
    ours = psutil.Process().children(recursive=True)
    cores = [p for p in ours if "EngineCore" in command_line(p)]
    assert cores, "the engine runs in a process of its own"
    for core in cores:
        core.kill()
    with pytest.raises(EngineDead, match="mini died"):
        ask(vllm_mini, "l", video=video(0))
