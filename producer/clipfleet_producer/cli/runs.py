"""Commands of `clipfleet` on runs that are there."""

import sys
from typing import Any

import click

from clipfleet_producer.cli import params
from clipfleet_producer.cli.groups import examples

_PRIORITY = click.IntRange(-1000, 1000)


@click.command(
    epilog=examples(
        "clipfleet status", "clipfleet status night-1 --follow", "clipfleet status night-1 --json"
    )
)
@params.run_if_any
@params.run_flags
@params.in_set
@click.option("--follow", is_flag=True, help="Keep showing it until RUN has finished.")
@params.as_json
def status(run_id: str | None, follow: bool, as_json: bool, **rest: Any) -> None:
    """Show how far RUN is, or all unfinished runs.

    Clips, windows, rates, queues and workers are counted from the store and the broker each
    time. Exit code 3: clips have errors; 4: no broker, and what the store knows is shown all the
    same.
    """
    from clipfleet_producer.cli.status import status as show

    sys.exit(show(run_id, rest, following=follow, as_json=as_json))


@click.command(epilog=examples("clipfleet runs", "clipfleet runs --limit 5 --json"))
@click.option("--limit", type=click.IntRange(1), help="Only the newest so many.")
@params.run_flags
@params.as_json
def runs(limit: int | None, as_json: bool, **rest: Any) -> None:
    """List all runs of a store, the newest first.

    Its name, or `latest` for the newest of all, stands for RUN in other commands.
    """
    from clipfleet_producer.cli.listing import runs as show

    sys.exit(show(rest, limit=limit, as_json=as_json))


@click.command(
    epilog=examples("clipfleet feed --follow --store s3://bucket/results", "clipfleet feed night-1")
)
@params.run_if_any
@params.run_flags
@params.in_flight
@click.option("--follow", is_flag=True, help="Without RUN: keep going, for runs to come.")
def feed(run_id: str | None, follow: bool, **rest: Any) -> None:
    """Feed RUN until it has finished, or all unfinished runs.

    Keeps a bounded number of clips on the queues, compares the run's manifest with the clips'
    records, and feeds again what was lost, whatever lost it: a message, a broker that was emptied,
    scratch that was deleted. It may be stopped and started anywhere, and run twice.
    """
    from clipfleet_producer.cli import recovery

    if run_id is not None:
        sys.exit(recovery.feed(run_id, rest))
    sys.exit(recovery.serve(rest, following=follow))


@click.command(
    epilog=examples(
        "clipfleet failures night-1", "clipfleet failures night-1 --json > failures.jsonl"
    )
)
@params.run_if_any
@params.run_flags
@params.in_set
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def failures(run_id: str | None, as_json: bool, **rest: Any) -> None:
    """List the errors in RUN's records.

    Without RUN: messages that workers did not recognise and refused.
    """
    from clipfleet_producer.cli.failures import failures as show

    sys.exit(show(run_id, rest, as_json=as_json))


@click.command(
    epilog=examples(
        "clipfleet retry night-1 --wait",
        "clipfleet retry night-1 --only ClipMissing --only 'day-*.mp4'",
    )
)
@params.run_argument
@params.run_flags
@params.in_set
@click.option(
    "--only",
    multiple=True,
    help="Only clips with this error (MaxDeliveriesExceeded), failed in this step (caption), or of "
    "this name ('night-*.mp4'); may be given more than once.",
)
@click.option("--run", "new_run_id", help="Name of the new run. [default: as for submit]")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@params.in_flight
def retry(
    run_id: str, only: tuple[str, ...], new_run_id: str | None, wait: bool, **rest: Any
) -> None:
    """Do RUN's clips with errors again, as a run of their own.

    Options are RUN's. Each clip's record is replaced once it is done again. Clips whose
    presigned URLs are no longer at hand are left out: submit them with fresh ones.
    """
    from clipfleet_producer.cli import recovery

    sys.exit(recovery.retry(run_id, {**rest, "run_id": new_run_id}, only=only, wait=wait))


@click.command(
    epilog=examples("clipfleet reconcile night-1", "clipfleet reconcile night-1 --follow")
)
@params.run_argument
@params.run_flags
@params.in_set
@click.option("--follow", is_flag=True, help="Go on until every clip has its record: `feed RUN`.")
@params.in_flight
def reconcile(run_id: str, follow: bool, **rest: Any) -> None:
    """Feed again what was lost of RUN.

    Compares its manifest with its clips' records.
    """
    from clipfleet_producer.cli import recovery

    sys.exit(recovery.reconcile(run_id, rest, following=follow))


@click.command(
    epilog=examples(
        "clipfleet pause night-1", "clipfleet pause night-1 --store s3://bucket/results"
    )
)
@params.run_argument
@params.run_flags
def pause(run_id: str, **rest: Any) -> None:
    """Feed no more of RUN for now.

    What is on the queues goes on.
    """
    from clipfleet_producer.cli import orders

    orders.pause(run_id, rest)


@click.command(
    epilog=examples("clipfleet resume night-1", "clipfleet resume night-1 --priority 10")
)
@params.run_argument
@params.run_flags
@click.option("--priority", type=_PRIORITY, help="Its priority from now on.")
def resume(run_id: str, priority: int | None, **rest: Any) -> None:
    """Resume a paused or cancelled RUN, or change its priority."""
    from clipfleet_producer.cli import orders

    orders.resume(run_id, rest, priority=priority)


@click.command(
    epilog=examples(
        "clipfleet cancel night-1", "clipfleet cancel night-1 --store s3://bucket/results"
    )
)
@params.run_argument
@params.run_flags
def cancel(run_id: str, **rest: Any) -> None:
    """Feed no more of RUN, and drop its messages.

    Clips that are done keep their records; others get none.
    """
    from clipfleet_producer.cli import orders

    orders.cancel(run_id, rest)


COMMANDS = (runs, status, feed, pause, resume, cancel, failures, retry, reconcile)
