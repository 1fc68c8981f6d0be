"""How far a run is, counted from what workers say; and the same for people to watch."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from clipfleet.broker.client import Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.printable import printable
from clipfleet.queues import PREPARE, SPECS, WINDOW_QUEUES


@dataclass
class Tally:
    """Counts of one run. Each window's step counts once, however often it is reported."""

    clips: int
    already_done: int = 0
    finished: int = 0
    failed: int = 0
    windows: int = 0
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WINDOW_QUEUES, 0))
    clock: Clock = SYSTEM
    _seen: dict[str, set[tuple[str, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    @property
    def todo(self) -> int:
        """Clips that were not done when the run began."""
        return self.clips - self.already_done

    @property
    def progress(self) -> int:
        """Grows with every step and every clip that is done."""
        return self.finished + self.windows + sum(self.steps.values())

    def note(self, event: Event) -> None:
        """Count a step, once."""
        seen = self._seen.setdefault(event.clip_uuid, set())
        mark = (event.step, event.start_frame)
        if mark in seen or event.status == "waiting":
            return
        seen.add(mark)
        if event.step == PREPARE:
            self.windows += event.windows
        elif event.step in self.steps:
            self.steps[event.step] += 1

    def finish(self, clip_uuid: str, *, valid: bool) -> None:
        """Count a clip that is done."""
        self._seen.pop(clip_uuid, None)
        self.finished += 1
        self.failed += not valid

    def clips_per_s(self) -> float:
        """Clips finished a second, since the run began."""
        return self.finished / max(self.clock.monotonic() - self._started_at, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds to the end at the rate so far; None before the first clip is done."""
        rate = self.clips_per_s()
        return (self.todo - self.finished) / rate if self.finished else None


class View:
    """Shows a tally: live on a terminal, as a line every few seconds elsewhere."""

    def __init__(
        self, console: Console, tally: Tally, *, steps: Sequence[str], quiet_s: float = 5.0
    ) -> None:
        """`steps` are the queues that the run's windows go through."""
        self._console, self._tally, self._quiet_s = console, tally, quiet_s
        self._bars = Progress(
            TextColumn("  {task.description:<9}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._clips = self._bars.add_task("clips", total=tally.todo, note="")
        self._steps = {
            step: self._bars.add_task(SPECS[step].products, total=None, note="") for step in steps
        }
        self._elapsed = Progress(
            TextColumn("  {task.description}"), TimeElapsedColumn(), console=console
        )
        self._status = self._elapsed.add_task("starting")
        self._live = Live(self._render(), console=console, refresh_per_second=4, transient=True)
        self._last_line = 0.0
        self._last_said = ("", "")

    def __enter__(self) -> "View":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, line: str, *, style: str = "yellow") -> None:
        """Print a line above the progress."""
        self._console.print(Text(printable(line), style=style), soft_wrap=True)

    def update(self, status: str) -> None:
        """Show how things stand; `status` is what is going on besides."""
        tally = self._tally
        left = tally.seconds_left()
        note = f"{tally.clips_per_s():.2f}/s" if tally.finished else ""
        if left is not None and tally.finished < tally.todo:
            note += f", {duration(left)} left"
        if tally.failed:
            note += f", [red]{tally.failed} failed[/]"
        self._bars.update(self._clips, completed=tally.finished, note=note)
        for step, task in self._steps.items():
            self._bars.update(task, completed=tally.steps[step], total=tally.windows or None)
        self._elapsed.update(self._status, description=status)
        if not self._console.is_terminal:
            self._print_line(status, note)

    def _print_line(self, status: str, note: str) -> None:
        tally = self._tally
        counts = ", ".join(f"{tally.steps[s]} {SPECS[s].products}" for s in self._steps)
        text = f"{tally.finished}/{tally.todo} clips, {tally.windows} windows, {counts}"
        now = tally.clock.monotonic()
        if now - self._last_line >= self._quiet_s and (text, status) != self._last_said:
            self._console.print(f"  {text}; {note or status}", highlight=False, soft_wrap=True)
            self._last_line, self._last_said = now, (text, status)

    def _render(self) -> RenderableType:
        return Group(self._bars, self._elapsed)


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
