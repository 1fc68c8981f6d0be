"""A worker whose steps only send the next messages and events: what `benchmarks.queue` measures.

All around the steps is the worker's own: `python -m benchmarks.queue.worker QUEUE`.
"""

import sys
from typing import Any

from clipfleet import keys
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, PREPARE, send_windows
from clipfleet.records import Status
from clipfleet_workers import cli
from clipfleet_workers.delivery import tasks
from clipfleet_workers.inference import loader
from tests.support.records import clip_record

WINDOWS = [(0, 255), (256, 399)]


def main() -> None:
    """Run it."""
    (queue,) = sys.argv[1:]
    own = tasks._step

    def step(context: Any, celery: Any, of: str) -> tuple[Any, tasks.Step]:
        message, _ = own(context, celery, of)

        def prepare(job: Any, given_up: Any) -> None:
            context.emit(job, step=PREPARE, status=Status.OK, windows=len(WINDOWS))
            send_windows(celery, job, WINDOWS, Options())

        def window(job: Any, given_up: Any) -> str:
            context.emit(job, step=of, status=Status.OK, start_frame=job.start_frame)
            return "done"

        def assemble(job: Any, given_up: Any) -> None:
            record = clip_record(context.options(job))
            own = {"span_uuid": job.clip_uuid, "run_id": job.run_id, "valid": True}
            made = record.model_copy(update=own)
            context.store.put(keys.record(job.clip_uuid), made.to_bytes())
            context.emit(job, step=ASSEMBLE, status=Status.OK)

        return message, {PREPARE: prepare, ASSEMBLE: assemble}.get(of, window)

    setattr(tasks, "_step", step)  # noqa: B010
    loader.load_models = lambda *_, **__: {}
    sys.argv = ["clipfleet-worker", queue, "--concurrency", "1"]
    cli.main()


if __name__ == "__main__":
    main()
