"""Where this user's own files are, by the XDG base directory rule: nobody else writes there."""

import os
from pathlib import Path

from clipfleet.errors import UsageError


def config_folder() -> Path:
    """Settings: ~/.config/clipfleet, or below XDG_CONFIG_HOME. Raises `UsageError`."""
    return _folder("XDG_CONFIG_HOME", ".config")


def cache_folder() -> Path:
    """What can be fetched again, such as models: ~/.cache/clipfleet. Raises `UsageError`."""
    return _folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """What is kept between runs, such as logs: ~/.local/state/clipfleet. Raises `UsageError`."""
    return _folder("XDG_STATE_HOME", ".local/state")


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # the rule says to ignore a relative one
        return Path(named) / "clipfleet"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():  # it would be relative to the current folder
        raise UsageError(f"this user has no home folder: set HOME, or {variable}, to a full path")
    return home / default / "clipfleet"
