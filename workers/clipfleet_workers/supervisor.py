"""One worker for each GPU of a machine: started, pinned, started again when it dies, stopped."""

import contextlib
import ctypes
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from clipfleet.errors import FINAL, ExitCode, UsageError

log = logging.getLogger("clipfleet")

SUPERVISED = "CLIPFLEET_SUPERVISED"
LONGEST_WAIT_S = 60.0
NVIDIA_SMI_S = 20.0
KILLED_S = 10.0  # a process that the kernel itself waits for does not even end by being killed
# A worker that lived this long was well; its next death counts as its first.
WELL_S = 600.0
_PR_SET_PDEATHSIG = 1


def choose_gpus(asked: str, *, per_engine: int) -> list[list[str]]:
    """The GPUs of each engine: `asked` is "all", or numbers as in "0,2".

    Raises `UsageError` where there are none, or `per_engine` does not divide them.
    """
    gpus = _all_gpus() if asked == "all" else [name for name in asked.split(",") if name.strip()]
    if not gpus:
        raise UsageError("--gpus all: this machine shows no GPU (nvidia-smi -L)")
    if len(gpus) % per_engine:
        raise UsageError(
            f"{len(gpus)} GPUs cannot be shared out to engines of {per_engine} (--gpus-per-engine)"
        )
    return [gpus[i : i + per_engine] for i in range(0, len(gpus), per_engine)]


def _all_gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=NVIDIA_SMI_S
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"nvidia-smi -L does not end within {NVIDIA_SMI_S:g} s: see what the GPU's driver "
            "does, or name the GPUs (--gpus 0,1)"
        ) from None
    lines = listed.stdout.splitlines()
    return [str(number) for number, _ in enumerate(x for x in lines if x.startswith("GPU "))]


def end_with_parent() -> None:
    """Have this process told to stop when the one that supervises it dies (on Linux)."""
    if os.environ.get(SUPERVISED) != "1" or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Worker:
    def __init__(self, command: Sequence[str], gpus: Sequence[str]) -> None:
        self.gpus = ",".join(gpus)
        self._command = list(command)
        self._deaths = 0
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0

    def start(self, environment: Mapping[str, str]) -> None:
        pinned = {"CUDA_VISIBLE_DEVICES": self.gpus, SUPERVISED: "1"}
        self._started = time.monotonic()
        self._process = subprocess.Popen(self._command, env={**environment, **pinned})
        log.info(
            "worker %d started on GPU %s",
            self._process.pid,
            self.gpus,
            extra={"action": "worker_started", "gpu": self.gpus},
        )

    @property
    def waiting(self) -> bool:
        return self._process is None

    def ended(self) -> int | None:
        """Its exit code, once it has ended; it then waits to be started again, a while longer
        each time."""
        code = self._process.poll() if self._process else None
        if code is None:
            return None
        lived_s = time.monotonic() - self._started
        self._deaths = 1 if lived_s > WELL_S else self._deaths + 1
        wait_s = min(LONGEST_WAIT_S, 2.0 ** (self._deaths - 1)) * random.uniform(0.5, 1.0)
        self._process, self.start_at = None, time.monotonic() + wait_s
        then = "there is something to put right first"
        if code not in FINAL:
            then = f"starting another in {wait_s:.1f} s"
        log.error(
            "the worker on GPU %s ended (exit code %d); %s",
            self.gpus,
            code,
            then,
            extra={"action": "worker_ended", "gpu": self.gpus, "code": code},
        )
        return code

    def tell(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def wait(self, until: float) -> None:
        if self._process is not None:
            try:
                self._process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._wait_killed(self._process)

    def _wait_killed(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            process.wait(KILLED_S)
        except subprocess.TimeoutExpired:
            log.error(
                "worker %d on GPU %s is killed and does not end: see what its GPU's driver does",
                process.pid,
                self.gpus,
                extra={"action": "worker_stuck", "gpu": self.gpus},
            )


def supervise(
    commands: Sequence[Sequence[str]],
    gpus: Sequence[Sequence[str]],
    *,
    environment: Mapping[str, str],
    stop_s: float,
) -> int:
    """Keep a worker alive on each set of GPUs until SIGTERM or Ctrl-C; returns the exit code.

    Told to stop, it tells them, and after `stop_s` kills those that are still there. Where one
    ends because there is something to put right, all end, with its code.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    workers = [_Worker(*each) for each in zip(commands, gpus, strict=True)]
    final: int = ExitCode.OK
    try:
        while not stopping.is_set():
            for worker in workers:
                if worker.waiting and time.monotonic() >= worker.start_at:
                    worker.start(environment)
                code = worker.ended()
                if code in FINAL:
                    final = code
                    stopping.set()
            stopping.wait(0.2)
    finally:
        for worker in workers:
            worker.tell(signal.SIGTERM)
        until = time.monotonic() + stop_s
        for worker in workers:
            worker.wait(until)
    return final
