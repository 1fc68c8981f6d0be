"""A few of a run's clips, kept to be shown when it ends."""

from clipfleet.records import ClipRecord, ManifestLine

ROWS_SHOWN = 20


Pair = tuple[ManifestLine, ClipRecord | None]


class Sample:
    """A few of a run's clips to show, those with errors first; as many as a table has rows."""

    def __init__(self) -> None:
        self.count = 0
        self._failed: list[Pair] = []
        self._fine: list[Pair] = []

    def add(self, line: ManifestLine, record: ClipRecord | None, *, kept: bool) -> None:
        """Count a clip, and keep it, where it is to be `kept`, while there is room."""
        self.count += 1
        if not kept:
            return
        room = self._fine if record is not None and record.valid else self._failed
        if len(room) < ROWS_SHOWN:
            room.append((line, record))

    @property
    def clips(self) -> list[Pair]:
        """Those to show, in the order they were added."""
        return [*self._failed, *self._fine][:ROWS_SHOWN]
