"""Sets in the store: what a run into one would have, and claiming the set for it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from pydantic import ValidationError

from clipfleet import keys, sets
from clipfleet.errors import NewerVersion, ObjectMissing, StoreError, UsageError
from clipfleet.messages import faults
from clipfleet.options import Options
from clipfleet.sets import Defaults, Difference, SetFile, label, plain_defaults
from clipfleet.store import Store
from clipfleet_producer.runs.names import check_new_set
from clipfleet_producer.runs.objects import JSON
from clipfleet_producer.runs.store import RunStore, active_runs

_CLAIM_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class SetPlan:
    """A run into a set, as the set was when it was looked at.

    `given` are the options that the run gives (`clipfleet.sets.resolve`), `options` all that it
    has. `pinned` is the set, None where the run would begin it.
    """

    name: str
    given: Options
    defaults: Defaults = plain_defaults
    overwrite: bool = False
    pinned: SetFile | None
    options: Options = field(default_factory=Options)

    @cached_property
    def added(self) -> list[str]:
        """The products that the set gets by it; none where the run begins the set."""
        return sets.added(self.pinned, self.options) if self.pinned is not None else []

    @cached_property
    def replaced(self) -> list[Difference]:
        """What the set has otherwise, and is to have as the run does: with `overwrite` alone."""
        return sets.differences(self.pinned, self.options) if self.pinned is not None else []


def find_set(store: Store, name: str) -> SetFile | None:
    """The set, None where nothing was made of it. Raises `UsageError` where it cannot be read."""
    return _find(store, name)[0]


def plan_set(
    store: Store,
    name: str,
    given: Options,
    *,
    defaults: Defaults = plain_defaults,
    overwrite: bool = False,
) -> SetPlan:
    """What a run that gives these options would be in the set. Nothing is written.

    Raises `SetConflict` where it would replace what the set has, unless it is to `overwrite` it;
    `UsageError` for a new set whose name cannot be one on some disks.
    """
    pinned = find_set(store, name)
    if pinned is None and name:
        check_new_set(store, name)
    options = sets.resolve(given, pinned, defaults)
    if pinned is not None and not overwrite:
        sets.check(pinned, options)
    return SetPlan(
        name=name,
        given=given,
        defaults=defaults,
        overwrite=overwrite,
        pinned=pinned,
        options=options,
    )


def claim_set(store: Store, plan: SetPlan, run_id: str) -> None:
    """Have the set be as the plan says. Of several runs that begin it at once, one does.

    Raises `SetConflict` or `UsageError` where another run made it otherwise meanwhile.
    """
    for _ in range(_CLAIM_TRIES):
        now, version = _find(store, plan.name)
        if now is None:
            moment = datetime.now(UTC).isoformat(timespec="seconds")
            begun = sets.begin(plan.name, plan.options, run_id=run_id, created_at=moment)
            if store.put(
                keys.set_file(plan.name), begun.to_bytes(), content_type=JSON, if_absent=True
            ):
                return
            continue
        options = sets.resolve(plan.given, now, plan.defaults)
        if not plan.overwrite:
            sets.check(now, options)
        if options != plan.options:
            raise UsageError(
                f"set {label(plan.name)} got other options from another run meanwhile; the same "
                "command again takes those"
            )
        after = sets.changed(now, options)
        if after is now or store.put_if_match(
            keys.set_file(plan.name), after.to_bytes(), version, content_type=JSON
        ):
            return
    raise StoreError(f"{keys.set_file(plan.name)} is changed by others again and again")


def check_is_of_set(run: RunStore) -> None:
    """Raises `UsageError` where the run's set has taken other options since it was written.

    Going on with it would replace what was made with those.
    """
    pinned = find_set(run.store, run.head.set_name)
    found = sets.differences(pinned, run.options()) if pinned is not None else []
    if found:
        raise UsageError(
            f"set {label(run.head.set_name)} was given other options since run {run.run_id}, which "
            f"is fed no more: {'; '.join(map(str, found))}. Submit its clips again"
        )


def outdated_runs(store: Store, name: str) -> Iterator[RunStore]:
    """The unfinished runs of a set that have other options than the set has now."""
    for run_id in active_runs(store):
        with suppress(UsageError):  # it is being written, or a newer clipfleet wrote it
            run = RunStore.open(store, run_id)
            if run.head.set_name != name:
                continue
            try:
                check_is_of_set(run)
            except UsageError:
                yield run


def _find(store: Store, name: str) -> tuple[SetFile | None, str]:
    """The set, and the store's name for this state of it."""
    key = keys.set_file(name)
    try:
        data, version = store.get_version(key)
    except ObjectMissing:
        return None, ""
    try:
        return SetFile.read(data), version
    except NewerVersion as error:
        raise UsageError(f"{key}: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{key}: {faults(error, whole='')[:300]}") from None
