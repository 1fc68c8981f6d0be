"""Libraries that only some exports need, loaded when they are."""

import contextlib
import importlib
from pathlib import Path
from typing import Any

from clipfleet.errors import UsageError


def load(module: str, *, needed_for: str) -> Any:
    """The module. Raises `UsageError` where its library is not installed."""
    try:
        # Not in the user's folder: matplotlib would follow a `matplotlibrc` that lies there.
        with contextlib.chdir(Path(__file__).parent):
            return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{needed_for} needs a library that is not here ({error}): "
            "pip install 'clipfleet[export]'"
        ) from None
