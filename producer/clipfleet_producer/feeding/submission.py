"""Submitting a run: the clips that are named, found and written to the store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from clipfleet.broker.client import Broker
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunControl
from clipfleet.settings import Settings
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.writing import check_free, write_run
from clipfleet_producer.sources.named_places import NamedPlaces, note_not_uploaded
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.sampling import sample
from clipfleet_producer.sources.search import find_clips
from clipfleet_producer.sources.unique import unique


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run is asked to be: which clips, which of them, under which name, how soon.

    `partition` (i, n) is the i-th of n, counted from 1; `shuffle` a seed.
    """

    names: Iterable[str]
    limit: int | None = None
    partition: tuple[int, int] | None = None
    shuffle: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    run_id: str
    retry_failed: bool = False
    staged: bool = False
    follow_links: bool = True
    control: RunControl = field(default_factory=RunControl)
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
        clips = sample(once, limit=self.limit, partition=self.partition)
        if not variants.base.prepare.upload_clips:
            return clips
        return note_not_uploaded(clips, settings.sources or self.named, problems)


@dataclass(frozen=True, kw_only=True)
class SubmittedRun:
    """A run that was created, and what was named or lay there and is no clip."""

    run: Run
    options: Options
    problems: Problems
    passed: PassedOver


def submit_run(
    request: RunRequest,
    settings: Settings,
    options: Options,
    broker: Broker,
    *,
    tick: Callable[[int], None] = lambda count: None,
) -> SubmittedRun:
    """Create a run for the fleet of this broker to work on. Raises `BrokerError` beside others."""
    broker.clear_cancellation(request.run_id)
    ours = {"fleet": broker.fleet(), "broker": broker.address}
    request = replace(request, control=request.control.model_copy(update=ours))
    return create_run(request, settings, options, tick=tick)


def create_run(
    request: RunRequest,
    settings: Settings,
    options: Options,
    *,
    tick: Callable[[int], None] = lambda count: None,
) -> SubmittedRun:
    """Find the clips, and write them as a run; `tick` is called with how many were found.

    Raises `UsageError` where nothing is named, `StoreError` where the store cannot be used.
    """
    problems = Problems()
    with OptionOverrides(options) as variants:
        clips = request.clips(settings, variants, problems)
        first = next(clips, None)
        if first is None:
            said = "; ".join(problems)
            raise UsageError(said or "no clips: name files, folders, manifests or s3:// URLs")
        store = settings.open_store()
        store.prepare()
        check_free(store, request.run_id, options, anew=request.retry_failed)
        written = write_run(
            store,
            request.run_id,
            options,
            chain([first], clips),
            control=request.control,
            retry_failed=request.retry_failed,
            staged=request.staged,
            variants=variants.new,
            places=lambda: (
                (settings.allowed_sources or request.named) if variants.any_uploads else ()
            ),
            tick=tick,
        )
    run = Run(head=written.head, store=store, allowed=settings.sources)
    return SubmittedRun(run=run, options=options, problems=problems, passed=request.passed)
