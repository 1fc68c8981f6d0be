"""What the commands that feed runs do; each returns its exit code."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from clipfleet import keys, logs, xdg
from clipfleet.errors import ExitCode, UsageError
from clipfleet.flags import read_options
from clipfleet.options import Options
from clipfleet.private import make_private
from clipfleet.settings import Settings, read_settings
from clipfleet.store import STORE_FORMS, Store
from clipfleet_producer.cli.dry_run import dry_run
from clipfleet_producer.cli.report import print_result
from clipfleet_producer.cli.terminal import Console
from clipfleet_producer.feeding.following import count_done, fill, follow, nothing_to_do
from clipfleet_producer.feeding.submission import RunRequest, SubmittedRun, create_run
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.model import Run
from clipfleet_producer.sources.manifests.columns import read_said
from clipfleet_producer.sources.sampling import read_part

console = Console()


def run(arguments: tuple[str, ...], flags: dict[str, Any]) -> int:
    """`clipfleet run`: the whole job on this machine."""
    from clipfleet_producer.embedded.stack import Stack

    settings = store_settings(flags)
    gpus = count_gpus()
    options = _options_for_this_machine(flags, settings, gpus)
    if _is_dry(flags):
        asked = _asked(arguments, flags)
        return dry_run(asked, settings, options, console, as_json=flags["as_json"])
    planned = create_run(_asked(arguments, flags, embedded=True), settings, options, console)
    log_dir = _log_dir(planned.store, planned.head.run_id)
    started = time.monotonic()
    if nothing_to_do(planned.run):
        return _tell_of_old(planned)
    _say_caveats(options)
    with Stack(settings, options, log_dir=log_dir, gpus=gpus) as stack:
        screen = follow(
            planned.run,
            options,
            stack.settings,
            console,
            in_flight=flags["in_flight"],
            check=stack.check,
            # Nobody but the person who reads this can mend the store: say so and stop.
            fatal=("StoreFull", "StoreDenied"),
        )
    if screen.interrupted:
        console.print(
            f"Stopped, with {screen.counts.done} of {planned.head.clips} clips done. "
            "The same command again does the rest.",
            soft_wrap=True,
        )
        return ExitCode.INTERRUPTED
    seconds = time.monotonic() - started
    code = print_result(planned.run, options, screen, console, seconds=seconds, logs=str(log_dir))
    return ExitCode.FAILED_CLIPS if planned.problems else code


def _tell_of_old(planned: SubmittedRun) -> int:
    """What there is to say of a run whose clips are all done already."""
    run = planned.run
    screen = count_done(run)
    manifest.conclude(run.store, run.head, screen.counts)
    code = print_result(run, planned.options, screen, console, seconds=0.0)
    return ExitCode.FAILED_CLIPS if planned.problems else code


def submit(
    arguments: tuple[str, ...], flags: dict[str, Any], *, wait: bool, stage: bool | None
) -> int:
    """`clipfleet submit`: write a run down for a fleet, and follow it if asked to."""
    settings = store_settings(flags)
    options = read_options(flags, settings.options)
    asked = _asked(arguments, flags, staged=_stages(settings, stage))
    if _is_dry(flags):
        return dry_run(asked, settings, options, console, as_json=flags["as_json"])
    broker = settings.open_broker()
    broker.clear_cancellation(asked.run_id)
    asked = replace(asked, fleet=broker.fleet(), broker=broker.address)
    planned = create_run(asked, settings, options, console)
    _say_caveats(options)
    code = send(planned.run, options, settings, in_flight=flags["in_flight"], wait=wait)
    return ExitCode.FAILED_CLIPS if code == ExitCode.OK and planned.problems else code


def serve(flags: dict[str, Any], *, following: bool) -> int:
    """`clipfleet feed`: feed all runs of the store that are not at their end."""
    from clipfleet_producer.feeding.service import Service

    settings = fleet_settings(flags)
    logs.set_up(log_format=settings.log_format, verbose=False)
    try:
        Service(settings, in_flight=flags["in_flight"]).serve(following=following)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def fleet_settings(flags: dict[str, Any]) -> Settings:
    """The settings of a command to a fleet. Raises `BrokerError` unless its broker answers."""
    settings = store_settings(flags)
    settings.open_broker().check()
    return settings


def send(
    run: Run, options: Options, settings: Settings, *, in_flight: int | None, wait: bool
) -> int:
    """Put a run's clips on a fleet's queues: as many as may be in flight, or, followed, all."""
    if wait:
        return see_through(run, options, settings, in_flight=in_flight)
    counts, in_flight_now, blocked_reason = fill(run, settings, console, in_flight=in_flight)
    url = settings.open_broker().address
    rest = run.head.clips - counts.done - counts.lost - in_flight_now
    done = f"{counts.done:,} were done already."
    if rest and not in_flight_now and not blocked_reason:  # the service was quicker
        lines = [f"Run {run.run_id} is fed to the queues of {url}; {done}"]
    else:
        lines = [f"{in_flight_now:,} clips put on the queues of {url} as run {run.run_id}; {done}"]
    if rest:
        why = f" ({blocked_reason})" if blocked_reason else ""
        here = f"here: clipfleet feed {run.run_id}"
        where = f"where a feeder runs (clipfleet feed --follow), or {here}"
        lines.append(
            f"The other {rest:,} are fed as those are done{why}, "
            + (f"from this machine, which has their files, {here}" if run.stage else where)
        )
    lines.append(f"How it stands: clipfleet status {run.run_id} --follow")
    if not rest:
        lines.append(f"To follow it and find what was lost: clipfleet feed {run.run_id}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)
    return ExitCode.FAILED_CLIPS if counts.lost else ExitCode.OK


def see_through(run: Run, options: Options, settings: Settings, *, in_flight: int | None) -> int:
    """Follow a fleet's run to its end, and say what came of it."""
    started = time.monotonic()
    screen = follow(run, options, settings, console, in_flight=in_flight)
    if screen.interrupted:
        console.print(
            "Stopped following. What is on the queues goes on. To go on with the rest: "
            f"clipfleet feed {run.run_id}",
            soft_wrap=True,
        )
        return ExitCode.INTERRUPTED
    if screen.left_off:
        console.print(f"Run {run.run_id} was cancelled, or written anew, meanwhile.")
        return ExitCode.FAILED_CLIPS
    return print_result(run, options, screen, console, seconds=time.monotonic() - started)


def _stages(settings: Settings, asked: bool | None) -> bool:
    """Whether clips of this machine are copied to scratch; by default if the store is remote."""
    return settings.open_store().is_remote if asked is None else asked


def store_settings(flags: dict[str, Any]) -> Settings:
    """The settings of a command that needs a store. Raises `UsageError` without one."""
    settings = read_settings(
        **{name: flags.get(name) for name in ("broker", "store", "s3_endpoint")}
    )
    if not settings.store:
        raise UsageError(f"no store: give --out or --store, {STORE_FORMS}")
    return settings


def _asked(
    arguments: tuple[str, ...],
    flags: dict[str, Any],
    *,
    staged: bool = False,
    embedded: bool = False,
) -> RunRequest:
    return RunRequest(
        names=chain(arguments, _listed(flags["from_file"])),
        limit=flags["limit"],
        shard=read_part(flags["shard"]) if flags["shard"] else None,
        shuffle=flags["shuffle"],
        columns=read_said(flags["columns"], clip=flags["clip_column"]),
        run_id=manifest.choose_run_id(flags["run_id"]),
        embedded=embedded,
        retry_failed=flags["retry_failed"],
        staged=staged,
        follow_links=flags["follow_links"],
        priority=flags.get("priority") or 0,
    )


def _is_dry(flags: dict[str, Any]) -> bool:
    if flags["as_json"] and not flags["dry_run"]:
        raise UsageError("--json goes with --dry-run; for a run: clipfleet status RUN --json")
    return bool(flags["dry_run"])


def _listed(file: Any) -> Iterator[str]:
    """The lines of a list of names."""
    return (line.strip() for line in file or () if line.strip())


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
        console.print(caveat, style="yellow", soft_wrap=True, markup=False)


def _log_dir(store: Store, run_id: str) -> Path:
    """Where the workers of an embedded run log: beside its results, or else with this user's state.

    Not in the folder for temporary files, where others could put links by the name that a log will
    have. Raises `UsageError`.
    """
    if not store.is_remote:
        return Path(store.uri) / keys.run(run_id) / "logs"
    state = xdg.state_folder()
    folder = state / "logs" / run_id
    make_private(folder, below=state.parent)
    return folder
