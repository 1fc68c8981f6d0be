"""One worker for each GPU of a machine: started, pinned, started again when it dies, stopped."""

import ctypes
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from clipfleet.children import Child, Death, tend, terminate
from clipfleet.errors import ExitCode, UsageError

log = logging.getLogger("clipfleet")

SUPERVISED = "CLIPFLEET_SUPERVISED"
NVIDIA_SMI_S = 20.0
LOOK_S = 0.2
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


class _Worker(Child):
    def __init__(
        self, command: Sequence[str], gpus: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        super().__init__(f"worker on GPU {','.join(gpus)}")
        self.gpus = ",".join(gpus)
        self._command = list(command)
        self._environment = {**environment, "CUDA_VISIBLE_DEVICES": self.gpus, SUPERVISED: "1"}

    def spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, env=self._environment)


def supervise(
    commands: Sequence[Sequence[str]],
    gpus: Sequence[Sequence[str]],
    *,
    environment: Mapping[str, str],
    stop_s: float,
) -> int:
    """Keep a worker alive on each set of GPUs until SIGTERM or Ctrl-C; returns the exit code.

    Told to stop, it tells them, and after `stop_s` kills those that are still there. Where one
    ends with an exit code that is final (`errors.FINAL`), all end, with its code.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    workers = [_Worker(*each, environment) for each in zip(commands, gpus, strict=True)]
    final: list[int] = []

    def died(worker: _Worker, death: Death) -> None:
        _log_death(worker, death)
        if death.is_final:
            final.append(death.code)
            stopping.set()

    try:
        while not stopping.is_set():
            tend(workers, start=_start, died=died)
            stopping.wait(LOOK_S)
    finally:
        for worker in terminate(workers, within_s=stop_s):
            log.error(
                "worker %d on GPU %s is killed and does not end: see what its GPU's driver does",
                worker.pid,
                worker.gpus,
                extra={"action": "worker_stuck", "gpu": worker.gpus},
            )
    return final[-1] if final else ExitCode.OK


def _start(worker: _Worker) -> None:
    log.info(
        "worker %d started on GPU %s",
        worker.start(),
        worker.gpus,
        extra={"action": "worker_started", "gpu": worker.gpus},
    )


def _log_death(worker: _Worker, death: Death) -> None:
    then = f"starting another in {death.wait_s:.1f} s"
    log.error(
        "the worker on GPU %s ended (%s); %s",
        worker.gpus,
        death,
        "there is something to put right first" if death.is_final else then,
        extra={"action": "worker_ended", "gpu": worker.gpus, "code": death.code},
    )
