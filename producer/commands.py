"""What the commands of `clipfleet` do; each returns its exit code."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from rich.console import Console

from clipfleet import keys
from clipfleet.broker import Broker, redact
from clipfleet.errors import BrokerError, ExitCode, UsageError
from clipfleet.flags import read_options
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, GPU_QUEUES, PREPARE, PREVIEW, make_app
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings, read_settings
from clipfleet.store import Store
from producer import feed, manifest, report
from producer.progress import Tally, View
from producer.sources import Found, find_clips

DEFAULT_IN_FLIGHT = 64

_console = Console(highlight=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A run about to be fed: its clips, which of them are still to do, and what named none."""

    run_id: str
    options: Options
    store: Store
    clips: list[ManifestLine]
    todo: list[ManifestLine]
    problems: list[str]


def run(arguments: tuple[str, ...], flags: dict[str, Any]) -> int:
    """`clipfleet run`: the whole job on this machine."""
    from producer.embedded import Stack

    settings = _settings(flags)
    job = _plan(arguments, settings, _options_for_this_machine(flags, settings), flags)
    log_dir = _log_dir(settings.store, job.run_id)
    started = time.monotonic()
    if job.todo:
        _say_what_captions(job.options)
        try:
            with Stack(settings, job.options, log_dir=log_dir) as stack:
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
    settings = _settings(flags)
    url = settings.broker.get_secret_value()
    Broker(url).check()
    job = _plan(arguments, settings, read_options(flags, settings.options), flags)
    stage = settings.store.startswith("s3://") if stage is None else stage
    started = time.monotonic()
    if wait:
        try:
            _follow(job, settings, flags, check=list, stage=stage)
        except KeyboardInterrupt:
            _console.print(
                "Stopped following. What is on the queues goes on; the same command again "
                f"feeds the rest. How it stands: clipfleet status {job.run_id}",
                soft_wrap=True,
            )
            return ExitCode.INTERRUPTED
        return _finish(job, seconds=time.monotonic() - started)
    app = make_app(url, lease_s=settings.lease_s)
    with _console.status("feeding") as shown:
        for number, line in enumerate(job.todo, 1):
            feed.feed(app, _run(job, stage=stage), line)
            shown.update(f"feeding {number} of {len(job.todo)} clips")
    _console.print(
        f"{len(job.todo)} clips put on the queues of {redact(url)} as run {job.run_id}; "
        f"{len(job.clips) - len(job.todo)} were done already.\n"
        f"How it stands: clipfleet status {job.run_id}",
        soft_wrap=True,
    )
    return ExitCode.FAILED_CLIPS if job.problems else ExitCode.OK


def status(run_id: str, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet status`: how a run stands, by the store and the broker."""
    settings = _settings(flags)
    store = settings.open_store(settings.store)
    options = manifest.read_options(store, manifest.check_run_id(run_id))
    clips = list(manifest.read_clips(store, run_id))
    standing = report.standing(record for _, record in feed.find_done(store, clips, options.hash))
    broker = Broker(settings.broker.get_secret_value())
    backlog, workers = broker.backlog(), broker.workers()
    if as_json:
        beats = [dataclasses.asdict(beat) for beat in workers]
        print(json.dumps({"run": run_id, **standing, "backlog": backlog, "workers": beats}))
    else:
        _console.print(report.status_table(run_id, standing, backlog, workers))
    return ExitCode.FAILED_CLIPS if standing["failed"] else ExitCode.OK


def _settings(flags: dict[str, Any]) -> Settings:
    settings = read_settings(
        **{name: flags.get(name) for name in ("broker", "store", "s3_endpoint")}
    )
    if not settings.store:
        raise UsageError("no store: give --store (CLIPFLEET_STORE), a folder or s3://BUCKET")
    return settings


def _options_for_this_machine(flags: dict[str, Any], settings: Settings) -> Options:
    """The options, with models that this machine can run where none are named."""
    filed = settings.options
    named = flags.get("caption__model_variant") or filed.get("captioning-algorithm")
    caption = named or ("qwen" if has_gpu() else "mini")
    enhance = "mini" if caption == "mini" else "qwen_lm"
    return read_options(
        flags, filed, caption__model_variant=caption, enhance__model_variant=enhance
    )


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA GPU."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"GPU 0" in listed.stdout


def _say_what_captions(options: Options) -> None:
    if options.caption.model_variant == "mini":
        _console.print(
            "Captions come from [bold]mini[/], a stand-in with random weights: its words are "
            "noise.\nFor real captions, on a machine with a GPU: --captioning-algorithm qwen",
            style="yellow",
            soft_wrap=True,
        )


def _plan(
    arguments: tuple[str, ...], settings: Settings, options: Options, flags: dict[str, Any]
) -> Job:
    """Find the clips and which are done, and write the run down."""
    run_id = manifest.check_run_id(flags["run_id"] or manifest.new_run_id())
    listed = flags["from_file"] or ()
    names = [line.strip() for line in listed if line.strip()]
    found = find_clips([*arguments, *names], settings)
    if not found.clips:
        raise UsageError("; ".join(found.problems) or "no clips: name files, folders or s3:// URLs")
    for problem in found.problems:
        _console.print(f"clipfleet: {problem}", style="red", soft_wrap=True, markup=False)
    clips = found.clips[: flags["limit"]]
    store = settings.open_store(settings.store)
    store.prepare()
    todo = []
    with _console.status("looking for clips that are done already") as shown:
        for number, (line, record) in enumerate(feed.find_done(store, clips, options.hash), 1):
            if number % 1000 == 0:
                shown.update(f"looking for clips that are done already: {number} of {len(clips)}")
            if record is not None and flags["retry_failed"] and not record.valid:
                store.delete(keys.record(line.clip_uuid))
                record = None
            if record is None:
                todo.append(line)
    if todo:
        manifest.write_run(store, run_id, options, clips)
    _say_plan(run_id, found, clips, todo, store)
    return Job(
        run_id=run_id,
        options=options,
        store=store,
        clips=clips,
        todo=todo,
        problems=found.problems,
    )


def _say_plan(
    run_id: str, found: Found, clips: list[ManifestLine], todo: list[ManifestLine], store: Store
) -> None:
    known = f"; {len(clips) - len(todo)} done already" if len(todo) < len(clips) else ""
    limited = f" of {len(found.clips)} found" if len(clips) < len(found.clips) else ""
    name = f", run {run_id}" if todo else ""
    plural = "clip" if len(clips) == 1 else "clips"
    _console.print(
        f"{len(clips)} {plural}{limited} → {store.uri}{name}{known}", soft_wrap=True, markup=False
    )


def _log_dir(store: str, run_id: str) -> Path:
    """Where the workers of an embedded run log: beside its results, or else in the temp folder."""
    import tempfile

    local = "://" not in store
    root = Path(store) if local else Path(tempfile.gettempdir()) / "clipfleet-logs"
    return (root / keys.run(run_id) / "logs").resolve()


def _run(job: Job, *, stage: bool) -> feed.Run:
    return feed.Run(run_id=job.run_id, options_hash=job.options.hash, store=job.store, stage=stage)


def _follow(
    job: Job,
    settings: Settings,
    flags: dict[str, Any],
    *,
    check: Callable[[], list[str]],
    stage: bool,
    fatal: Collection[str] = (),
) -> None:
    """Feed the run and show how it goes. `check` looks after the workers, if they are ours."""
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
            for line in check():
                view.say(line)
            view.update(watch.line())

        feed.follow(
            make_app(url, lease_s=settings.lease_s),
            broker,
            _run(job, stage=stage),
            job.todo,
            tally,
            in_flight=flags["in_flight"] or DEFAULT_IN_FLIGHT,
            lease_s=settings.lease_s,
            tick=tick,
            say=view.say,
            fatal=fatal,
        )
    broker.close()


class _WorkerWatch:
    """Says which of the queues that a run needs have no live worker, looking once a second."""

    def __init__(self, broker: Broker, options: Options) -> None:
        self._broker = broker
        needed = [PREPARE, CAPTION, ASSEMBLE]
        needed += [PREVIEW] * options.prepare.generate_previews
        needed += [ENHANCE] * options.enhance.enabled
        self._needed = needed
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
    return feed.find_done(job.store, job.clips, job.options.hash)


def _finish(job: Job, *, seconds: float, logs: Path | None = None) -> int:
    """Show and store what came of the run, by the records that lie in the store."""
    found = list(_records(job))
    standing = report.standing(record for _, record in found)
    if job.todo:
        summary = {"run": job.run_id, "seconds": round(seconds, 1), **standing}
        data = json.dumps(summary, indent=1).encode()
        job.store.put(keys.run_summary(job.run_id), data, content_type="application/json")
    _console.print(report.clip_table(found, enhance=job.options.enhance.enabled))
    report.print_example(_console, found)
    report.print_totals(_console, job.store.uri, standing, done_now=len(job.todo), seconds=seconds)
    if standing["failed"]:
        _console.print(
            f"{standing['failed']} clips have errors; once their cause is mended, "
            "--retry-failed does them again." + (f" Logs: {logs}" if logs else ""),
            style="yellow",
            soft_wrap=True,
        )
    wrong = standing["failed"] or standing["missing"] or job.problems
    return ExitCode.FAILED_CLIPS if wrong else ExitCode.OK
