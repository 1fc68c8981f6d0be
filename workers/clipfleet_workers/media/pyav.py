"""The binding's own errors, told apart from FFmpeg's."""

from types import TracebackType

import av

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import allocation

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


class translate_errors:
    """Raises `ClipUnreadable` where PyAV itself fails, as at a number that it has no name for.

    FFmpeg's errors pass, for whoever calls knows what they mean; so does `MemoryError`, which is
    raised as well where PyAV fails for lack of memory.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, _UNFORESEEN) and not isinstance(error, av.FFmpegError | MemoryError):
            if allocation.failed():
                raise MemoryError from None
            raise ClipUnreadable(f"PyAV cannot read it ({type(error).__name__}: {error})") from None
