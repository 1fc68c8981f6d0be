"""Clips that need no engine to be done with."""

from pathlib import Path

import pytest


@pytest.fixture
def text_clip(tmp_path: Path) -> Path:
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    return path
