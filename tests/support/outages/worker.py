"""A worker that logs what happens to its messages; its engine, if it has one, only waits.

`python -m tests.support.outages.worker QUEUE [ARGUMENT…]`, with HISTORY, a folder, in the
environment. WINDOW_S is how long a window takes, and WORDS what it is said to show.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from clipfleet.errors import Interrupted
from clipfleet_workers import cli
from clipfleet_workers.delivery import leases, tasks
from clipfleet_workers.delivery.leases import Leases
from clipfleet_workers.inference import loader
from clipfleet_workers.inference.engine import Answer, Engine, Prompt
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots

SLOTS = 8
WORKER = os.getpid()  # also in the processes of its pool


def note(what: str, **more: Any) -> None:
    """Log what happened. One short line is written whole."""
    line = json.dumps({"at": time.time(), "worker": WORKER, "what": what, **more})
    with (Path(os.environ["HISTORY"]) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(line + "\n")


class WaitingEngine(Engine):
    """Every window takes so long."""

    name = "waiting"

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        if self._interrupted.wait(float(os.environ.get("WINDOW_S", "0.5"))):
            raise Interrupted
        words = os.environ.get("WORDS", f"words of {os.getpid()}")
        return Answer(text=words, finish_reason="stop", prompt_tokens=1, output_tokens=1)

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing to let go."""


def load_models(*_: Any, **__: Any) -> dict[str, LoadedModel]:
    """In place of `clipfleet_workers.inference.loader.load_models`."""
    model = LoadedModel(
        WaitingEngine(),
        Slots({"caption": SLOTS}),
        variant="mini",
        fp8=False,
        repository="mini",
        revision="0",
        timeout_s=60,
    )
    return {"caption": model}


def watch() -> None:
    """Have the worker tell of each message that it takes, begins, ends and lets go."""
    take, do_end, do = Leases.take, Leases._do_end, tasks._do

    def taken(self: Leases, tag: str, message: dict[str, Any], queue: str, *more: Any) -> None:
        note("take", tag=tag, task=message["headers"]["id"], queue=queue)
        take(self, tag, message, queue, *more)

    def let_go(self: Leases, client: Any, *, tag: str, lease: Any) -> None:
        do_end(self, client, tag=tag, lease=lease)
        note("let go", tag=tag, task=lease.message["headers"]["id"], how=lease.end.name)

    def done(context: Any, request: Any, step: Any, job: Any, given_up: Any) -> Any:
        note("start", task=request.id, clip=job.clip_uuid)
        try:
            return do(context, request, step, job, given_up)
        finally:
            note("end", task=request.id)

    vars(tasks)["_do"] = done
    vars(leases)["PUT_OFF_S"] = 3.0
    Leases.take = taken  # type: ignore[method-assign, assignment]
    Leases._do_end = let_go  # type: ignore[method-assign, assignment]


def main() -> None:
    """Run it."""
    vars(loader)["load_models"] = load_models
    watch()
    sys.argv = ["clipfleet-worker", *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
