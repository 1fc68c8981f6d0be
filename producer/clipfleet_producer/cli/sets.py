"""Commands on sets: which there are, how two differ, taking one down."""

import sys
from typing import Any

import click

from clipfleet_producer.cli import completion, params
from clipfleet_producer.cli.groups import examples

_store = click.option("--store", help="Where the sets are.")


@click.command(
    "sets",
    epilog=examples(
        "clipfleet sets --store results/",
        "clipfleet sets --store s3://bucket/results --json",
    ),
)
@_store
@params.s3_endpoint
@params.as_json
def list_sets(as_json: bool, **rest: Any) -> None:
    """List the sets of the store: clips, options, sizes.

    A set is everything made with one choice of options; the first has no name. Options are those
    that differ from the first set's.
    """
    from clipfleet_producer.cli import set_table

    sys.exit(set_table.list_sets(rest, as_json=as_json))


@click.command(
    epilog=examples(
        "clipfleet compare '(default)' short-prompt --store results/",
        "clipfleet compare qwen qwen3 --limit 50 --json",
    )
)
@click.argument("first", metavar="SET_A", shell_complete=completion.sets)
@click.argument("second", metavar="SET_B", shell_complete=completion.sets)
@_store
@params.s3_endpoint
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Show so many clips whose captions differ most.",
)
@params.as_json
def compare(first: str, second: str, limit: int, as_json: bool, **rest: Any) -> None:
    """Compare two sets: figures, and the clips whose captions differ most.

    Clips are ordered by how few words their captions share, fewest first. The first set, which has
    no name, is "(default)".
    """
    from clipfleet_producer.cli import comparison

    sys.exit(comparison.compare(first, second, rest, limit=limit, as_json=as_json))


@click.command(
    epilog=examples(
        "clipfleet delete --set short-prompt --dry-run",
        "clipfleet delete clips/a.mp4 s3://bucket/b.mp4 --yes",
        "clipfleet delete clips/a.mp4 --set short-prompt --store results/",
    )
)
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@click.option(
    "--set",
    "set_name",
    metavar="NAME",
    shell_complete=completion.sets,
    help="The set, or that of the CLIPs. [default of CLIPs: the first, without a name]",
)
@_store
@params.s3_endpoint
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@params.as_json
def delete(clips: tuple[str, ...], set_name: str | None, **rest: Any) -> None:
    """Delete a set, or single CLIPs of one.

    Their records, previews, copied clips and reviews go; sources are left alone, and so are runs:
    to do a clip again, submit it again. A CLIP is its path on this machine, its source's URI, or
    its uuid. It asks first; where nobody can answer, it needs --yes.
    """
    from clipfleet_producer.cli import deletion

    sys.exit(deletion.delete(clips, set_name, rest))


COMMANDS = (list_sets, compare, delete)
