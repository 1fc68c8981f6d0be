"""Names of runs: what may be one, and which would mean another run on some disk."""

import re
import secrets
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.messages import RunId
from clipfleet.store import Store

# Windows keeps these for devices, whatever follows a dot, and takes a dot at the end away.
_NO_FOLDER = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.", re.IGNORECASE)
# In place of a run's name, the one that was submitted last.
LATEST = "latest"
_RUN_ID: TypeAdapter[str] = TypeAdapter(RunId)


def choose_run_id(asked: str | None) -> str:
    """The name that was asked for, or a new one. Raises `UsageError` if it cannot name a run."""
    if asked == LATEST:
        raise UsageError(f"run {LATEST}: so the newest of all runs is called; choose another name")
    return check_run_id(asked or new_run_id())


def new_run_id() -> str:
    """A name for a run: the time it began, and four letters against collision."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_run_id(run_id: str) -> str:
    """`run_id` itself. Raises `UsageError` if it cannot name a run."""
    try:
        return _RUN_ID.validate_python(run_id)
    except ValidationError:
        raise UsageError(
            f"run {run_id!r}: a run's name has 1 to 64 letters, digits, dots, dashes or underlines"
        ) from None


def check_new_name(store: Store, run_id: str) -> None:
    """Raises `UsageError` for a new run's name that some disks take for another's, or not at all.

    Where large letters and small ones are the same to a disk, two runs would be written into one
    folder. A run that is there under this very name has passed already.
    """
    _check_new("run", run_id, store.folders(keys.RUNS))


def check_new_set(store: Store, name: str) -> None:
    """Raises `UsageError` for a new set's name, as `check_new_name` does for a run's."""
    _check_new("set", name, store.folders(keys.SETS))


def _check_new(kind: str, name: str, there: set[str]) -> None:
    if name in there:
        return
    if _NO_FOLDER.fullmatch(name):
        raise UsageError(
            f"{kind} {name}: no folder has such a name on Windows; choose another name"
        )
    for other in there:
        if other.casefold() == name.casefold():
            raise UsageError(
                f"{kind} {name}: there is a {kind} {other}, and some disks do not tell the two "
                "apart; choose another name"
            )
