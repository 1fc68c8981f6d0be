"""The progress of a run on a terminal, or as lines where there is none."""

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
from rich.table import Column
from rich.text import Text

from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.queues import SPECS, window_queues
from clipfleet_producer.cli.terminal import duration
from clipfleet_producer.feeding.following import WORKING
from clipfleet_producer.feeding.progress import ProgressObserver, Tally


class ProgressView(ProgressObserver):
    """Shows progress: live on a terminal, as a line every few seconds elsewhere."""

    def __init__(
        self, console: Console, clips: int, options: Options, *, quiet_s: float = 5.0
    ) -> None:
        super().__init__(clips, window_queues(options))
        self._console, self._quiet_s = console, quiet_s
        self._bars = Progress(
            TextColumn("  {task.description:<9}"),
            BarColumn(bar_width=min(32, max(8, console.width - 40))),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            console=console,
        )
        self._clips = self._bars.add_task("clips", total=self.tally.todo)
        self._steps = {
            step: self._bars.add_task(SPECS[step].products, total=None)
            for step in window_queues(options)
        }
        self._elapsed = Progress(_wrapped(), TimeElapsedColumn(), console=console)
        self._status = self._elapsed.add_task("starting")
        self._notes = Progress(_wrapped(), console=console)
        self._note = self._notes.add_task("")
        self._live = Live(self._render(), console=console, refresh_per_second=4, transient=True)
        self._last_line = 0.0
        self._last_said = ("", "")

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print a line above the progress."""
        self._console.print(Text(printable(line), style="yellow"), soft_wrap=True)

    def on_status(self, status: str) -> None:
        """Show the counts and what the workers are doing."""
        tally = self.tally
        if status == WORKING:
            tally.workers_ready()
        note = _time_left(tally) if status == WORKING and tally.finished < tally.todo else ""
        if tally.failed:
            note += f"{', ' if note else ''}[red]{tally.failed} failed[/]"
        self._bars.update(self._clips, completed=tally.finished, total=tally.todo)
        self._notes.update(self._note, description=note)
        for step, task in self._steps.items():
            self._bars.update(task, completed=tally.steps[step], total=tally.windows or None)
        self._elapsed.update(self._status, description=status)
        if not self._console.is_terminal:
            self._print_line(status, note)

    def _print_line(self, status: str, note: str) -> None:
        tally = self.tally
        counts = ", ".join(f"{tally.steps[s]} {SPECS[s].products}" for s in self._steps)
        text = f"{tally.finished}/{tally.todo} clips, {tally.windows} windows, {counts}"
        now = tally.clock.monotonic()
        if now - self._last_line >= self._quiet_s and (text, status) != self._last_said:
            said = "; ".join(part for part in (text, note, status) if part and part != WORKING)
            self._console.print(f"  {said}", highlight=False, soft_wrap=True)
            self._last_line, self._last_said = now, (text, status)

    def _render(self) -> RenderableType:
        return Group(self._bars, self._notes, self._elapsed)


def _wrapped() -> TextColumn:
    """What a task is called, on as many lines as that takes."""
    return TextColumn("  {task.description}", table_column=Column(no_wrap=False))


def _time_left(tally: Tally) -> str:
    """How fast it goes and how much longer it takes, or that this is not known."""
    rate, left = tally.windows_per_s(), tally.seconds_left()
    if rate is None or left is None:
        return "time left not known yet"
    return f"{rate:.2f} windows/s, about {duration(left)} left"
