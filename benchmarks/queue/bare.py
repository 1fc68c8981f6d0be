"""Plain Celery, with empty tasks in a chord of our shape: `python -m benchmarks.queue.bare`.

Its first argument is the broker, its second a queue. Results are not kept but for the chord's sake,
as ours are not. The chord's body counts.
"""

import sys
from typing import Any

import redis
from celery import Celery, chord

from benchmarks.queue.worker import WINDOWS

DONE = "bare:done"


def make_app(url: str) -> Celery:
    """The app, with its tasks."""
    app = Celery("bare", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
    client = redis.Redis.from_url(url)

    @app.task(name="prepare")  # type: ignore[untyped-decorator]
    def prepare(payload: dict[str, Any]) -> None:
        header = []
        for start, end in WINDOWS:
            window = {**payload, "start_frame": start, "end_frame": end}
            header += [
                app.signature(name, args=[window], immutable=True, queue=name)
                for name in ("caption", "preview")
            ]
        body = app.signature("assemble", args=[payload], immutable=True, queue="assemble")
        chord(header, app=app)(body)

    def window(payload: dict[str, Any]) -> str:
        return "done"

    for name in ("caption", "preview"):
        app.task(name=name)(window)

    @app.task(name="assemble")  # type: ignore[untyped-decorator]
    def assemble(payload: dict[str, Any]) -> None:
        client.incr(DONE)

    return app


def main() -> None:
    """Serve one queue."""
    url, queue = sys.argv[1:]
    make_app(url).Worker(
        pool="threads" if queue == "caption" else "prefork",
        concurrency=1,
        queues=[queue],
        hostname=f"{queue}@bare",
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    ).start()


if __name__ == "__main__":
    main()
