"""Libraries that only some exports need, loaded when they are."""

import importlib
from typing import Any

from clipfleet.errors import UsageError


def load(module: str, *, needed_for: str) -> Any:
    """The module. Raises `UsageError` where its library is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{needed_for} needs a library that is not here ({error}): "
            "pip install 'clipfleet[export]'"
        ) from None
