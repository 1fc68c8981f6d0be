"""Which parts of an export are there, noted beside them as they are written."""

import fcntl
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from clipfleet.errors import UsageError
from clipfleet.private import no_link
from clipfleet.records import Stored

# A line for each part that is begun and one once it is there; the last line on a part holds.
JOURNAL_FILE = "_export.log"


class PartStats(Stored):
    """What a part holds, in counts.

    Of its `clips`, `missing` have no record yet, `unreviewed` no verdict where one was asked for,
    and `left_out` did not pass a filter. `windowless` are taken and have no window. `num_bytes` is
    its file's size; 0 where it has no rows and so no file.
    """

    clips: int = 0
    missing: int = 0
    unreviewed: int = 0
    left_out: int = 0
    windowless: int = 0
    rows: int = 0
    num_bytes: int = 0

    @property
    def is_final(self) -> bool:
        """Whether it would come out the same if it were written again."""
        return not self.missing and not self.unreviewed

    def __add__(self, other: "PartStats") -> "PartStats":
        return PartStats(
            **{name: getattr(self, name) + getattr(other, name) for name in PartStats.model_fields}
        )


class Entry(Stored):
    """One line of the journal; without `wrote`, the part was begun."""

    part: int
    wrote: PartStats | None = None


class Journal:
    """The journal of the export in `folder`, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises `UsageError` while another process writes there."""
        self._file = open(folder / JOURNAL_FILE, "a+b", opener=no_link)  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError(f"another export is writing to {folder}; let it finish") from None
        self.parts = self._read()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def begin(self, part: int) -> None:
        """Note that the part is no longer, or not yet, what was noted of it."""
        self._note(Entry(part=part))

    def finish(self, part: int, wrote: PartStats) -> None:
        """Note what the part holds, now that it is there."""
        self._note(Entry(part=part, wrote=wrote))

    def _note(self, entry: Entry) -> None:
        self._file.write(entry.model_dump_json(exclude_defaults=True).encode() + b"\n")
        self._file.flush()
        self.parts[entry.part] = entry.wrote

    def _read(self) -> dict[int, PartStats | None]:
        self._file.seek(0)
        parts: dict[int, PartStats | None] = {}
        whole = 0
        for line in self._file:
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError:
                break  # its writer died in mid-line; what was noted after it cannot be ours
            if not line.endswith(b"\n"):
                break
            parts[entry.part] = entry.wrote
            whole += len(line)
        self._file.truncate(whole)
        return parts
