"""The queues, the Celery app that speaks to them, and the chord that is one clip's work.

    prepare ──┬─ caption ─ enhance ─┐  (per window)
              └─ preview ───────────┴─ assemble

Each task's name is its queue's name.
"""

import contextlib
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clipfleet.broker.url import check_broker_url
from clipfleet.errors import BrokerError
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.options import Options

if TYPE_CHECKING:
    from celery import Celery

PREPARE, PREVIEW, CAPTION, ENHANCE, ASSEMBLE = QUEUES = (
    "prepare",
    "preview",
    "caption",
    "enhance",
    "assemble",
)
GPU_QUEUES = (CAPTION, ENHANCE)


# A broker that has not answered by then does not.
ANSWER_S = 10.0
# Celery keeps a chord's parts in Redis this long: enough for the slowest clip's last window.
RESULT_EXPIRES_S = 24 * 3600


def window_queues(options: Options) -> list[str]:
    """The queues that each window of a run goes through."""
    queues = [CAPTION]
    queues += [PREVIEW] if options.prepare.generate_previews else []
    queues += [ENHANCE] if options.enhance.enabled else []
    return queues


def make_app(
    broker_url: str, *, lease_s: float, kind: "type[Celery] | None" = None, backend: str = ""
) -> "Celery":
    """A Celery app on `broker_url`, for sending and, once tasks are added, for working.

    `kind` is its class, `backend` the path of the class that counts chords, if not Celery's own.
    The same lease goes to the transport, the result backend and the top level: kombu takes
    whichever it meets first. Raises `UsageError` where that is no broker's address.
    """
    if broker_url != "memory://":  # kombu's own, within one process, for tests
        check_broker_url(broker_url)
    from celery import Celery

    from clipfleet.broker.transport import url_of

    transport = {
        "visibility_timeout": lease_s,
        "socket_timeout": ANSWER_S,  # a connection may be half-open, and a broker hang
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 5,  # so long, and as long again, until a dead one is noticed
    }
    app = (kind or Celery)(
        "clipfleet",
        broker=url_of(broker_url),
        backend=f"{backend}+{broker_url}" if backend else broker_url,
        set_as_current=False,
    )
    tls = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if broker_url.startswith("rediss://") else None
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_default_queue=PREPARE,
        task_create_missing_queues=True,
        task_routes={name: {"queue": name} for name in QUEUES},
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=False,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        result_expires=RESULT_EXPIRES_S,
        result_backend_always_retry=True,
        result_backend_thread_safe=True,  # else each thread of a GPU worker keeps a connection
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for as long as the broker is away
        broker_channel_error_retry=True,  # and for as long as it says that it is not well
        redis_socket_timeout=ANSWER_S,
        redis_socket_connect_timeout=5,
        broker_transport_options=transport,
        result_backend_transport_options=transport,
        visibility_timeout=lease_s,
        broker_use_ssl=tls,
        redis_backend_use_ssl=tls,
        worker_enable_remote_control=False,  # whoever reaches the broker could stop workers by it
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
    )
    return app


def send_clip(app: "Celery", job: ClipJob) -> None:
    """Put one clip on the prepare queue. Raises `BrokerError`."""
    with _broker_errors():
        # Without `ignore_result` the sender subscribes to a result that never comes.
        app.send_task(
            PREPARE, args=[job.model_dump()], queue=PREPARE, argsrepr="", ignore_result=True
        )


def send_windows(
    app: "Celery",
    job: ClipJob,
    windows: list[tuple[int, int]],
    *,
    previews: bool,
    enhance: bool,
) -> None:
    """Put a clip's windows on their queues, and `assemble` behind them all.

    `windows` are (start_frame, end_frame), both inclusive. With none, only `assemble` is sent.
    Raises `BrokerError`, perhaps with a part of them sent.
    """
    from celery import chain, chord

    claim: dict[str, Any] = {
        "run_id": job.run_id,
        "clip_uuid": job.clip_uuid,
        "options_hash": job.options_hash,
        "set_name": job.set_name,
    }

    def step(queue: str, message: Message) -> Any:
        # Unless each is told, Celery keeps every task's result for a day, and its sender listens
        # for it: the setting is lost where the sender does not have the task. Chords still count.
        return app.signature(
            queue,
            args=[message.model_dump()],
            immutable=True,
            queue=queue,
            ignore_result=True,
        )

    assemble = step(ASSEMBLE, AssembleJob(**claim))
    header = []
    for start, end in windows:
        window = WindowJob(**claim, start_frame=start, end_frame=end)
        caption = step(CAPTION, window)
        header.append(chain(caption, step(ENHANCE, window), app=app) if enhance else caption)
        if previews:
            header.append(step(PREVIEW, window))
    with _broker_errors():
        if header:
            chord(header, app=app)(assemble)
        else:
            assemble.apply_async()


@contextlib.contextmanager
def _broker_errors() -> Iterator[None]:
    from kombu.exceptions import OperationalError
    from redis import RedisError

    try:
        yield
    except (OperationalError, RedisError) as error:
        raise BrokerError(f"the broker takes no message just now: {error}") from None
