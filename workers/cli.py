"""`clipfleet-worker`: one worker, pinned to one queue or more."""

import os
import socket
import sys
import warnings
from typing import Any

import click

from clipfleet import __version__, logs
from clipfleet.broker import Broker
from clipfleet.errors import ClipfleetError, ExitCode, UsageError
from clipfleet.flags import MODEL_OPTIONS, GroupedCommand, option_flags, read_options
from clipfleet.options import Options
from clipfleet.queues import CAPTION, ENHANCE, GPU_QUEUES, QUEUES
from clipfleet.settings import Settings, read_settings

_FLAGS = [(group, name) for group, names in MODEL_OPTIONS.items() for name in names]
_FLAGS.append(("prepare", "verbose"))


@click.command(cls=GroupedCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("queues", nargs=-1, required=True, type=click.Choice(QUEUES), metavar="QUEUE...")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    envvar="CLIPFLEET_CONCURRENCY",
    help="Tasks at once. [default: the CPU count for CPU queues, the batch size for GPU queues]",
)
@click.option(
    "--broker",
    help="Broker, redis://[:PASSWORD@]HOST[:PORT][/DB]. Best left to the "
    "variable CLIPFLEET_BROKER: a command line can be read by others.",
)
@click.option("--store", help="Output root: a folder, or s3://BUCKET[/PREFIX]. [CLIPFLEET_STORE]")
@click.option("--s3-endpoint", help="URL of the S3 or MinIO server. [CLIPFLEET_S3_ENDPOINT]")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Form of log lines. [default: text on a terminal, else json]",
)
@click.option(
    "--check", is_flag=True, help="Exit 0 if such a worker lives on this host, and no more."
)
@option_flags(_FLAGS)
@click.version_option(__version__, prog_name="clipfleet-worker")
def cli(
    queues: tuple[str, ...],
    concurrency: int | None,
    broker: str | None,
    store: str | None,
    s3_endpoint: str | None,
    log_format: str | None,
    check: bool,
    **flags: Any,
) -> None:
    """Work on QUEUE (prepare, preview, caption, enhance or assemble) until told to stop.

    CPU queues run in processes, GPU queues in threads over one engine, so the two kinds cannot be
    mixed; `caption enhance` together share one engine and need the same model for both. A worker
    may be stopped or killed at any time: what it held goes to another.

    Settings come from flags, then CLIPFLEET_* variables, then clipfleet.toml. S3 keys come from
    CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY.
    """
    settings = read_settings(
        broker=broker, store=store, s3_endpoint=s3_endpoint, log_format=log_format
    )
    if check:
        sys.exit(_check(settings, queues))
    options = read_options(flags, settings.options)
    logs.set_up(log_format=settings.log_format, verbose=options.prepare.verbose)
    sys.exit(work(settings, queues, concurrency, options))


def _check(settings: Settings, queues: tuple[str, ...]) -> int:
    host = socket.gethostname()
    beats = Broker(settings.broker.get_secret_value()).workers()
    alive = any(b.name.endswith(f"@{host}") and set(queues) <= set(b.queues) for b in beats)
    click.echo("alive" if alive else f"no {' '.join(queues)} worker on {host} has said it lives")
    return ExitCode.OK if alive else ExitCode.BUG


def work(
    settings: Settings, queues: tuple[str, ...], concurrency: int | None, options: Options
) -> int:
    """Serve the queues until told to stop; returns the exit code."""
    on_gpu_queues = [queue for queue in queues if queue in GPU_QUEUES]
    if on_gpu_queues and len(on_gpu_queues) < len(queues):
        raise UsageError(
            f"{' '.join(queues)}: caption and enhance run in threads, the others in processes; "
            "start one worker for each kind"
        )
    if not settings.store:
        raise UsageError(
            "no store: give --store (CLIPFLEET_STORE), a folder or s3://BUCKET[/PREFIX]"
        )
    Broker(settings.broker.get_secret_value()).check()
    settings.open_store(settings.store).prepare()

    from celery.signals import setup_logging

    from workers.app import build_app
    from workers.context import Context

    setup_logging.connect(_keep_logging, weak=False)
    # Celery's warning to root is about pickle, which we refuse; a container's root is its own.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    context = Context(settings)
    if on_gpu_queues:
        from workers.loading import load_models

        context.models = load_models(settings, queues, options)
    batch = options.caption.caption_batch_size * (CAPTION in queues)
    batch += options.enhance.model_batch_size * (ENHANCE in queues)
    name = f"{'-'.join(queues)}-{os.getpid()}"
    worker = build_app(context, queues).Worker(
        pool="threads" if on_gpu_queues else "prefork",
        concurrency=concurrency or (batch if on_gpu_queues else os.cpu_count() or 1),
        queues=list(queues),
        hostname=f"{name}@{socket.gethostname()}",
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="INFO",
    )
    worker.start()
    context.close_models()
    return int(worker.exitcode or 0)


def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone where this signal has a receiver."""


def main() -> None:
    """The console script."""
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
    print(f"clipfleet-worker: {line}", file=sys.stderr)
    return code
