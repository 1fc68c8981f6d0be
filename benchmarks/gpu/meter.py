"""How busy GPUs are: the share of time in which a kernel ran, as reported by the driver.

Where there is no GPU, for a try of a benchmark's own workings, there is nothing to say.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

EVERY_S = 0.1


class BusyMeter:
    """Use as a context manager; `busy` then has a share for each GPU."""

    def __init__(self, gpus: Sequence[int]) -> None:
        self._nvml: Any = None
        self._handles = []
        with contextlib.suppress(ImportError):
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(gpu) for gpu in gpus]
        self._seen: list[list[int]] = [[] for _ in self._handles]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.busy: list[float] = []

    def __enter__(self) -> "BusyMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.busy = [sum(seen) / max(1, len(seen)) / 100 for seen in self._seen]

    def _watch(self) -> None:
        while not self._done.is_set():
            for handle, seen in zip(self._handles, self._seen, strict=True):
                seen.append(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            time.sleep(EVERY_S)
