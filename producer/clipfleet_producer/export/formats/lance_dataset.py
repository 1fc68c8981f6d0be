"""Rows as one Lance dataset, to which each part is appended as a version."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfleet.errors import UsageError
from clipfleet_producer.export.columns import Column, Kind, Row
from clipfleet_producer.export.formats.arrow import arrow_schema, batches
from clipfleet_producer.export.journal import PartStats
from clipfleet_producer.export.libraries import load
from clipfleet_producer.export.schema import Per
from clipfleet_producer.export.target import Target, translate_errors

if TYPE_CHECKING:
    import pyarrow as pa

DATASET = "data.lance"
# By this column a part's rows are found again when it is replaced. That a part was appended cannot
# be noted beside the dataset in the same instant: it has to lie in the dataset itself.
PART = Column(
    "export_part", Kind.INTEGER, "The part of the export that the row came with.", "export_part"
)


class LanceDataset(Target):
    """A dataset in `folder`, with the column `export_part` behind the others.

    A reader who looks while a part is replaced may see the dataset without it.
    """

    def __init__(self, folder: Path, columns: tuple[Column, ...], per: Per) -> None:
        self._lance = load("lance", needed_for="the format lance")
        self._path, self._per = folder / DATASET, per
        self._schema = arrow_schema((*columns, PART))
        self._there: set[int] = set()

    def resume(self, noted: Mapping[int, PartStats | None]) -> None:
        """Take back parts that were begun and not finished: they may be there or not."""
        dataset = self._open()
        if dataset is None:
            return
        begun = sorted(part for part, wrote in noted.items() if wrote is None)
        with translate_errors(self._path):
            if begun:
                dataset.delete(f"{PART.name} IN ({', '.join(map(str, begun))})")
            found = dataset.count_rows()
        expected = sum(wrote.rows for wrote in noted.values() if wrote is not None)
        if found != expected:
            raise UsageError(
                f"{self._path} has {found:,} rows where {expected:,} were written: others changed "
                "it, so this export cannot go on; choose another folder"
            )
        self._there = {part for part, wrote in noted.items() if wrote is not None and wrote.rows}

    def holds(self, part: int, wrote: PartStats) -> bool:
        return not wrote.rows or part in self._there

    def write(self, part: int, rows: Iterator[Row]) -> int:
        with translate_errors(self._path):
            dataset = self._open()
            if dataset is not None and part in self._there:
                dataset.delete(f"{PART.name} = {part}")
                self._there.discard(part)
            first = next(rows, None)
            if first is not None:
                self._append(part, chain((first,), rows), mode="append" if dataset else "create")
                self._there.add(part)
        return 0

    def _append(self, part: int, rows: Iterator[Row], *, mode: str) -> None:
        import pyarrow as pa

        trouble: list[BaseException] = []

        def made() -> "Iterator[pa.RecordBatch]":
            try:
                marked = ({**row, PART.name: part} for row in rows)
                yield from batches(marked, self._schema, self._per)
            except BaseException as error:
                trouble.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(self._schema, made())
        try:
            self._lance.write_dataset(reader, str(self._path), mode=mode)
        except Exception:
            if trouble:  # what went wrong with the rows comes back as Lance's own error
                raise trouble[0] from None
            raise

    def _open(self) -> Any:
        """The dataset, or None where there is none, as before its first part is whole."""
        versions = self._path / "_versions"
        if not versions.is_dir() or not any(versions.iterdir()):
            return None
        return self._lance.dataset(str(self._path))
