"""All runs of a store, the newest first."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from clipfleet.broker.client import Broker
from clipfleet.errors import BrokerError, UsageError
from clipfleet.options import Options
from clipfleet.runs import RunCounts, RunHead, RunState
from clipfleet.store import Store
from clipfleet_producer.prefetch import Readers
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.status import StatusReader
from clipfleet_producer.runs.store import run_heads


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """One run; `options` are None where this clipfleet cannot read them."""

    head: RunHead
    state: RunState
    counts: RunCounts
    seconds: float
    options: Options | None


def list_runs(store: Store, broker: Broker, *, limit: int | None = None) -> Iterator[ListedRun]:
    """All runs of the store, or so many, the newest first. Raises `StoreError`.

    What is known of a run that has finished is read as it was written then; others are looked
    through, with a broker that answers or without.
    """
    try:
        broker.check()
        answering: Broker | None = broker
    except BrokerError:
        answering = None
    with Readers() as pool:
        yield from pool.map(lambda head: _listed(store, head, answering), run_heads(store)[:limit])


def _listed(store: Store, head: RunHead, broker: Broker | None) -> ListedRun:
    run = Run(store=store, head=head)
    try:
        options: Options | None = run.options()
    except UsageError:
        options = None
    summary = run.summary()
    if summary is None:
        status = StatusReader(run, broker).read()
        state, counts, seconds = status.state, status.counts, status.elapsed_s
    else:
        state, seconds = RunState.FINISHED, float(summary.get("seconds") or 0.0)
        counts = _counts(summary)
    return ListedRun(head=head, state=state, counts=counts, seconds=seconds, options=options)


def _counts(summary: dict[str, object]) -> RunCounts:
    names = RunCounts.model_fields.keys() & summary.keys()
    try:
        return RunCounts.model_validate({name: summary[name] for name in names})
    except ValidationError:
        return RunCounts()
