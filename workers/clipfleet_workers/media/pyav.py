"""The binding's own errors, told apart from FFmpeg's."""

from types import TracebackType

import av

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import allocation

# What Python code raises for input that it did not expect; a disk's errors are another matter.
_UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class translate_errors:
    """Raises `ClipUnreadable` if PyAV itself fails, such as at a number that it has no name for.

    FFmpeg's errors pass, since the caller knows what they mean; so does `MemoryError`, which is
    also raised if PyAV fails for lack of memory.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, _UNEXPECTED) and not isinstance(error, av.FFmpegError | MemoryError):
            if allocation.failed():
                raise MemoryError from None
            raise ClipUnreadable(f"PyAV cannot read it ({type(error).__name__}: {error})") from None
