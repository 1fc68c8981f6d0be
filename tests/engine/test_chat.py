"""Chat forms of models that bring code of their own."""

import builtins
from pathlib import Path

import pytest

from clipfleet.models import find
from clipfleet_workers.inference.engine import Prompt


def test_nobody_is_asked_at_a_terminal_whether_a_models_own_code_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clipfleet_workers.inference.chat import Chat
    from tests.support.shapes import write_shape

    def ask(question: str = "") -> str:
        pytest.fail(f"a worker asked: {question}")

    monkeypatch.setattr(builtins, "input", ask)
    write_shape(tmp_path, "nemotron", tiny=True)
    chat = Chat(find("nemotron"), tmp_path)
    assert "Describe it." in chat.render(Prompt(request_id="a", user="Describe it."))
