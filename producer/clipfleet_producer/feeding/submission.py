"""Submitting a run: the clips that are named, found and written to the store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from clipfleet.broker.client import Broker
from clipfleet.errors import RunFinished, UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunControl
from clipfleet.sets import Defaults, plain_defaults
from clipfleet.settings import Settings
from clipfleet.store import Store
from clipfleet_producer.runs import control
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.sets import SetPlan, claim_set, outdated_runs, plan_set
from clipfleet_producer.runs.store import RunStore
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
    """What a run is asked to be: which clips, which of them, of which set, under which name, how
    soon.

    With `overwrite`, the set's options become the run's. `defaults` are the options where neither
    says. `partition` (i, n) is the i-th of n, counted from 1; `shuffle` a seed.
    """

    names: Iterable[str]
    limit: int | None = None
    partition: tuple[int, int] | None = None
    shuffle: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    run_id: str
    set_name: str = ""
    overwrite: bool = False
    defaults: Defaults = plain_defaults
    retry_failed: bool = False
    redo_changed: bool = False
    staged: bool = False
    follow_links: bool = True
    control: RunControl = field(default_factory=RunControl)
    named: NamedPlaces = field(default_factory=NamedPlaces)
    passed: PassedOver = field(default_factory=PassedOver)

    @property
    def redoes(self) -> bool:
        """Whether clips that have their records are done again."""
        return self.retry_failed or self.redo_changed

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

    def plan(self, store: Store, given: Options) -> SetPlan:
        """The run in its set, by the options that it gives. Raises `SetConflict`."""
        return plan_set(
            store, self.set_name, given, defaults=self.defaults, overwrite=self.overwrite
        )


@dataclass(frozen=True, kw_only=True)
class SubmittedRun:
    """A run that was created, and what was named or lay there and is no clip."""

    run: Run
    plan: SetPlan
    problems: Problems
    passed: PassedOver

    @property
    def options(self) -> Options:
        """Its options, those of its set included."""
        return self.plan.options


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
    return create_run(
        request, settings, options, tick=tick, cancel=lambda run: control.cancel(run, broker)
    )


def create_run(
    request: RunRequest,
    settings: Settings,
    options: Options,
    *,
    tick: Callable[[int], None] = lambda count: None,
    cancel: Callable[[RunStore], None] = RunStore.deactivate,
) -> SubmittedRun:
    """Find the clips, and write them as a run; `tick` is called with how many were found.

    `options` are those that it gives (`clipfleet.sets.resolve`); its set has the others. Where it
    overwrites those, `cancel` ends unfinished runs that have the earlier ones. Raises
    `SetConflict` where the set has other ones, `UsageError` where nothing is named, `StoreError`
    where the store cannot be used.
    """
    problems = Problems()
    store = settings.open_store()
    plan = request.plan(store, options)
    options = plan.options
    with OptionOverrides(options) as variants:
        clips = request.clips(settings, variants, problems)
        first = next(clips, None)
        if first is None:
            said = "; ".join(problems)
            raise UsageError(said or "no clips: name files, folders, manifests or s3:// URLs")
        store.prepare()
        check_free(store, request.run_id, options, set_name=plan.name, anew=request.redoes)
        claim_set(store, plan, request.run_id)
        for outdated in outdated_runs(store, plan.name) if plan.replaced else ():
            with suppress(RunFinished):
                cancel(outdated)
        written = write_run(
            store,
            request.run_id,
            options,
            chain([first], clips),
            set_name=plan.name,
            control=request.control,
            retry_failed=request.retry_failed,
            redo_changed=request.redo_changed,
            staged=request.staged,
            variants=variants.new,
            places=lambda: (
                (settings.allowed_sources or request.named) if variants.any_uploads else ()
            ),
            tick=tick,
        )
    run = Run(head=written.head, store=store, allowed=settings.sources)
    return SubmittedRun(run=run, plan=plan, problems=problems, passed=request.passed)
