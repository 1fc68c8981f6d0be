"""What a shell completes beside flags and commands: runs, sets and prompts that there are.

Nothing here may be slow to import, or say anything: a person has pressed Tab.
"""

import os
import tomllib
from collections.abc import Iterable

import click

from clipfleet import keys
from clipfleet.config_file import config_file
from clipfleet.errors import ClipfleetError
from clipfleet.store import open_store


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
    try:
        place = ctx.params.get("store") or _store_in_force()
        if not place or "://" not in place:  # without pydantic's settings, which take long
            return open_store(place).folders(prefix) if place else ()
        from clipfleet.settings import read_settings

        settings = read_settings(store=place, s3_endpoint=ctx.params.get("s3_endpoint"))
        return settings.open_store().folders(prefix)
    except (ClipfleetError, OSError, ValueError):
        return ()


def _store_in_force() -> str:
    if named := os.environ.get("CLIPFLEET_STORE"):
        return named
    file = config_file()
    return str(tomllib.loads(file.read_text("utf-8")).get("store", "")) if file else ""
