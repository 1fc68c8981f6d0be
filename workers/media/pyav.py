"""The binding's own errors, told apart from FFmpeg's."""

from collections.abc import Iterator
from contextlib import contextmanager

import av

from clipfleet.errors import ClipUnreadable

# What Python code raises that met what it did not foresee; a disk's errors are another matter.
_UNFORESEEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raises `ClipUnreadable` where PyAV itself fails, as at a number that it has no name for.

    FFmpeg's errors pass, for whoever calls knows what they mean; so does `MemoryError`.
    """
    try:
        yield
    except (av.FFmpegError, MemoryError):
        raise
    except _UNFORESEEN as error:
        raise ClipUnreadable(f"PyAV cannot read it ({type(error).__name__}: {error})") from None
