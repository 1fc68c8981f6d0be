"""Flags that several commands of `clipfleet` share, and what they are read as."""

from typing import TYPE_CHECKING, Any

import click

from clipfleet.errors import UsageError
from clipfleet.store import STORE_FORMS
from clipfleet_producer.cli import completion

if TYPE_CHECKING:
    from clipfleet.runs import RunHead
    from clipfleet.settings import Settings
    from clipfleet_producer.runs.model import Run

MOST_IN_FLIGHT = 100_000

broker = click.option(
    "--broker", help="redis://[:PASSWORD@]HOST[:PORT][/DB]; better in CLIPFLEET_BROKER."
)
s3_endpoint = click.option("--s3-endpoint", help="URL of the S3 or MinIO server.")
in_flight = click.option(
    "--in-flight",
    type=click.IntRange(1, MOST_IN_FLIGHT),
    help="Most clips on the queues and in scratch at once. [default: 4096; begins with 64, and "
    "grows while workers wait for more]",
)


def set_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from clipfleet.sets import read_set_name

    return read_set_name(value)


in_set = click.option(
    "--set",
    "set_name",
    metavar="NAME",
    callback=set_name,
    shell_complete=completion.sets,
    help="The run's set, if it has one.",
)
run_argument = click.argument("run_id", metavar="RUN", shell_complete=completion.runs)
run_if_any = click.argument(
    "run_id", metavar="[RUN]", required=False, shell_complete=completion.runs
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print it for machines.")


def run_flags(command: Any) -> Any:
    """What a command on a run needs to find it."""
    for decorate in (s3_endpoint, click.option("--store", help="The run's store."), broker):
        command = decorate(command)
    return command


def clip_flags(command: Any) -> Any:
    """Which clips a run has, and how it is fed."""
    for decorate in reversed(
        (
            click.option(
                "--limit", type=click.IntRange(1), help="Take only the first so many clips."
            ),
            click.option(
                "--partition",
                metavar="I/N",
                help="Take only the I-th of N partitions, such as 1/8: they are the same whatever "
                "the order of clips.",
            ),
            click.option("--shard", "partition", metavar="I/N", hidden=True),
            click.option(
                "--shuffle",
                type=int,
                metavar="SEED",
                help="Take the clips in another order, which the seed decides.",
            ),
            click.option(
                "--from-file",
                type=click.File("r", encoding="utf-8-sig", errors="surrogateescape"),
                help="Also take clips from this file, one a line; - is standard input.",
            ),
            click.option(
                "--clip-column",
                help="The column of a manifest that names the clip: --column clip=NAME. [default: "
                "clip, source, uri, url, path, file or video, whichever is there]",
            ),
            click.option(
                "--column",
                "columns",
                multiple=True,
                metavar="NAME=COLUMN",
                help="Read this column of manifests as clip, span, start_s, end_s, duration_s, "
                "prompt or options, such as start_s=from; start_s= for none. May be given more "
                "than once.",
            ),
            click.option(
                "--follow-links/--no-follow-links",
                default=True,
                help="Whether links in folders are followed. [default: on]",
            ),
            click.option(
                "--run",
                "run_id",
                help="Name of the run. [default: the time and four hex digits]",
            ),
            click.option(
                "--set",
                "set_name",
                metavar="NAME",
                callback=set_name,
                help="The set that results go to, each made with one choice of options; a new one "
                "begins beside the others. [default: the first, without a name]",
            ),
            click.option(
                "--overwrite",
                is_flag=True,
                help="Have the set take this run's options where it has others: its records are "
                "replaced as their clips are done again.",
            ),
            in_flight,
            click.option(
                "--retry-failed", is_flag=True, help="Do clips again whose record has errors."
            ),
            click.option(
                "--redo-changed",
                is_flag=True,
                help="Do clips again whose source was replaced since, by its size, and its ETag or "
                "time of change.",
            ),
            click.option(
                "--dry-run",
                is_flag=True,
                help="Only say what would be done, what is done already, what is passed over or "
                "cannot be read, and how long it may take.",
            ),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Print one JSON object to standard output at the end, and all else to "
                "standard error.",
            ),
            s3_endpoint,
        )
    ):
        command = decorate(command)
    return command


def store_settings(flags: dict[str, Any]) -> "Settings":
    """The settings of a command that needs a store. Raises `UsageError` without one."""
    from clipfleet.settings import read_settings  # a third of the time in which a shell completes

    settings = read_settings(
        **{name: flags.get(name) for name in ("broker", "store", "s3_endpoint")}
    )
    if not settings.store:
        raise UsageError(f"no store: give --out or --store, {STORE_FORMS}")
    return settings


def fleet_settings(flags: dict[str, Any]) -> "Settings":
    """The settings of a command to a fleet. Raises `BrokerError` unless its broker answers."""
    settings = store_settings(flags)
    settings.open_broker().check()
    return settings


def stored_run(run_id: str, flags: dict[str, Any]) -> "Run":
    """A run in the store that the flags name.

    Raises `UsageError` where there is none, or not in the set that they name.
    """
    from clipfleet_producer.runs.model import Run

    settings = store_settings(flags)
    run = Run.open(settings.open_store(), run_id, allowed=settings.sources)
    check_set(run.head, flags.get("set_name"))
    return run


def check_set(head: "RunHead", set_name: str | None) -> None:
    """Raises `UsageError` where a set is named, and the run is of another."""
    from clipfleet.sets import label

    if set_name is not None and head.set_name != set_name:
        raise UsageError(
            f"run {head.run_id} is of set {label(head.set_name)}, not of {label(set_name)}"
        )
