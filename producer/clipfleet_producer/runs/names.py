"""Names of runs that mean one run on every disk that a store may lie on, or be copied to."""

import re

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.store import Store

# Windows keeps these for devices, whatever follows a dot, and takes a dot at the end away.
_NO_FOLDER = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.", re.IGNORECASE)


def check_new_name(store: Store, run_id: str) -> None:
    """Raises `UsageError` for a new run's name that some disks take for another's, or not at all.

    Where large letters and small ones are the same to a disk, two runs would be written into one
    folder. A run that is there under this very name has passed already.
    """
    names = store.folders(keys.RUNS)
    if run_id in names:
        return
    if _NO_FOLDER.fullmatch(run_id):
        raise UsageError(f"run {run_id}: no folder has such a name on Windows; choose another name")
    for name in names:
        if name.casefold() == run_id.casefold():
            raise UsageError(
                f"run {run_id}: there is a run {name}, and some disks do not tell the two apart; "
                "choose another name"
            )
