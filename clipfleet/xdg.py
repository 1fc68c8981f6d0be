"""Where this user's own files lie, by the XDG base directory rule: nobody else writes there."""

import os
from pathlib import Path

from clipfleet.errors import UsageError


def config_folder() -> Path:
    """Settings: ~/.config/clipfleet, or below XDG_CONFIG_HOME. Raises `UsageError`."""
    return _folder("XDG_CONFIG_HOME", ".config")


def cache_folder() -> Path:
    """What can be had again, such as models: ~/.cache/clipfleet. Raises `UsageError`."""
    return _folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """What is kept from run to run, such as logs: ~/.local/state/clipfleet. Raises `UsageError`."""
    return _folder("XDG_STATE_HOME", ".local/state")


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # a relative one is to be ignored, by the rule
        return Path(named) / "clipfleet"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():  # it would be a folder of wherever the command is started
        raise UsageError(f"this user has no home folder: set HOME, or {variable}, to a full path")
    return home / default / "clipfleet"
