"""The side that has clips: finding, feeding and watching them, and the embedded run.

From Python: `from producer import Fleet`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.fleet import Fleet, FleetRun

__all__ = ["Fleet", "FleetRun"]


def __getattr__(name: str) -> Any:
    """What is asked for, imported then: the command line need not wait for it."""
    if name in __all__:
        from producer import fleet

        return getattr(fleet, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
