"""The Celery app as a worker's threads have it."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery.result import GroupResult

from clipfleet.messages import Message, WindowJob
from clipfleet.queues import CAPTION, make_app
from clipfleet_workers.delivery import tasks
from clipfleet_workers.steps.idempotent import DONE


def test_threads_of_a_worker_share_their_connections_to_the_broker() -> None:
    app = make_app("redis://127.0.0.1:1/0", lease_s=1)
    backends = [app.backend]
    other = threading.Thread(target=lambda: backends.append(app.backend))
    other.start()
    other.join()
    assert backends[0] is backends[1]
    assert backends[0].client.connection_pool is backends[1].client.connection_pool


def test_who_makes_a_chord_listens_for_none_of_its_parts() -> None:
    url = "redis://127.0.0.1:1/0"  # where no broker is
    app = make_app(url, lease_s=1, backend="clipfleet_workers.delivery.chord:ChordCounter")

    parts = [app.AsyncResult(f"part-{number}") for number in range(2)]
    GroupResult("group", parts, app=app).then(print)

    assert app.backend.result_consumer.subscribed_to == set()


def test_a_task_takes_its_job_as_it_was_checked_on_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    job = WindowJob(
        run_id="r1",
        clip_uuid="6ba7b810-9dad-51d1-80b4-00c04fd430c8",
        options_hash="0123456789abcdef",
        start_frame=0,
        end_frame=9,
    )
    done: list[WindowJob] = []

    def step(job: WindowJob, given_up: object) -> str:
        done.append(job)
        return DONE

    def check(payload: object) -> None:
        raise AssertionError("it was checked on receipt")

    context = SimpleNamespace(
        stopping=threading.Event(),
        cancelled=lambda job: False,
        settings=SimpleNamespace(max_deliveries=3, max_retries=3),
        models={},
    )
    app = make_app("memory://", lease_s=1)
    tasks._add_task(app, cast(Any, context), CAPTION, WindowJob, step)
    monkeypatch.setattr(Message, "read", check)

    assert app.tasks[CAPTION](job.model_dump()) == DONE
    assert done == [job]
