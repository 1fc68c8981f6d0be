"""How much a clip may ask for: whatever its file says, cutting it ends, in bounded time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import ClipTooLarge, ClipUnreadable
from clipfleet.settings import ClipLimits
from clipfleet_workers.media import allocation

# With less left than a few frames take, what is asked for need not be nonsense.
_ROOM_BYTES = 16 << 20
_PIXEL_BYTES = 8  # four planes of 16 bits


class Guard:
    """Holds one clip to its limits, from now on. `max_decode_bytes` counts on Linux alone.

    A decoder that is stuck in one packet never asks: `held` ends its process after twice the time,
    and the clip counts as one that ends its worker.
    """

    def __init__(self, limits: ClipLimits | None = None, *, clock: Clock = SYSTEM) -> None:
        self.limits, self._clock = limits or ClipLimits(), clock
        self._deadline = self._clock.monotonic() + self.limits.max_decode_s
        self._stopped: float | None = None
        self.memory_before: int | None = None
        self._room_bytes = _ROOM_BYTES

    def memory(self, error: Exception | None = None) -> None:
        """Raises `MemoryError` if memory ran out in FFmpeg since this was last asked.

        `error` is what it says, which may be "invalid data" (H.264's decoder, with no room for a
        frame), or nothing. Damaged files, whose sizes are nonsense, make memory run out as well:
        then little is taken.
        """
        ran_out = allocation.failed() or isinstance(error, MemoryError)
        if not ran_out or self.memory_before is None:
            return
        taken, most = (_data_bytes() or 0) - self.memory_before, self.limits.max_decode_bytes
        if taken > most / 2 or most - taken < self._room_bytes:
            raise MemoryError from error

    @property
    def over_s(self) -> float:
        """Seconds since its time was up; negative before."""
        return (self._stopped or self._clock.monotonic()) - self._deadline

    @contextlib.contextmanager
    def not_counted(self) -> Iterator[None]:
        """Time that says nothing about the clip, such as the store's."""
        self._stopped = self._clock.monotonic()
        try:
            yield
        finally:
            self._deadline += self._clock.monotonic() - self._stopped
            self._stopped = None

    def streams(self, count: int) -> None:
        """Raises `ClipTooLarge` for a file of too many streams."""
        self._check(count, self.limits.max_streams, "streams", "max_streams")

    def frames(self, count: int) -> None:
        """Raises `ClipTooLarge` for too many frames, or once the time is up."""
        self._check(count, self.limits.max_frames, "frames", "max_frames")
        self.time()

    def time(self) -> None:
        """Raises `ClipTooLarge` once the time is up."""
        if self.over_s > 0:
            raise ClipTooLarge(
                f"reading it takes more than {self.limits.max_decode_s:g} s "
                "(setting clip_limits.max_decode_s)"
            )

    def timed(self, file: BinaryIO) -> BinaryIO:
        """The file, to be sought and read in while there is time."""
        return cast(BinaryIO, _Timed(file, self))

    def frame_size(self, width: int, height: int) -> None:
        """Raises `ClipTooLarge` for frames of too many pixels."""
        if width * height > self.limits.max_frame_pixels:
            most = f"{self.limits.max_frame_pixels:,}"
            raise ClipTooLarge(
                f"its frames are {width}×{height}, more than {most} pixels "
                "(setting clip_limits.max_frame_pixels)"
            )
        self._room_bytes = max(self._room_bytes, width * height * _PIXEL_BYTES)

    def decodable(self, right: int, of: int) -> None:
        """Raises `ClipUnreadable` where too few frames come out right, or none at all."""
        if not right:
            raise ClipUnreadable("it holds no frame that can be decoded")
        least = self.limits.min_decodable_share
        if right < least * of:
            raise ClipUnreadable(
                f"only {right:,} of {of:,} frames can be decoded, less than a share of {least:g} "
                "(setting clip_limits.min_decodable_share)"
            )

    def duration(self, seconds: float) -> None:
        """Raises `ClipTooLarge` for a clip that lasts too long."""
        if seconds > self.limits.max_duration_s:
            raise ClipTooLarge(
                f"it lasts {seconds:,.0f} s, longer than {self.limits.max_duration_s:g} s "
                "(setting clip_limits.max_duration_s)"
            )

    @staticmethod
    def _check(count: int, most: int, what: str, setting: str) -> None:
        if count > most:
            raise ClipTooLarge(f"it has more than {most:,} {what} (setting clip_limits.{setting})")


class _Timed:
    """A file whose headers may go on for as long as it does."""

    def __init__(self, file: BinaryIO, guard: Guard) -> None:
        self.seek, self._read, self._time = file.seek, file.read, guard.time

    def read(self, size: int) -> bytes:
        self._time()
        return self._read(size)


@contextlib.contextmanager
def held(guard: Guard) -> Iterator[None]:
    """Bounds this process's memory while a clip is cut, and its life should a decoder hang.

    Raises `ClipTooLarge` in place of `MemoryError`.
    """
    done = threading.Event()
    threading.Thread(target=_watch, args=(guard, done), daemon=True).start()
    most = guard.limits.max_decode_bytes
    guard.memory_before = _data_bytes()
    allocation.failed()  # before
    try:
        with _bounded_memory(guard.memory_before, most):
            yield
    except MemoryError:
        raise ClipTooLarge(
            f"cutting it takes more than {most / 2**20:,.0f} MiB of memory "
            "(setting clip_limits.max_decode_bytes)"
        ) from None
    finally:
        done.set()


def _watch(guard: Guard, done: threading.Event) -> None:
    while not done.wait(1.0):
        if guard.over_s > guard.limits.max_decode_s:
            os._exit(1)


@contextlib.contextmanager
def _bounded_memory(data: int | None, more: int) -> Iterator[None]:
    if data is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = data + more
    if before[0] != resource.RLIM_INFINITY:  # whoever started the worker may have set a lesser one
        most = min(most, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_bytes() -> int | None:
    """What counts towards RLIMIT_DATA now: private writable memory; None where Linux is not."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None
