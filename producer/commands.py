"""What the commands of `clipfleet` do; each returns its exit code."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from rich.console import Console

from clipfleet import keys
from clipfleet.broker import Broker, redact
from clipfleet.errors import BrokerError, ExitCode, StoreError, UsageError
from clipfleet.flags import read_options
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, GPU_QUEUES, PREPARE, make_app, window_queues
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings, read_settings
from clipfleet.store import Store
from producer import feed, report
from producer.plan import Job, make_plan
from producer.progress import Tally, View
from producer.sources import printable, short_name

DEFAULT_IN_FLIGHT = 64

_console = Console(highlight=False)


def run(arguments: tuple[str, ...], flags: dict[str, Any]) -> int:
    """`clipfleet run`: the whole job on this machine."""
    from producer.embedded import Stack

    settings = store_settings(flags)
    gpus = count_gpus()
    job = _plan(arguments, settings, _options_for_this_machine(flags, settings, gpus), flags)
    log_dir = _log_dir(job.store, job.run_id)
    started = time.monotonic()
    if job.todo:
        _say_caveats(job.options)
        try:
            with Stack(settings, job.options, log_dir=log_dir, gpus=gpus) as stack:
                # Nobody but the person who reads this can mend the store: say so and stop.
                fatal = ("StoreFull", "StoreDenied")
                _follow(job, stack.settings, flags, check=stack.check, stage=False, fatal=fatal)
        except KeyboardInterrupt:
            done = sum(1 for _, record in _records(job) if record is not None)
            _console.print(
                f"Stopped, with {done} of {len(job.clips)} clips done. "
                "The same command again does the rest.",
                soft_wrap=True,
            )
            return ExitCode.INTERRUPTED
    return _finish(job, seconds=time.monotonic() - started, logs=log_dir if job.todo else None)


def submit(
    arguments: tuple[str, ...], flags: dict[str, Any], *, wait: bool, stage: bool | None
) -> int:
    """`clipfleet submit`: put clips on a fleet's queues, and follow them if asked to."""
    settings = fleet_settings(flags)
    if flags["in_flight"] and not wait:
        raise UsageError("--in-flight needs --wait: without it, everything is put on the queues")
    job = _plan(arguments, settings, read_options(flags, settings.options), flags)
    if job.todo:
        _say_caveats(job.options)
    return send(job, settings, flags, wait=wait, stage=stage)


def fleet_settings(flags: dict[str, Any]) -> Settings:
    """The settings of a command to a fleet. Raises `BrokerError` unless its broker answers."""
    settings = store_settings(flags)
    Broker(settings.broker.get_secret_value()).check()
    return settings


def send(
    job: Job, settings: Settings, flags: dict[str, Any], *, wait: bool, stage: bool | None
) -> int:
    """Put a job's clips on a fleet's queues, and follow them to the end if asked to."""
    if wait:
        return follow(job, settings, flags, stage=stage)
    url = settings.broker.get_secret_value()
    app = make_app(url, lease_s=settings.lease_s)
    run = job.run(stage=_stages(settings, stage))
    fed = 0
    with _console.status("feeding") as shown:
        for line in job.todo:
            fed += _feed_patiently(app, run, line)
            shown.update(f"feeding {fed} of {len(job.todo)} clips")
    _console.print(
        f"{fed} clips put on the queues of {redact(url)} as run {job.run_id}; "
        f"{len(job.clips) - len(job.todo)} were done already.\n"
        f"How it stands: clipfleet status {job.run_id}\n"
        f"To follow it and find what was lost: clipfleet reconcile {job.run_id} --follow",
        soft_wrap=True,
        markup=False,
    )
    whole = fed == len(job.todo) and not job.problems
    return ExitCode.OK if whole else ExitCode.FAILED_CLIPS


def _stages(settings: Settings, asked: bool | None) -> bool:
    """Whether clips of this machine are copied to scratch: unless asked, where the store is S3."""
    return settings.store.startswith("s3://") if asked is None else asked


def follow(
    job: Job, settings: Settings, flags: dict[str, Any], *, stage: bool | None, fed: bool = False
) -> int:
    """Follow a fleet's run to its end, and say what came of it."""
    started = time.monotonic()
    try:
        copied = _stages(settings, stage)
        _follow(job, settings, flags, check=lambda _: [], stage=copied, fed=fed)
    except KeyboardInterrupt:
        _console.print(
            "Stopped following. What is on the queues goes on. To go on with the rest: "
            f"clipfleet reconcile {job.run_id} --follow",
            soft_wrap=True,
        )
        return ExitCode.INTERRUPTED
    return _finish(job, seconds=time.monotonic() - started)


def _feed_patiently(app: Any, run: feed.Run, line: ManifestLine) -> bool:
    """Feed one clip, waiting up to a minute for broker and store; False for one not readable."""
    for wait_s in (1, 2, 4, 8, 16, 32, 0):
        try:
            feed.feed(app, run, line)
            break
        except OSError as error:
            line_name = printable(short_name(line.source))
            _console.print(f"{line_name}: it cannot be read ({error.strerror})", markup=False)
            return False
        except (BrokerError, StoreError):
            if not wait_s:
                raise
            time.sleep(wait_s)
    return True


def store_settings(flags: dict[str, Any]) -> Settings:
    """The settings of a command that needs a store. Raises `UsageError` without one."""
    settings = read_settings(
        **{name: flags.get(name) for name in ("broker", "store", "s3_endpoint")}
    )
    if not settings.store:
        raise UsageError("no store: give --out or --store, a folder or s3://BUCKET[/PREFIX]")
    return settings


def _plan(
    arguments: tuple[str, ...], settings: Settings, options: Options, flags: dict[str, Any]
) -> Job:
    listed = (line.strip() for line in flags["from_file"] or ())
    return make_plan(
        [*arguments, *filter(None, listed)],
        settings,
        options,
        _console,
        run_id=flags["run_id"],
        limit=flags["limit"],
        retry_failed=flags["retry_failed"],
    )


def _options_for_this_machine(flags: dict[str, Any], settings: Settings, gpus: int) -> Options:
    """The options, with models that this machine can run where none are named."""
    filed = settings.options
    named = flags.get("caption__model_variant") or filed.get("captioning-algorithm")
    caption = named or ("qwen" if gpus else "mini")
    enhance = "mini" if caption == "mini" else "qwen_lm"
    return read_options(
        flags, filed, caption__model_variant=caption, enhance__model_variant=enhance
    )


def count_gpus() -> int:
    """How many NVIDIA GPUs this machine shows."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith(b"GPU ") for line in listed.stdout.splitlines())


def _say_caveats(options: Options) -> None:
    for caveat in options.caveats:
        _console.print(caveat, style="yellow", soft_wrap=True, markup=False)


def _log_dir(store: Store, run_id: str) -> Path:
    """Where the workers of an embedded run log: beside its results, or else in the temp folder."""
    local = "://" not in store.uri
    root = Path(store.uri) if local else Path(tempfile.gettempdir()) / "clipfleet-logs"
    return root / keys.run(run_id) / "logs"


def _follow(
    job: Job,
    settings: Settings,
    flags: dict[str, Any],
    *,
    check: Callable[[int], list[str]],
    stage: bool,
    fatal: Collection[str] = (),
    fed: bool = False,
) -> None:
    """Feed the run and show how it goes.

    `check` looks after the workers, if they are ours, told how far the run is.
    """
    url = settings.broker.get_secret_value()
    broker = Broker(url)
    tally = Tally(clips=len(job.clips), already_done=len(job.clips) - len(job.todo))
    options = job.options
    watch = _WorkerWatch(broker, options)
    with View(
        _console,
        tally,
        enhance=options.enhance.enabled,
        previews=options.prepare.generate_previews,
    ) as view:

        def tick() -> None:
            for line in check(tally.progress):
                view.say(line)
            view.update(watch.line())

        follower = feed.Follower(
            make_app(url, lease_s=settings.lease_s),
            broker,
            job.run(stage=stage),
            tally,
            lease_s=settings.lease_s,
            say=view.say,
            fatal=fatal,
        )
        in_flight = flags["in_flight"] or DEFAULT_IN_FLIGHT
        follower.follow(job.todo, in_flight=in_flight, tick=tick, fed=fed)
    broker.close()


class _WorkerWatch:
    """Says which of the queues that a run needs have no live worker, looking once a second."""

    def __init__(self, broker: Broker, options: Options) -> None:
        self._broker = broker
        self._needed = [PREPARE, ASSEMBLE, *window_queues(options)]
        self._line, self._looked_at = "starting", 0.0

    def line(self) -> str:
        """What to show beside the bars."""
        now = time.monotonic()
        if now - self._looked_at > 1.0:
            self._looked_at = now
            try:
                served = {queue for beat in self._broker.workers() for queue in beat.queues}
            except BrokerError:
                self._line = "the broker is away"
            else:
                missing = [queue for queue in self._needed if queue not in served]
                self._line = _waiting_for(missing)
        return self._line


def _waiting_for(queues: list[str]) -> str:
    if not queues:
        return "working"
    on = " and ".join(queues)
    if set(queues) <= set(GPU_QUEUES):
        return f"waiting for the {on} worker, which loads its model"
    return f"waiting for workers: {', '.join(queues)}"


def _records(job: Job) -> Any:
    return feed.find_done(job.store, job.clips, job.options.hash, run_id=job.run_id)


def _finish(job: Job, *, seconds: float, logs: Path | None = None) -> int:
    """Show and store what came of the run, by the records that lie in the store."""
    found = list(_records(job))
    standing = report.standing(record for _, record in found)
    now = sum(1 for _, record in found if record is not None and record.run_id == job.run_id)
    if job.todo:
        summary = {"run": job.run_id, "seconds": round(seconds, 1), **standing}
        data = json.dumps(summary, indent=1).encode()
        job.store.put(keys.run_summary(job.run_id), data, content_type="application/json")
    _console.print(report.clip_table(found, enhance=job.options.enhance.enabled))
    report.print_captions(_console, found, job.store.uri)
    report.print_totals(_console, job.store.uri, standing, done_now=now, seconds=seconds)
    if standing["failed"]:
        _console.print(
            f"{standing['failed']} clips have errors (clipfleet failures {job.run_id}); once their "
            "cause is mended, --retry-failed does them again." + (f" Logs: {logs}" if logs else ""),
            style="yellow",
            soft_wrap=True,
        )
    wrong = standing["failed"] or standing["missing"] or job.problems
    return ExitCode.FAILED_CLIPS if wrong else ExitCode.OK
