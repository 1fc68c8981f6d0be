"""Where an export's parts land: what a format's target must do, and files that are such parts."""

import abc
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from clipfleet.errors import UsageError
from clipfleet.private import no_link
from clipfleet_producer.export.columns import Row
from clipfleet_producer.export.journal import PartStats

# Writes rows to an open file, as its format has them.
Writer = Callable[[BinaryIO, Iterator[Row]], None]


class Target(abc.ABC):
    """Parts of one export. A part is replaced whole or not at all."""

    @abc.abstractmethod
    def resume(self, noted: Mapping[int, PartStats | None]) -> None:
        """Put in order what a process that died left. `noted` is what the journal has on parts.

        Raises `UsageError` where what is there was changed by others.
        """

    @abc.abstractmethod
    def holds(self, part: int, wrote: PartStats) -> bool:
        """Whether the part is there as it was noted."""

    @abc.abstractmethod
    def write(self, part: int, rows: Iterator[Row]) -> int:
        """Write the part in place of what there is of it; its size in bytes where it is a file."""

    def remarks(self) -> list[str]:
        """What a person should hear about what was written."""
        return []


class Files(Target):
    """A file for each part that has rows, under a temporary name until it is whole."""

    def __init__(self, folder: Path, suffix: str, writer: Writer) -> None:
        self._folder, self._suffix, self._writer = folder, suffix, writer

    def resume(self, noted: Mapping[int, PartStats | None]) -> None:
        for unfinished in self._folder.glob(f".part-*{self._suffix}.tmp"):
            unfinished.unlink()

    def holds(self, part: int, wrote: PartStats) -> bool:
        if not wrote.rows:
            return True
        try:
            return self._path(part).stat().st_size == wrote.num_bytes
        except FileNotFoundError:
            return False

    def write(self, part: int, rows: Iterator[Row]) -> int:
        path = self._path(part)
        first = next(rows, None)
        with translate_errors(path):
            if first is None:
                path.unlink(missing_ok=True)
                return 0
            unfinished = path.with_name(f".{path.name}.tmp")
            try:
                with open(unfinished, "wb", opener=no_link) as file:
                    self._writer(file, chain((first,), rows))
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            return path.stat().st_size

    def _path(self, part: int) -> Path:
        return self._folder / f"part-{part:06d}{self._suffix}"


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Name what the file system says, with the path and the remedy."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}; put that right, and the same command goes on "
            "from here"
        ) from error
