"""What a shell completes beside flags and commands: runs, sets and prompts that there are.

Nothing here may be slow to import, or say anything: a person has pressed Tab.
"""

from collections.abc import Iterable

import click

from clipfleet import keys
from clipfleet.errors import ClipfleetError


def runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The runs of the store, newest first where their names are times."""
    return _beginning(sorted(_folders(ctx, keys.RUNS), reverse=True), incomplete)


def sets(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The named sets of the store."""
    return _beginning(sorted(_folders(ctx, keys.SETS)), incomplete)


def prompts(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The built-in prompts."""
    from clipfleet.prompts import built_in

    return _beginning(built_in(), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _folders(ctx: click.Context, prefix: str) -> Iterable[str]:
    """Names in the store of the command line, or of the settings; none where it does not answer."""
    from clipfleet.settings import read_settings

    flags = {name: ctx.params.get(name) for name in ("store", "s3_endpoint")}
    try:
        settings = read_settings(**flags)
        return settings.open_store().folders(prefix) if settings.store else ()
    except ClipfleetError:
        return ()
