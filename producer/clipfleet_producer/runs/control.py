"""Orders to a run: pause, resume, cancel. They are in the store, where feeders look for them."""

from clipfleet.broker import claims
from clipfleet.broker.client import Broker
from clipfleet.errors import RunCancelled, RunFinished, StoreError, UsageError
from clipfleet.runs import Feeding, RunControl
from clipfleet_producer.runs.sets import check_is_of_set
from clipfleet_producer.runs.store import RunStore


def other_fleet(run: RunStore, control: RunControl) -> str:
    """Why a run of another fleet is not fed here, and what to do where it is to be."""
    return (
        f"run {run.run_id} was submitted to another fleet, whose broker is {control.broker}; "
        f"to have this one feed it: clipfleet resume {run.run_id}"
    )


def is_of(broker: Broker, control: RunControl) -> bool:
    """Whether a run was submitted to this broker, by a name that it is known to have had."""
    broker.fleet()
    return not control.fleet or control.fleet in broker.fleets


def take_over(broker: Broker, run: RunStore, control: RunControl) -> None:
    """Have this broker's fleet feed a run from now on, and its own no longer."""
    ours = {"fleet": broker.fleet(), "broker": broker.address}
    run.set_control(control.model_copy(update=ours))


def check_fleet(broker: Broker, run: RunStore) -> None:
    """Raises `UsageError` where the run was submitted to another broker.

    One of the same address is taken for this one, which may have forgotten its name.
    """
    control = run.control()
    if control is None or is_of(broker, control):
        return
    if control.broker != broker.address:
        raise UsageError(other_fleet(run, control))
    take_over(broker, run, control)


def pause(run: RunStore) -> None:
    """Feed no more of the run; what is on the queues goes on.

    Raises `RunFinished`, `RunCancelled`.
    """
    run.set_control(_unfinished(run).model_copy(update={"feeding": Feeding.PAUSED}))


def resume(run: RunStore, broker: Broker, *, priority: int | None = None) -> None:
    """Feed the run again that was paused or cancelled, from now on to this broker's fleet.

    Raises `RunFinished`, and `UsageError` where a cancelled run's presigned addresses are gone, or
    its set has other options by now.
    """
    _check_unfinished(run)
    check_is_of_set(run)
    control = run.control()
    if control is None and run.head.presigned:
        raise UsageError(
            f"run {run.run_id} is cancelled, and the presigned addresses of its clips went with "
            f"it; submit them again, with fresh ones (--run {run.run_id} goes on where it was)"
        )
    if control is None:  # what was on the queues as it was cancelled is gone
        claims.forget(broker, run.head)
        cancelled = run.cancellation()
        before = cancelled.control if cancelled is not None else RunControl()
        control = before.model_copy(update={"embedded": False})
    broker.clear_cancellation(run.run_id)
    orders = {
        "fleet": broker.fleet(),
        "broker": broker.address,
        "feeding": Feeding.ACTIVE,
        "priority": control.priority if priority is None else priority,
    }
    run.set_control(control.model_copy(update=orders))


def cancel(run: RunStore, broker: Broker) -> None:
    """Feed no more of the run, and have workers drop what they get of it. Raises `RunFinished`.

    One that is cancelled already stays so.
    """
    _check_unfinished(run)
    if run.control() is None:
        return
    run.set_cancellation()
    broker.cancel(run.run_id)
    try:
        run.deactivate()
    except StoreError:
        broker.clear_cancellation(run.run_id)  # or feeders would feed what workers drop
        raise


def _unfinished(run: RunStore) -> RunControl:
    """How the run is fed. Raises `RunFinished`, `RunCancelled` where it is not."""
    control = run.control()
    if control is None:
        _check_unfinished(run)
        raise RunCancelled(
            f"run {run.run_id} is cancelled; to feed it again: clipfleet resume {run.run_id}"
        )
    return control


def _check_unfinished(run: RunStore) -> None:
    if run.summary() is not None:
        raise RunFinished(f"run {run.run_id} has finished")
