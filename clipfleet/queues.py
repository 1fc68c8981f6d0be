"""The queues, the Celery app that speaks to them, and the chord that is one clip's work.

    prepare ──┬─ caption ─ enhance ─┐  (per window)
              └─ preview ───────────┴─ assemble

A queue is its `QueueSpec` here and a function of its name in `clipfleet_workers.steps`, in a module
of its name; so is its task's name. All else that names queues derives from `SPECS`.
"""

import contextlib
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from clipfleet.broker.url import check_broker_url
from clipfleet.errors import BrokerError
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.options import Options

if TYPE_CHECKING:
    from celery import Celery

PREPARE, PREVIEW, CAPTION = "prepare", "preview", "caption"
ENHANCE, ASSEMBLE = "enhance", "assemble"


@dataclass(frozen=True, kw_only=True)
class QueueSpec:
    """One queue.

    `message` is the class of its messages: with `WindowJob` it works per window, else per clip.
    `products` is what people call its results. `wanted` says whether a run with these options needs
    it, `after` names the queue whose result it reads: of a window, not of a clip. `gpu` queues ask
    a model, in threads; `batch_size` is how many windows of theirs its engine takes at once. The
    others decode and encode, in processes; `clipfleet run` gives them `cpu_share` of the cores.
    """

    name: str
    message: type[Message]
    products: str = ""
    wanted: Callable[[Options], bool] = lambda options: True
    after: str = ""
    gpu: bool = False
    batch_size: Callable[[Options], int] = lambda options: 0
    cpu_share: float = 0.25


# In the order of a clip's way; each comes behind the one that it comes `after`.
SPECS = {
    spec.name: spec
    for spec in (
        QueueSpec(name=PREPARE, message=ClipJob, cpu_share=0.5),
        QueueSpec(
            name=PREVIEW,
            message=WindowJob,
            products="previews",
            wanted=lambda options: options.prepare.generate_previews,
        ),
        QueueSpec(
            name=CAPTION,
            message=WindowJob,
            products="captions",
            wanted=lambda options: options.prepare.generate_captions,
            gpu=True,
            batch_size=lambda options: options.caption.caption_batch_size,
        ),
        QueueSpec(
            name=ENHANCE,
            message=WindowJob,
            products="enhanced",
            wanted=lambda options: options.enhance.enabled,
            after=CAPTION,
            gpu=True,
            batch_size=lambda options: options.enhance.model_batch_size,
        ),
        QueueSpec(name=ASSEMBLE, message=AssembleJob, cpu_share=0.0),
    )
}
QUEUES = tuple(SPECS)


def _known(queue: str) -> str:
    if queue not in SPECS:
        raise ValueError("no queue has that name")
    return queue


QueueName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(QUEUES)})
]
GPU_QUEUES = tuple(name for name, spec in SPECS.items() if spec.gpu)
# Those of windows; on GPUs first, as they take longest.
WINDOW_QUEUES = tuple(
    sorted(
        (name for name, spec in SPECS.items() if spec.message is WindowJob),
        key=lambda name: not SPECS[name].gpu,
    )
)

# A broker that has not answered by then does not.
ANSWER_S = 10.0
# Celery keeps a chord's parts in Redis this long: enough for the slowest clip's last window.
RESULT_EXPIRES_S = 24 * 3600


def wanted_queues(options: Options) -> list[str]:
    """The queues that a run with these options needs."""
    return [name for name, spec in SPECS.items() if spec.wanted(options)]


def window_queues(options: Options) -> list[str]:
    """The queues that each window of a run goes through."""
    return [name for name in WINDOW_QUEUES if SPECS[name].wanted(options)]


def window_chains(options: Options, *, kept: Collection[str] = ()) -> list[list[str]]:
    """The same, without `kept`: those within a list one after the other, lists side by side."""
    chains: dict[str, list[str]] = {}
    for name in window_queues(options):
        if name in kept:
            continue
        chains.setdefault(_first_of(name), []).append(name)
    return list(chains.values())


def _first_of(queue: str) -> str:
    """The queue that a chain with `queue` in it begins with."""
    return _first_of(after) if (after := SPECS[queue].after) else queue


def listed(queues: Sequence[str], conjunction: str) -> str:
    """The queues in a sentence, as in "prepare, preview and assemble"."""
    *others, last = queues
    return f"{', '.join(others)} {conjunction} {last}" if others else last


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

    app = (kind or Celery)(
        "clipfleet",
        broker=url_of(broker_url),
        backend=f"{backend}+{broker_url}" if backend else broker_url,
        set_as_current=False,
    )
    _configure(app, lease_s, tls=broker_url.startswith("rediss://"))
    return app


def _configure(app: "Celery", lease_s: float, *, tls: bool) -> None:
    transport = {
        "visibility_timeout": lease_s,
        "socket_timeout": ANSWER_S,  # a connection may be half-open, and a broker hang
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 5,  # so long, and as long again, until a dead one is noticed
    }
    certificates = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if tls else None
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
        broker_use_ssl=certificates,
        redis_backend_use_ssl=certificates,
        # Whoever reaches the broker could stop workers by it.
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
    )


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
    options: Options,
    *,
    kept: Mapping[tuple[int, int], Collection[str]] | None = None,
) -> None:
    """Put a clip's windows on the queues that its options ask for, and `assemble` behind them all.

    `windows` are (start_frame, end_frame), both inclusive; `kept`, by window, are queues that it
    has no need of. With nothing to do, only `assemble` is sent.
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
        for queues in window_chains(options, kept=(kept or {}).get((start, end), ())):
            steps = [step(queue, window) for queue in queues]
            header.append(chain(*steps, app=app) if len(steps) > 1 else steps[0])
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
