"""A worker whose tasks say that they began and then wait: what `benchmarks.redelivery` kills.

All but the work itself is the worker's own: `python -m benchmarks.redelivery.worker FOLDER QUEUE`.
With STOCK in the environment it is without our leases: Celery as it comes.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import bootsteps

from workers import app, cli, loading

EVERY_S = 0.02


def main() -> None:
    """Run it."""
    folder, queue = Path(sys.argv[1]), sys.argv[2]
    began, own = folder / f"{queue}.began", app._step

    def step(context: Any, celery: Any, of: str) -> tuple[Any, Callable[[Any, bool], str]]:
        message, _ = own(context, celery, of)

        def wait(job: Any, poisoned: bool) -> str:
            with began.open("a") as file:  # one short line is written whole
                file.write(f"{job.run_id} {os.getpid()} {time.time()}\n")
            while not (folder / f"{job.run_id}.go").exists():
                time.sleep(EVERY_S)
            return "done"

        return message, wait

    setattr(app, "_step", step)  # noqa: B010
    loading.load_models = lambda *_, **__: {}
    if os.environ.get("STOCK"):
        setattr(app, "lease_step", lambda *_: bootsteps.StartStopStep)  # noqa: B010
    sys.argv = ["clipfleet-worker", queue, "--concurrency", "1"]
    cli.main()


if __name__ == "__main__":
    main()
