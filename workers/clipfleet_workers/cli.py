"""`clipfleet-worker`: one worker, pinned to one queue or more."""

import contextlib
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import click

from clipfleet import __version__, logs
from clipfleet.config_file import unread_config
from clipfleet.errors import BrokerAway, ClipfleetError, ExitCode, StoreUnavailable, UsageError
from clipfleet.flags import MODEL_OPTIONS, GroupedCommand, option_flags, read_options
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.process import be_discreet
from clipfleet.queues import GPU_QUEUES, QUEUES, SPECS, listed
from clipfleet.settings import Settings, read_settings
from clipfleet.store import STORE_FORMS
from clipfleet_workers import supervisor

if TYPE_CHECKING:
    from celery.apps.worker import Worker as WorkController

    from clipfleet_workers.context import Context
    from clipfleet_workers.delivery.leases import Leases

log = logging.getLogger("clipfleet")

LONGEST_START_WAIT_S = 10.0
KILLED_S = 10.0
_FLAGS = [(group, name) for group, names in MODEL_OPTIONS.items() for name in names]
_FLAGS.append(("prepare", "verbose"))


_HELP = f"""
Work on QUEUE ({listed(QUEUES, "or")}) until told to stop.

CPU queues run in processes, GPU queues in threads over one engine, so the two kinds cannot be
mixed; `{" ".join(GPU_QUEUES)}` together share one engine and need the same model for both. A worker
may be stopped or killed at any time: the messages that it has not acknowledged go to another.

Settings come from flags, then CLIPFLEET_* variables, then ~/.config/clipfleet/clipfleet.toml or
the file that CLIPFLEET_CONFIG names. S3 keys come from CLIPFLEET_S3_ACCESS_KEY and
CLIPFLEET_S3_SECRET_KEY.
"""


@click.command(
    cls=GroupedCommand, context_settings={"help_option_names": ["-h", "--help"]}, help=_HELP
)
@click.argument("queues", nargs=-1, required=True, type=click.Choice(QUEUES), metavar="QUEUE...")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    envvar="CLIPFLEET_CONCURRENCY",
    help="Tasks at once. [default: the CPU count for CPU queues; for GPU queues the "
    "batch size and half as many again, which wait in the engine or are being fetched]",
)
@click.option(
    "--broker",
    help="Broker, redis://[:PASSWORD@]HOST[:PORT][/DB]. Best left to the "
    "variable CLIPFLEET_BROKER: a command line can be read by others.",
)
@click.option("--store", help=f"Output root: {STORE_FORMS}. [CLIPFLEET_STORE]")
@click.option("--s3-endpoint", help="URL of the S3 or MinIO server. [CLIPFLEET_S3_ENDPOINT]")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Form of log lines. [default: text on a terminal, else json]",
)
@click.option(
    "--gpus",
    metavar="all|N,N,…",
    envvar="CLIPFLEET_GPUS",
    help="Start a worker for each of these GPUs, and start it again when it dies. "
    "[default: one worker, on the first GPU it sees]",
)
@click.option(
    "--gpus-per-engine",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar="CLIPFLEET_GPUS_PER_ENGINE",
    help="GPUs that share one model, for models larger than one.",
)
@click.option("--check", is_flag=True, help="Only exit 0 if such a worker is alive on this host.")
@option_flags(_FLAGS)
@click.version_option(__version__, prog_name="clipfleet-worker")
def cli(
    queues: tuple[str, ...],
    concurrency: int | None,
    broker: str | None,
    store: str | None,
    s3_endpoint: str | None,
    log_format: str | None,
    gpus: str | None,
    gpus_per_engine: int,
    check: bool,
    **flags: Any,
) -> None:
    """Serve queues as the command line asks."""
    if line := unread_config():
        click.echo(f"clipfleet-worker: {line}", err=True)
    settings = read_settings(
        broker=broker, store=store, s3_endpoint=s3_endpoint, log_format=log_format
    )
    if check:
        sys.exit(_check(settings, queues))
    options = read_options(flags, settings.options)
    logs.set_up(log_format=settings.log_format, verbose=options.prepare.verbose)
    if gpus is not None:
        sys.exit(_supervise(settings, queues, gpus, per_engine=gpus_per_engine))
    sys.exit(work(settings, queues, concurrency, options, gpus=gpus_per_engine))


def _supervise(settings: Settings, queues: tuple[str, ...], asked: str, *, per_engine: int) -> int:
    """This command without --gpus, once for each engine.

    The broker's URL, which has a password in it, is passed on in the environment.
    """
    if not set(queues) <= set(GPU_QUEUES):
        raise UsageError(
            f"--gpus is for {listed(GPU_QUEUES, 'and')}; the others take --concurrency"
        )
    sets = supervisor.choose_gpus(asked, per_engine=per_engine)
    arguments = _without(_without(sys.argv[1:], "--gpus"), "--broker")
    environment = {name: value for name, value in os.environ.items() if name != "CLIPFLEET_GPUS"}
    environment["CLIPFLEET_BROKER"] = settings.broker.get_secret_value()
    return supervisor.supervise(
        [[sys.executable, "-m", "clipfleet_workers", *arguments] for _ in sets],
        sets,
        environment=environment,
        stop_s=settings.drain_s + 30,
    )


def _without(arguments: list[str], flag: str) -> list[str]:
    """The command line without one of its flags and that flag's value."""
    left, skip = [], False
    for argument in arguments:
        if not skip and argument.partition("=")[0] != flag:
            left.append(argument)
        skip = not skip and argument == flag
    return left


def _check(settings: Settings, queues: tuple[str, ...]) -> int:
    host = socket.gethostname()
    beats = settings.open_broker().workers()
    found = [b for b in beats if b.name.endswith(f"@{host}") and set(queues) <= set(b.queues)]
    stuck = sum(beat.stuck for beat in found)
    said = "alive"
    if not found:
        said = f"no {' '.join(queues)} worker on {host} says that it is alive"
    elif stuck:
        said = (
            f"the {' '.join(queues)} worker on {host} has {stuck} messages in progress and does "
            "nothing with them"
        )
    click.echo(said)
    return ExitCode.OK if said == "alive" else ExitCode.BUG


def work(
    settings: Settings,
    queues: tuple[str, ...],
    concurrency: int | None,
    options: Options,
    *,
    gpus: int = 1,
) -> int:
    """Serve the queues until told to stop; returns the exit code."""
    supervisor.end_with_parent()
    _check_settings(settings, queues)
    _wait_for_services(settings)

    from celery.signals import worker_shutting_down

    from clipfleet_workers.context import Context
    from clipfleet_workers.delivery.leases import Leases

    _quieten_celery(verbose=options.prepare.verbose)
    context = Context(settings)
    if queues[0] in GPU_QUEUES:
        from clipfleet_workers.inference.loader import load_models

        context.models = load_models(settings, queues, options, gpus=gpus)
    name = f"{'-'.join(queues)}-{os.getpid()}@{socket.gethostname()}"
    leases = Leases(
        settings.broker.get_secret_value(),
        name=name,
        queues=queues,
        lease_s=settings.lease_s,
        longest_task_s=longest_task_s(settings),
        busy=context.busy,
        refuse=context.refuse,
    )
    worker = _celery_worker(
        context, leases, queues, name=name, concurrency=concurrency or _concurrency(queues, options)
    )
    worker_shutting_down.connect(
        functools.partial(_drain, context, leases, settings.drain_s), weak=False
    )
    leases.start()
    worker.start()
    leases.close()
    context.close_models()
    return int(worker.exitcode or 0)


def _check_settings(settings: Settings, queues: tuple[str, ...]) -> None:
    """Raises `UsageError` for what no worker can serve."""
    if 0 < sum(queue in GPU_QUEUES for queue in queues) < len(queues):
        raise UsageError(
            f"{' '.join(queues)}: {listed(GPU_QUEUES, 'and')} run in threads, the others in "
            "processes; start one worker for each kind"
        )
    if not settings.store:
        raise UsageError(f"no store: give --store (CLIPFLEET_STORE), {STORE_FORMS}")
    if "@" in (settings.engine_url or ""):
        raise UsageError(  # the URL becomes part of records, logs and messages
            "CLIPFLEET_ENGINE_URL has credentials in it; set CLIPFLEET_ENGINE_API_KEY instead"
        )


def _quieten_celery(*, verbose: bool) -> None:
    from celery.signals import setup_logging

    setup_logging.connect(_keep_logging, weak=False)
    if not verbose:
        # Each time that it connects anew, it would say in thirty lines what it says in one.
        logging.getLogger("celery.worker.consumer.consumer").addFilter(_without_traceback)
    # Celery's warning to root is about pickle, which we refuse; a container's root is its own.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")


def _concurrency(queues: tuple[str, ...], options: Options) -> int:
    """How many tasks a worker runs at once, unless it is told."""
    from clipfleet_workers.inference.loaded_model import in_flight

    if queues[0] not in GPU_QUEUES:
        return os.cpu_count() or 1
    batch = sum(SPECS[queue].batch_size(options) for queue in queues)
    # Beside those that the engine is given, some whose frames are being fetched and decoded.
    return in_flight(batch) + max(4, batch // 4)


def _celery_worker(
    context: "Context", leases: "Leases", queues: tuple[str, ...], *, name: str, concurrency: int
) -> "WorkController":
    from clipfleet_workers.delivery.pool import ThreadPool
    from clipfleet_workers.delivery.tasks import build_app

    in_threads = queues[0] in GPU_QUEUES
    return build_app(context, queues, leases).Worker(
        pool=ThreadPool if in_threads else "prefork",
        concurrency=concurrency,
        queues=list(queues),
        hostname=name,
        time_limit=None if in_threads else longest_task_s(context.settings),
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="INFO",
    )


def longest_task_s(settings: Settings) -> float:
    """How long one message may be worked on, before its process is killed or its worker is stuck.

    A clip is decoded within `clip_limits.max_decode_s`, a window answered in `request_timeout_s`,
    twice where there are two passes; waiting for a turn and for the store may take as long again.
    """
    return 2 * (settings.clip_limits.max_decode_s + settings.request_timeout_s)


def _wait_for_services(settings: Settings) -> None:
    """Wait for the broker and the store, which may start later than their workers.

    Raises `BrokerError` or `StoreError` for what waiting does not mend: a password, a right.
    """
    broker = settings.open_broker()
    store = settings.open_store()
    wait_s = 1.0
    while True:
        try:
            broker.check()
            store.prepare()
        except (BrokerAway, StoreUnavailable) as error:
            log.warning("waiting: %s", error, extra={"action": "waiting_to_start"})
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_START_WAIT_S)
        else:
            broker.close()
            return


def _drain(context: "Context", leases: "Leases", drain_s: float, **_: Any) -> None:
    """Told to stop, a worker finishes what is in progress, and after a while gives it back."""

    import billiard

    def give_back() -> None:
        if context.models:
            context.interrupt()
            return
        # Processes that decode cannot be interrupted: their messages go back, and they are killed.
        log.warning(
            "not done in time: what is in progress is given back", extra={"action": "drained"}
        )
        leases.close()
        for process in billiard.active_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(KILLED_S)  # without them, the worker ends by itself, and this thread with it
        os._exit(ExitCode.OK)

    def begin() -> None:
        leases.farewell()
        timer = threading.Timer(drain_s, give_back)
        timer.daemon = True
        timer.start()

    # Not in the signal's own frame, which may hold a lock.
    threading.Thread(target=begin, daemon=True).start()


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def _keep_logging(**_: Any) -> None:
    """Celery does not set up logging where this signal has a receiver."""


def main() -> None:
    """The console script."""
    be_discreet()
    logs.escape_crashes()
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        sys.exit(_say(error.format_message(), ExitCode.USAGE))
    except ClipfleetError as error:
        sys.exit(_say(str(error), error.exit_code))
    except ImportError as error:
        what = f"{error.name or error} is not installed here"
        sys.exit(_say(f"{what}; install clipfleet with [gpu] or [cpu]", ExitCode.USAGE))


def _say(line: str, code: ExitCode) -> ExitCode:
    print("clipfleet-worker:", printable(line), file=sys.stderr)
    return code
