"""The settings file: which one is read, and which is not."""

import contextlib
import os
from pathlib import Path

from clipfleet import xdg
from clipfleet.errors import UsageError

CONFIG_FILE = "clipfleet.toml"


def config_file() -> Path | None:
    """The TOML file in use: CLIPFLEET_CONFIG, else the user's own, else none.

    Never one of the current folder that nobody named: it may have come with the clips, and what it
    says would run code (`engine_arguments`) and be sent keys (`engine_url`). Raises `UsageError`.
    """
    named = os.environ.get("CLIPFLEET_CONFIG")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"CLIPFLEET_CONFIG names {named}, which is not a file")
        return Path(named)
    # No home, or another user's: no file of one's own.
    with contextlib.suppress(UsageError, PermissionError):
        if (own := xdg.config_folder() / CONFIG_FILE).is_file():
            return own
    return None


def unread_config() -> str | None:
    """A line on the clipfleet.toml of the current folder, where there is one that is not read."""
    if os.environ.get("CLIPFLEET_CONFIG") or not Path(CONFIG_FILE).is_file():
        return None
    own = config_file()
    if own is not None and own.samefile(CONFIG_FILE):
        return None
    return (
        f"./{CONFIG_FILE} is not read, as it may have come with the clips; to use it, set "
        f"CLIPFLEET_CONFIG=./{CONFIG_FILE}"
    )
