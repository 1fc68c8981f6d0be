"""Orders to a run that is under way: pause, resume, cancel. They lie in the store, for feeders."""

from rich.console import Console

from clipfleet import keys
from clipfleet.broker import claims
from clipfleet.broker.client import Broker
from clipfleet.errors import ExitCode, StoreError, UsageError
from clipfleet.runs import Feeding, RunControl, RunHead
from clipfleet.settings import Settings
from clipfleet.store import Store
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.presigned import forget_all


def left_to(run_id: str, state: RunControl) -> str:
    """Why a run of another fleet is not fed here, and what to do where it is to be."""
    return (
        f"run {run_id} was submitted to another fleet, whose broker is {state.broker}; "
        f"to have this one feed it: clipfleet resume {run_id}"
    )


def is_of(broker: Broker, state: RunControl) -> bool:
    """Whether a run was submitted to this broker, by a name that it is known to have had."""
    broker.fleet()
    return not state.fleet or state.fleet in broker.fleets


def take_over(broker: Broker, store: Store, head: RunHead, state: RunControl) -> None:
    """Have this broker's fleet feed a run from now on, and its own no longer."""
    ours = {"fleet": broker.fleet(), "broker": broker.address}
    manifest.write_state(store, head, state.model_copy(update=ours))


def check_fleet(broker: Broker, store: Store, head: RunHead) -> None:
    """Raises `UsageError` where the run was submitted to another broker.

    One of the same address is taken for this one, which may have forgotten its name.
    """
    state = manifest.read_state(store, head)
    if state is None or is_of(broker, state):
        return
    if state.broker != broker.address:
        raise UsageError(left_to(head.run_id, state))
    take_over(broker, store, head, state)


def pause(settings: Settings, run_id: str, console: Console) -> int:
    """Feed no more of the run; what is on the queues goes on."""
    store = settings.open_store()
    head = manifest.read_head(store, run_id)
    state = _state(store, head, console)
    if state is not None:
        manifest.write_state(store, head, state.model_copy(update={"feeding": Feeding.PAUSED}))
        console.print(
            f"Run {run_id} is paused: nothing more is fed, and what is on the queues goes on.\n"
            f"To go on: clipfleet resume {run_id}"
        )
    return ExitCode.OK


def resume(settings: Settings, run_id: str, console: Console, *, priority: int | None) -> int:
    """Feed the run again that was paused or cancelled."""
    store = settings.open_store()
    head = manifest.read_head(store, run_id)
    if manifest.read_summary(store, head) is not None:
        console.print(f"Run {run_id} has come to its end.")
        return ExitCode.OK
    broker = settings.open_broker()
    state = manifest.read_state(store, head)
    if state is None and head.presigned:
        raise UsageError(
            f"run {run_id} is cancelled, and the presigned addresses of its clips went with it; "
            f"submit them again, with fresh ones (--run {run_id} goes on where it was)"
        )
    if state is None:  # what was on the queues as it was cancelled is gone
        claims.forget(broker, head)
        state = RunControl()
    broker.clear_cancellation(run_id)
    orders = {
        "fleet": broker.fleet(),
        "broker": broker.address,
        "feeding": Feeding.ACTIVE,
        "priority": state.priority if priority is None else priority,
    }
    manifest.write_state(store, head, state.model_copy(update=orders))
    console.print(
        f"Run {run_id} of {head.clips:,} clips goes on where a feeder serves it "
        f"(clipfleet feed --follow), or here: clipfleet feed {run_id}",
        soft_wrap=True,
    )
    return ExitCode.OK


def cancel(settings: Settings, run_id: str, console: Console) -> int:
    """Feed no more of the run, and have workers drop what they get of it."""
    store = settings.open_store()
    head = manifest.read_head(store, run_id)
    if _state(store, head, console) is not None:
        broker = settings.open_broker()
        broker.cancel(run_id)
        try:
            forget_all(store, head)
            store.delete(keys.active(run_id, head.manifest_version))
        except StoreError:
            broker.clear_cancellation(run_id)  # or feeders would feed what workers drop
            raise
        console.print(
            f"Run {run_id} is cancelled: workers drop what is on the queues. Clips that are done "
            f"keep their records.\nTo take it up again: clipfleet resume {run_id}",
            soft_wrap=True,
        )
    return ExitCode.OK


def _state(store: Store, head: RunHead, console: Console) -> RunControl | None:
    """How the run is fed; says so where it is not."""
    state = manifest.read_state(store, head)
    if state is None:
        ended = manifest.read_summary(store, head) is not None
        console.print(f"Run {head.run_id} {'has come to its end' if ended else 'is cancelled'}.")
    return state
