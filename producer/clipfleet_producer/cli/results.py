"""Commands that take results away: export, show, summary."""

import sys
from pathlib import Path
from typing import Any

import click

from clipfleet.flags import Choice
from clipfleet_producer.cli import params
from clipfleet_producer.cli.groups import examples

_store = click.option("--store", help="The run's store.")


@click.command(
    epilog=examples(
        "clipfleet export night-1 captions/",
        "clipfleet export night-1 captions/ --format parquet --per clip",
        "clipfleet export night-1 captions/ --only-approved",
    )
)
@params.run_argument
@click.argument("dest", metavar="DEST")
@click.option(
    "--format",
    type=Choice(["jsonl", "parquet", "csv", "webdataset", "lance"]),
    default="jsonl",
    show_default=True,
    help="What to write. All but jsonl and csv need pip install 'clipfleet[export]'.",
)
@click.option(
    "--per",
    type=Choice(["window", "clip"]),
    default="window",
    show_default=True,
    help="What a row is: a window with its clip's columns, or a clip with its windows nested "
    "(jsonl, parquet and lance).",
)
@click.option("--only-valid", is_flag=True, help="Leave out clips with errors.")
@click.option("--only-approved", is_flag=True, help="Only clips that a reviewer approved.")
@click.option(
    "--previews/--no-previews",
    default=True,
    help="Put previews and their posters into webdataset. [default: on]",
)
@click.option(
    "--escape-formulas/--no-escape-formulas",
    default=True,
    help="In csv, put a ' before texts that a spreadsheet would take for a formula. [default: on]",
)
@click.option(
    "--shard-size",
    type=click.IntRange(1),
    help="Clips in one file. [default: 10,000; webdataset 1,000; lance 100,000 a version]",
)
@_store
@params.in_set
@params.s3_endpoint
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object to standard output at the end, and all else to standard error.",
)
def export(
    run_id: str,
    dest: str,
    format: str,
    per: str,
    only_valid: bool,
    only_approved: bool,
    previews: bool,
    escape_formulas: bool,
    shard_size: int | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Write RUN's captions and figures to files, to train on.

    The files lie in the folder DEST, a row for each window or clip. It may be stopped at any
    time: the same command again goes on, and adds clips done since. Ends with exit code 3 while
    clips are missing.
    """
    from clipfleet_producer.cli import export as command
    from clipfleet_producer.export import Format, Per

    sys.exit(
        command.export(
            run_id,
            dest,
            rest,
            format=Format(format),
            per=Per(per),
            only_valid=only_valid,
            only_approved=only_approved,
            pictures=previews,
            escape_formulas=escape_formulas,
            shard_size=shard_size,
            as_json=as_json,
        )
    )


@click.command(
    epilog=examples(
        "clipfleet show clips/day.mp4 --store results/",
        "clipfleet show 's3://bucket/day.mp4#t=1.5,3'",
        "clipfleet show day.mp4 --json | jq .windows",
    )
)
@click.argument("clip", metavar="CLIP")
@_store
@click.option(
    "--set",
    "set_name",
    metavar="NAME",
    callback=params.set_name,
    help="The set whose record of it is meant. [default: the first, without a name]",
)
@params.s3_endpoint
@click.option("--json", "as_json", is_flag=True, help="Print the record as it lies in the store.")
def show(clip: str, as_json: bool, **rest: Any) -> None:
    """Print all that is known of CLIP.

    CLIP is its path on this machine, its name as tables show it, its source's URI, with
    #t=START,END for the part of a source that is a clip, or its uuid.
    """
    from clipfleet_producer.cli import show

    sys.exit(show.show(clip, rest, as_json=as_json))


@click.command(
    epilog=examples("clipfleet summary night-1", "clipfleet summary night-1 --plot lengths.png")
)
@params.run_argument
@_store
@params.in_set
@params.s3_endpoint
@params.as_json
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw lengths of captions to this PNG; needs pip install 'clipfleet[export]'.",
)
def summary(run_id: str, as_json: bool, plot: Path | None, **rest: Any) -> None:
    """Show RUN in figures: counts, lengths, errors, tokens."""
    from clipfleet_producer.cli import summary as summary_view

    sys.exit(summary_view.summary(run_id, rest, as_json=as_json, plot=plot))


COMMANDS = (export, show, summary)
