"""`clipfleet run` and `clipfleet submit`: clips that are named become a run. Each returns its exit
code.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from clipfleet import keys, xdg
from clipfleet.errors import ExitCode
from clipfleet.flags import read_options
from clipfleet.options import CaptionOptions, EnhanceOptions, Options
from clipfleet.private import make_private
from clipfleet.runs import RunControl, RunCounts
from clipfleet.sets import Defaults, plain_defaults
from clipfleet.settings import Settings
from clipfleet.store import Store
from clipfleet_producer.cli.dry_run import dry_run
from clipfleet_producer.cli.following import send
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.progress import ProgressView
from clipfleet_producer.cli.report import IDLE, print_result, print_submitted
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.feeding.following import Outcome, finish_observed, follow
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.feeding.submission import (
    RunRequest,
    SubmittedRun,
    create_run,
    submit_run,
)
from clipfleet_producer.runs.ending import discard_if_idle, nothing_to_do
from clipfleet_producer.runs.names import choose_run_id
from clipfleet_producer.sources.manifests.columns import read_said
from clipfleet_producer.sources.sampling import read_partition


def run(arguments: tuple[str, ...], flags: dict[str, Any]) -> int:
    """`clipfleet run`: the whole job on this machine."""
    _choose_output(flags)
    settings = store_settings(flags)
    gpus = count_gpus()
    options = read_options(flags, settings.options)
    request = _request(
        chain(arguments, _listed(flags["from_file"])),
        flags,
        control=RunControl(embedded=True),
        defaults=_defaults_of_this_machine(gpus),
    )
    if flags["dry_run"]:
        return dry_run(request, settings, options, as_json=flags["as_json"])
    with _listing() as tick:
        submitted = create_run(request, settings, options, tick=tick)
    print_submitted(submitted)
    if nothing_to_do(submitted.run):
        code, counts = _finish(submitted, named=flags["run_id"] is not None)
    else:
        _print_caveats(submitted.options)
        code, counts = _run_embedded(submitted, settings, gpus=gpus, in_flight=flags["in_flight"])
    return _end(code, submitted, counts, as_json=flags["as_json"])


def _run_embedded(
    submitted: SubmittedRun, settings: Settings, *, gpus: int, in_flight: int | None
) -> tuple[int, RunCounts]:
    from clipfleet_producer.embedded.stack import Stack

    run, options = submitted.run, submitted.options
    log_dir = _log_dir(run.store, run.run_id)
    started = time.monotonic()
    with (
        Stack(settings, options, log_dir=log_dir, gpus=gpus) as stack,
        ProgressView(console, run.head.clips, options) as view,
    ):
        outcome = follow(
            run,
            options,
            stack.settings,
            view,
            in_flight=in_flight,
            check=stack.check,
            # Nobody but the person who reads this can mend the store: say so and stop.
            fatal=("StoreFull", "StoreDenied"),
        )
    if outcome is Outcome.INTERRUPTED:
        console.print(
            f"Stopped, with {view.counts.done} of {run.head.clips} clips done. "
            "The same command again does the rest.",
            soft_wrap=True,
        )
        return ExitCode.INTERRUPTED, view.counts
    seconds = time.monotonic() - started
    code = print_result(run, options, view, seconds=seconds, logs=str(log_dir))
    return code, view.counts


def _finish(submitted: SubmittedRun, *, named: bool) -> tuple[int, RunCounts]:
    """Print the result of a run whose clips are all done already.

    Nobody looks for such a run by a name that was not asked for: it is not kept.
    """
    run = submitted.run
    progress = ProgressObserver(run.head.clips)
    finish_observed(run, progress)
    kept = named or not discard_if_idle(run)
    code = print_result(run, submitted.options, progress, seconds=0.0, kept=kept)
    return code, progress.counts


def submit(
    arguments: tuple[str, ...], flags: dict[str, Any], *, wait: bool, stage: bool | None
) -> int:
    """`clipfleet submit`: create a run for a fleet, and follow it if asked to."""
    _choose_output(flags)
    settings = store_settings(flags)
    options = read_options(flags, settings.options)
    request = _request(
        chain(arguments, _listed(flags["from_file"])),
        flags,
        staged=settings.open_store().is_remote if stage is None else stage,
        control=RunControl(priority=flags["priority"] or 0, in_flight=flags["in_flight"]),
    )
    if flags["dry_run"]:
        return dry_run(request, settings, options, as_json=flags["as_json"])
    broker = settings.open_broker()
    with _listing() as tick:
        submitted = submit_run(request, settings, options, broker, tick=tick)
    print_submitted(submitted)
    _print_caveats(submitted.options)
    code = send(submitted.run, submitted.options, settings, in_flight=flags["in_flight"], wait=wait)
    summary = (submitted.run.summary() if wait and flags["as_json"] else None) or {}
    counts = RunCounts.model_validate(summary) if summary else None
    if flags["run_id"] is None and discard_if_idle(submitted.run):
        console.print(IDLE, soft_wrap=True)
    return _end(code, submitted, counts, as_json=flags["as_json"])


def _end(code: int, submitted: SubmittedRun, counts: RunCounts | None, *, as_json: bool) -> int:
    """The exit code of a command whose run ended with `code`: what was named counts, too.

    As JSON, one object is printed; without `counts` where the run goes on elsewhere.
    """
    code = ExitCode.FAILED_CLIPS if code == ExitCode.OK and submitted.problems else code
    if as_json:
        run = submitted.run
        of_run = {"run": run.run_id, "set": run.head.set_name, "store": run.store.uri}
        counted = counts.model_dump(exclude={"version"}) if counts else {}
        said = {**of_run, **counted, "clips": run.head.clips}
        print(json.dumps(said | {"problems": [*submitted.problems], "exit_code": int(code)}))
    return code


def _request(
    names: Iterator[str],
    flags: dict[str, Any],
    *,
    control: RunControl,
    staged: bool = False,
    defaults: Defaults = plain_defaults,
) -> RunRequest:
    return RunRequest(
        names=names,
        limit=flags["limit"],
        partition=read_partition(flags["partition"]) if flags["partition"] else None,
        shuffle=flags["shuffle"],
        columns=read_said(flags["columns"], clip=flags["clip_column"]),
        run_id=choose_run_id(flags["run_id"]),
        set_name=flags["set_name"] or "",
        overwrite=flags["overwrite"],
        defaults=defaults,
        retry_failed=flags["retry_failed"],
        redo_changed=flags["redo_changed"],
        staged=staged,
        follow_links=flags["follow_links"],
        control=control,
    )


@contextmanager
def _listing() -> Iterator[Callable[[int], None]]:
    """Shows how many clips were found; what it gives is called with their number."""
    with console.status("looking for clips") as shown:
        yield lambda count: shown.update(f"looking for clips: {count:,} so far")


def _choose_output(flags: dict[str, Any]) -> None:
    """With --json, standard output is for one object at the end, and people read the other."""
    console.stderr = flags["as_json"]


def _listed(file: Any) -> Iterator[str]:
    """The lines of a list of names."""
    return (line.strip() for line in file or () if line.strip())


def _defaults_of_this_machine(gpus: int) -> Defaults:
    """The models that this machine can run, where neither the run nor its set names others."""

    def defaults(captioner: str | None) -> Options:
        caption = captioner or ("qwen" if gpus else "mini")
        enhance = "mini" if caption == "mini" else "qwen_lm"
        return Options(
            caption=CaptionOptions(model_variant=caption),
            enhance=EnhanceOptions(model_variant=enhance),
        )

    return defaults


def count_gpus() -> int:
    """How many NVIDIA GPUs this machine shows."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith(b"GPU ") for line in listed.stdout.splitlines())


def _print_caveats(options: Options) -> None:
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
