"""Putting a run's clips on a fleet's queues, and following a run: what people see of it."""

import time

from clipfleet.errors import ExitCode
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.settings import Settings
from clipfleet_producer.cli.progress import ProgressView
from clipfleet_producer.cli.report import print_changed, print_result, print_totals
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.feeding.following import Filled, Outcome, fill, follow
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.runs.model import Run


class _Printer(ProgressObserver):
    """Prints what is said, and shows no progress."""

    def say(self, line: str) -> None:
        console.print(printable(line), markup=False)


def send(
    run: Run, options: Options, settings: Settings, *, in_flight: int | None, wait: bool
) -> int:
    """Put a run's clips on a fleet's queues: as many as may be in flight, or, followed, all.

    Returns the exit code.
    """
    if wait:
        return see_through(run, options, settings, in_flight=in_flight)
    with console.status("feeding"):
        filled = fill(run, settings, _Printer(run.head.clips), in_flight=in_flight)
    _print_filled(run, filled, settings.open_broker().address)
    return ExitCode.FAILED_CLIPS if filled.counts.lost else ExitCode.OK


def _print_filled(run: Run, filled: Filled, url: str) -> None:
    counts, in_flight = filled.counts, filled.in_flight
    if not in_flight and counts.done + counts.lost >= run.head.clips:
        console.print(f"All {run.head.clips:,} clips were done already.", soft_wrap=True)
        return
    rest = run.head.clips - counts.done - counts.lost - in_flight
    done = f"{counts.done:,} were done already."
    if rest and not in_flight and not filled.blocked_reason:  # the service was quicker
        lines = [f"Run {run.run_id} is fed to the queues of {url}; {done}"]
    else:
        lines = [f"{in_flight:,} clips put on the queues of {url} as run {run.run_id}; {done}"]
    if rest:
        why = f" ({filled.blocked_reason})" if filled.blocked_reason else ""
        here = f"here: clipfleet feed {run.run_id}"
        where = f"where a feeder runs (clipfleet feed --follow), or {here}"
        lines.append(
            f"The other {rest:,} are fed as those are done{why}, "
            + (f"from this machine, which has their files, {here}" if run.stage else where)
        )
    lines.append(f"Its status: clipfleet status {run.run_id} --follow")
    if not rest:
        lines.append(f"To follow it and find what was lost: clipfleet feed {run.run_id}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)
    print_changed(counts)


def _why_left(run: Run) -> str:
    if not run.is_current():
        return f"Run {run.run_id} was submitted anew meanwhile."
    if run.control() is None:
        return f"Run {run.run_id} was cancelled meanwhile."
    return f"Run {run.run_id} is fed by another fleet now."


def see_through(run: Run, options: Options, settings: Settings, *, in_flight: int | None) -> int:
    """Follow a fleet's run to its end, and print its result; returns the exit code."""
    started = time.monotonic()
    with ProgressView(console, run.head.clips, options) as view:
        outcome = follow(run, options, settings, view, in_flight=in_flight)
    if outcome is Outcome.INTERRUPTED:
        console.print(
            "Stopped following. What is on the queues goes on. To go on with the rest: "
            f"clipfleet feed {run.run_id}",
            soft_wrap=True,
        )
        return ExitCode.INTERRUPTED
    if outcome is Outcome.LEFT:
        console.print(_why_left(run), soft_wrap=True)
        seconds = time.monotonic() - started
        counts = view.counts.model_copy(update={"clips": run.head.clips})
        print_totals(console, run.store.uri, counts, done_now=view.done_now, seconds=seconds)
        return ExitCode.FAILED_CLIPS
    return print_result(run, options, view, seconds=time.monotonic() - started)
