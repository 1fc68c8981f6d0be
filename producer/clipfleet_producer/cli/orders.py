"""`clipfleet pause`, `resume` and `cancel`: orders to a run that is under way."""

from typing import Any

from clipfleet_producer.cli.params import fleet_settings, stored_run
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.runs import control
from clipfleet_producer.runs.status import StatusReader


def pause(run_id: str, flags: dict[str, Any]) -> None:
    """`clipfleet pause`: feed no more of a run for now. Raises `RunFinished`, `RunCancelled`."""
    run = stored_run(run_id, flags)
    control.pause(run)
    console.print(
        f"Run {run.run_id} is paused: nothing more is fed, and what is on the queues goes on.\n"
        f"To go on: clipfleet resume {run.run_id}",
        soft_wrap=True,
    )


def resume(run_id: str, flags: dict[str, Any], *, priority: int | None) -> None:
    """`clipfleet resume`: feed a run again. Raises `RunFinished`."""
    broker = fleet_settings(flags).open_broker()
    run = stored_run(run_id, flags)
    control.resume(run, broker, priority=priority)
    console.print(
        f"Run {run.run_id} of {run.head.clips:,} clips goes on where a feeder serves it "
        f"(clipfleet feed --follow), or here: clipfleet feed {run.run_id}",
        soft_wrap=True,
    )


def cancel(run_id: str, flags: dict[str, Any]) -> None:
    """`clipfleet cancel`: feed no more of a run, and drop its messages. Raises `RunFinished`."""
    broker = fleet_settings(flags).open_broker()
    run = stored_run(run_id, flags)
    control.cancel(run, broker)
    counts = StatusReader(run, broker).read().counts
    console.print(
        f"Run {run.run_id} is cancelled: workers drop what is on the queues. "
        f"{counts.done:,} of {run.head.clips:,} clips are done ({counts.failed:,} with errors) and "
        f"keep their records.\nTo feed it again: clipfleet resume {run.run_id}",
        soft_wrap=True,
    )
