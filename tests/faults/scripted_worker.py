"""A caption worker with an engine that does as a window's first frame says. Run as a script.

1: answer. 2: fail, each time. 3: die. 4: answer after half a second. 5: never answer.
Each request and how many were in flight with it go to the file that SCRIPT_LOG names.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from clipfleet.errors import EngineDead, EngineFailed, Interrupted
from clipfleet_workers.inference import loader
from clipfleet_workers.inference.engine import Answer, Engine, Prompt
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots


class ScriptedEngine(Engine):
    """Does as it is told; see above."""

    name = "scripted"

    def __init__(self) -> None:
        self._interrupted, self._dead = threading.Event(), threading.Event()
        self._lock, self._in_flight = threading.Lock(), 0

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        way = int(prompt.request_id.split(".")[1])
        with self._lock:
            self._in_flight += 1
            with Path(os.environ["SCRIPT_LOG"]).open("a") as log:
                log.write(f"{way} {self._in_flight}\n")
        try:
            return self._do(way)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _do(self, way: int) -> Answer:
        if way == 3:
            time.sleep(0.3)  # the others are in flight by then
            self._dead.set()
        if way == 4:
            time.sleep(0.5)
        while way == 5 and not (self._interrupted.is_set() or self._dead.is_set()):
            time.sleep(0.01)
        if self._dead.is_set():
            raise EngineDead("the scripted engine died")
        if self._interrupted.is_set() and way != 4:
            raise Interrupted
        if way == 2:
            raise EngineFailed("it cannot do this one")
        return Answer(text="words", finish_reason="stop", prompt_tokens=1, output_tokens=1)

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing to let go."""


def load_models(*_: Any, **__: Any) -> dict[str, LoadedModel]:
    """In place of `clipfleet_workers.inference.loader.load_models`."""
    model = LoadedModel(
        ScriptedEngine(),
        Slots({"caption": 8}),
        variant="mini",
        fp8=False,
        repository="mini",
        revision="0",
        timeout_s=60,
    )
    return {"caption": model}


if __name__ == "__main__":
    vars(loader)["load_models"] = load_models
    sys.argv = ["clipfleet-worker", "caption"]
    from clipfleet_workers.cli import main

    main()
