"""The Celery app as a worker's threads have it."""

import threading

from celery.result import GroupResult

from clipfleet.queues import make_app


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
