"""A caption worker whose engine answers at a set rate, with captions of the usual length.

`python -m benchmarks.scale.worker WINDOWS_PER_S SLOTS`. As on a GPU, the rate takes a full engine:
a window alone takes as long as one of many.
"""

import sys
import threading
import time
from typing import Any

from clipfleet.errors import Interrupted
from clipfleet_workers import cli
from clipfleet_workers.inference import loader
from clipfleet_workers.inference.engine import Answer, Engine, Prompt
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots

CAPTION = "A car drives along a wet road past a woman who opens a door. " * 12


class SimulatedEngine(Engine):
    """Answers that many prompts a second, each after as long as a full engine takes."""

    name = "simulated"

    def __init__(self, rate: float, slots: int) -> None:
        self._every_s, self._least_s = 1 / rate, slots / rate
        self._lock, self._interrupted = threading.Lock(), threading.Event()
        self._free_at = 0.0

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        now = time.monotonic()
        with self._lock:
            self._free_at = max(self._free_at + self._every_s, now + self._least_s)
            wait_s = self._free_at - now
        if self._interrupted.wait(wait_s):
            raise Interrupted
        return Answer(text=CAPTION, finish_reason="stop", prompt_tokens=5840, output_tokens=190)

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing to release."""


def main() -> None:
    """Run it."""
    rate, slots = float(sys.argv[1]), int(sys.argv[2])

    def load(*_: Any, **__: Any) -> dict[str, LoadedModel]:
        model = LoadedModel(
            SimulatedEngine(rate, slots),
            Slots({"caption": slots}),
            variant="qwen",
            fp8=False,
            repository="simulated",
            revision="0",
            timeout_s=600,
        )
        return {"caption": model}

    setattr(loader, "load_models", load)  # noqa: B010
    sys.argv = ["clipfleet-worker", "caption", "--captioning-batch-size", str(slots)]
    cli.main()


if __name__ == "__main__":
    main()
