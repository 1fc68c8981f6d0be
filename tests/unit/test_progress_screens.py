"""What is shown of a run from start to end: at 80 and 50 columns, and piped."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from clipfleet.broker.client import Event
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunCounts
from clipfleet_producer.cli.progress import ProgressView
from tests.support.clock import ManualClock

LOADING = "waiting for the caption worker, which loads its model"
CLIPS = [f"{number:08x}-9dad-51d1-80b4-00c04fd430c8" for number in range(4)]


class Watched:
    """A view of a run of four clips, of which one cannot be read, and what it shows."""

    def __init__(self, *, columns: int, terminal: bool) -> None:
        self._file = io.StringIO()
        self._console = Console(file=self._file, width=columns, force_terminal=terminal)
        self.clock = ManualClock()
        self._view = ProgressView(self._console, len(CLIPS), Options(), quiet_s=0.0)
        self._view.tally.clock = self.clock

    def show(self, status: str) -> str:
        """The screen, or the line, with this status."""
        before = len(self._file.getvalue())
        self._view.on_status(status)
        if self._console.is_terminal:
            with self._console.capture() as captured:
                self._console.print(self._view._render())
            return captured.get()
        return self._file.getvalue()[before:]

    def event(self, step: str, clip: str, *, windows: int = 0, start: int = 0) -> None:
        event = Event(step=step, clip_uuid=clip, status="ok", windows=windows, start_frame=start)
        self._view.on_event(event)

    def done(self, clip: str, *, windows: int) -> None:
        line = ManifestLine(clip_uuid=clip, source="s3://b/a.mp4")
        counts = RunCounts(
            clips=1, done=1, failed=int(not windows), windows=windows, windowless=int(not windows)
        )
        self._view.on_clip_done(line, None, counts, previously_done=False)


def screens(watched: Watched) -> list[str]:
    """Starting, loading, no window yet, one clip done, all done."""
    shown = [watched.show("starting"), watched.show(LOADING)]
    watched.done(CLIPS[0], windows=0)
    watched.clock.sleep(100)
    shown.append(watched.show("working"))
    watched.event("prepare", CLIPS[1], windows=2)
    for start in (0, 256):
        watched.event("preview", CLIPS[1], start=start)
        watched.event("caption", CLIPS[1], start=start)
    watched.done(CLIPS[1], windows=2)
    watched.clock.sleep(10)
    shown.append(watched.show("working"))
    for clip in CLIPS[2:]:
        watched.done(clip, windows=2)
    shown.append(watched.show("working"))
    return shown


@pytest.mark.parametrize("columns", [50, 80])
def test_each_screen_fits_and_says_how_long_it_takes_or_that_it_is_not_known(columns: int) -> None:
    found = screens(Watched(columns=columns, terminal=True))

    starting, loading, unknown, going, ended = found
    assert "left" not in starting + loading + ended
    assert "loads its model" in " ".join(plain(loading).split())
    assert "time left not known yet, " in unknown
    assert "0.20 windows/s, about 20 s left" in going
    assert "4/4" in ended
    assert max(len(plain(line)) for screen in found for line in screen.splitlines()) <= columns


def plain(line: str) -> str:
    """A line without its colours."""
    return Text.from_ansi(line).plain


def test_piped_it_is_a_line_each_time() -> None:
    assert "".join(screens(Watched(columns=80, terminal=False))).splitlines() == [
        "  0/4 clips, 0 windows, 0 captions, 0 previews; starting",
        f"  0/4 clips, 0 windows, 0 captions, 0 previews; {LOADING}",
        "  1/4 clips, 0 windows, 0 captions, 0 previews; time left not known yet, 1 failed",
        "  2/4 clips, 2 windows, 2 captions, 2 previews; 0.20 windows/s, about 20 s left, 1 failed",
        "  4/4 clips, 2 windows, 2 captions, 2 previews; 1 failed",
    ]
