"""Captions and previews of video clips, by a fleet of workers. What users import is here.

`from clipfleet import Fleet`. In the package itself lies what producers and workers share: schemas,
settings, keys, queues, stores. Each name is imported when it is asked for: a worker need not wait
for the producer's side.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipfleet.errors import BrokerError, ClipfleetError, StoreError, UsageError
    from clipfleet.options import (
        CaptionOptions,
        EnhanceOptions,
        Options,
        PrepareOptions,
        PreviewOptions,
    )
    from clipfleet.records import ClipRecord
    from clipfleet_producer.api import Fleet, FleetRun

__version__ = "0.1.0"

__all__ = [
    "BrokerError",
    "CaptionOptions",
    "ClipRecord",
    "ClipfleetError",
    "EnhanceOptions",
    "Fleet",
    "FleetRun",
    "Options",
    "PrepareOptions",
    "PreviewOptions",
    "StoreError",
    "UsageError",
]

_MODULES = {
    "clipfleet.errors": ("BrokerError", "ClipfleetError", "StoreError", "UsageError"),
    "clipfleet.options": (
        "CaptionOptions",
        "EnhanceOptions",
        "Options",
        "PrepareOptions",
        "PreviewOptions",
    ),
    "clipfleet.records": ("ClipRecord",),
    "clipfleet_producer.api": ("Fleet", "FleetRun"),
}


if not TYPE_CHECKING:  # or a type checker would take every name for one that there is

    def __getattr__(name: str) -> object:
        """What is asked for, imported then."""
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__} has no attribute {name}")
