"""A worker whose tasks report that they began, and then wait: what `benchmarks.redelivery` kills.

All but the work itself is the worker's own: `python -m benchmarks.redelivery.worker FOLDER QUEUE`.
With STOCK in the environment it is without our leases: Celery as it comes.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from clipfleet.queues import GPU_QUEUES, make_app
from clipfleet_workers import cli
from clipfleet_workers.delivery import tasks
from clipfleet_workers.inference import loader

EVERY_S = 0.02
READY = "ready"  # as a run is called


def main() -> None:
    """Run it."""
    folder, queue = Path(sys.argv[1]), sys.argv[2]
    began, own = folder / f"{queue}.began", tasks._step

    def step(context: Any, celery: Any, of: str) -> tuple[Any, Callable[[Any, bool], str]]:
        message = own(context, celery, of)[0] if context else None

        def wait(job: Any, poisoned: bool) -> str:
            with began.open("a") as file:  # one short line is written whole
                file.write(f"{job.run_id} {os.getpid()} {time.time()}\n")
            while not (folder / f"{job.run_id}.go").exists():
                time.sleep(EVERY_S)
            return "done"

        return message, wait

    def ready(**_: Any) -> None:
        with began.open("a") as file:
            file.write(f"{READY} {os.getpid()} {time.time()}\n")

    worker_ready.connect(ready, weak=False)
    if os.environ.get("STOCK"):
        as_it_comes(queue, lambda payload: step(None, None, queue)[1](Claim(payload), False))
        return
    setattr(tasks, "_step", step)  # noqa: B010
    loader.load_models = lambda *_, **__: {}
    sys.argv = ["clipfleet-worker", queue, "--concurrency", "1"]
    cli.main()


class Claim:
    """What is waited on."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.run_id = payload["run_id"]


def as_it_comes(queue: str, do: Callable[[Any], str]) -> None:
    """A worker of Celery's own, with the lease as its `visibility_timeout`."""
    url, lease_s = os.environ["CLIPFLEET_BROKER"], float(os.environ["CLIPFLEET_LEASE_S"])
    stock = make_app(url, lease_s=lease_s)

    def task(payload: Any) -> str:
        return do(payload)

    stock.task(task, name=queue, shared=False)
    worker = stock.Worker(
        pool="threads" if queue in GPU_QUEUES else "prefork",
        concurrency=1,
        queues=[queue],
        hostname=f"{queue}-{os.getpid()}@stock",
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )
    worker.start()


if __name__ == "__main__":
    main()
