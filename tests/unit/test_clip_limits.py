"""What a worker takes of a clip, as the environment, the file and an embedded run set it."""

from pathlib import Path

import pytest

from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.settings import ClipLimits, read_settings
from clipfleet_producer.embedded.stack import Stack


def test_each_limit_has_a_variable_and_the_others_keep_their_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLIPFLEET_CLIP_LIMITS__MAX_DECODE_S", "7.5")

    assert read_settings().clip_limits == ClipLimits(max_decode_s=7.5)


def test_a_variable_goes_before_the_table_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clipfleet.toml"
    file.write_text("[clip_limits]\nmax_frames = 10\nmax_streams = 2\n")
    monkeypatch.setenv("CLIPFLEET_CONFIG", str(file))
    monkeypatch.setenv("CLIPFLEET_CLIP_LIMITS__MAX_FRAMES", "20")

    assert read_settings().clip_limits == ClipLimits(max_frames=20, max_streams=2)


@pytest.mark.parametrize(("name", "value"), [("MAX_DECODE_S", "0"), ("MAX_CLIP_S", "60")])
def test_one_that_cannot_be_is_refused_by_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"CLIPFLEET_CLIP_LIMITS__{name}"
    monkeypatch.setenv(variable, value)

    with pytest.raises(UsageError, match=rf"setting clip_limits\.{name.lower()} \({variable}\)"):
        read_settings()


def test_the_workers_of_an_embedded_run_have_the_limits_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_CLIP_LIMITS__MAX_STREAMS", "3")
    wanted = ClipLimits(max_bytes=1000, max_streams=2, min_decodable_share=0.25)
    settings = read_settings(store=str(tmp_path), clip_limits=wanted, max_retries=5)

    worker = Stack(settings, Options(), log_dir=tmp_path)._worker(tmp_path, ("prepare",), 1)
    for name, value in worker._env.items():
        monkeypatch.setenv(name, value)

    assert read_settings().clip_limits == wanted
    assert read_settings().max_retries == 5
