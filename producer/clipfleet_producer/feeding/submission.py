"""What a command is about to do: the clips that it names, written down as a run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from rich.console import Console

from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.records import ManifestLine
from clipfleet.runs import RunHead
from clipfleet.settings import Settings
from clipfleet.sources import AllowedSources
from clipfleet.store import Store
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.model import Run
from clipfleet_producer.sources.named_places import NamedPlaces, note_not_uploaded
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.sampling import sample
from clipfleet_producer.sources.search import find_clips
from clipfleet_producer.sources.unique import unique


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run is asked to be: which clips, which part of them, under which name, how soon.

    `shard` (i, n) is part i of n, counted from 1; `shuffle` a seed. `fleet` and `broker` say whom
    it is submitted to.
    """

    names: Iterable[str]
    limit: int | None = None
    shard: tuple[int, int] | None = None
    shuffle: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    run_id: str
    retry_failed: bool = False
    staged: bool = False
    priority: int = 0
    embedded: bool = False
    fleet: str = ""
    broker: str = ""
    follow_links: bool = True
    named: NamedPlaces = field(default_factory=NamedPlaces)
    passed: PassedOver = field(default_factory=PassedOver)

    def clips(
        self, settings: Settings, variants: OptionOverrides, problems: Problems
    ) -> Iterator[ManifestLine]:
        """The clips, each once. Raises `StoreError` where a listing breaks off."""
        found = find_clips(
            self.names,
            settings,
            variants=variants,
            problems=problems,
            columns=self.columns,
            named=self.named,
            passed=self.passed,
            follow_links=self.follow_links,
        )
        once = unique(found, shuffle=self.shuffle)
        clips = sample(once, limit=self.limit, shard=self.shard)
        if not variants.base.prepare.upload_clips:
            return clips
        return note_not_uploaded(clips, settings.sources or self.named.allowed, problems)


@dataclass(frozen=True, kw_only=True)
class SubmittedRun:
    """A run that is written down, and what was named and is no clip."""

    head: RunHead
    options: Options
    store: Store
    problems: Problems
    allowed: AllowedSources | None

    @property
    def run(self) -> Run:
        """The run, for feeding."""
        return Run(head=self.head, store=self.store, allowed=self.allowed)


def create_run(
    asked: RunRequest, settings: Settings, options: Options, console: Console
) -> SubmittedRun:
    """Find the clips, and write the run down.

    Raises `UsageError` where nothing is named, `StoreError` where the store cannot be used.
    """
    run_id, problems = asked.run_id, Problems()
    with OptionOverrides(options) as variants, console.status("looking for clips") as shown:
        clips = asked.clips(settings, variants, problems)
        first = next(clips, None)
        if first is None:
            said = "; ".join(problems)
            raise UsageError(said or "no clips: name files, folders, manifests or s3:// URLs")
        store = settings.open_store()
        store.prepare()
        manifest.check_free(store, run_id, options, anew=asked.retry_failed)
        head = manifest.write_run(
            store,
            run_id,
            options,
            chain([first], clips),
            retry_failed=asked.retry_failed,
            staged=asked.staged,
            priority=asked.priority,
            embedded=asked.embedded,
            fleet=asked.fleet,
            broker=asked.broker,
            variants=variants.new,
            places=lambda: settings.allowed_sources or asked.named,
            tick=lambda count: shown.update(f"looking for clips: {count:,} so far"),
        )
    say_passed_over(asked.passed, console)
    say_problems(problems, console)
    plural = "clip" if head.clips == 1 else "clips"
    console.print(
        f"{head.clips:,} {plural} → {store.uri}, run {run_id}", soft_wrap=True, markup=False
    )
    return SubmittedRun(
        head=head, options=options, store=store, problems=problems, allowed=settings.sources
    )


def say_passed_over(passed: PassedOver, console: Console) -> None:
    """Print what lay where clips were looked for and is none."""
    if passed:
        console.print(f"Passed over: {printable(str(passed))}.", soft_wrap=True, markup=False)


def say_problems(problems: Problems, console: Console) -> None:
    """Print how manifests are read, where that is not plain, and what was named and is no clip."""
    for note in problems.notes:
        console.print(f"clipfleet: {printable(note)}", style="yellow", soft_wrap=True, markup=False)
    if problems.rows:
        plural = "row" if problems.rows == 1 else "rows"
        console.print(
            f"{problems.rows:,} {plural} of manifests, {problems.wrong_rows:,} of them wrong"
        )
    for problem in problems:
        console.print(f"clipfleet: {printable(problem)}", style="red", soft_wrap=True, markup=False)
    if problems.left_out:
        more = f"clipfleet: … and {problems.left_out:,} more like these"
        console.print(more, style="red", soft_wrap=True)
