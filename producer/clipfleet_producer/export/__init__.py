"""Taking a run's results away as files that training code reads.

An export is cut into parts by places in the run's manifest. Each part is written whole, noted, and
never touched again, unless clips were missing from it: so it can be stopped anywhere and goes on.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from clipfleet.runs import RunHead
from clipfleet.store import Store
from clipfleet_producer.export.columns import Row
from clipfleet_producer.export.formats.arrow import parquet_files
from clipfleet_producer.export.formats.lance_dataset import LanceDataset
from clipfleet_producer.export.formats.tars import Tars
from clipfleet_producer.export.formats.text import CsvFiles, jsonl_files
from clipfleet_producer.export.journal import Journal, PartStats
from clipfleet_producer.export.lookup import Lookup, Reviewed
from clipfleet_producer.export.schema import Per, columns, record_rows
from clipfleet_producer.export.spec import ExportSpec, Format, check_folder, keep, make_spec
from clipfleet_producer.export.target import Target, translate_errors
from clipfleet_producer.prefetch import Readers

__all__ = ["ExportSpec", "Exported", "Format", "Per", "export_run", "make_spec"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export holds now: counts over all its parts, and how many were written this time."""

    counts: PartStats
    parts: int
    parts_written: int
    remarks: list[str]


def export_run(
    store: Store,
    head: RunHead,
    spec: ExportSpec,
    folder: Path,
    *,
    tick: Callable[[int], None] = lambda clips: None,
) -> Exported:
    """Write what is missing of the export in `folder`, which is made where there is none.

    `tick` is told of clips as they are dealt with. Raises `UsageError` where the folder holds
    something else, the file system refuses, or a library is missing; `StoreError` as stores do.
    """
    with translate_errors(folder):
        check_folder(folder, spec)
        folder.mkdir(parents=True, exist_ok=True)
        with Readers() as pool, Journal(folder) as journal:
            check_folder(folder, spec)  # another process may just have begun one
            target = _open_target(folder, spec, store, pool)  # first: a library may be missing
            keep(folder, spec)
            target.resume(journal.parts)
            lookup = Lookup(store, head, pool, reviews=spec.only_approved)
            return _write_parts(spec, lookup, journal, target, tick)


def _write_parts(
    spec: ExportSpec,
    lookup: Lookup,
    journal: Journal,
    target: Target,
    tick: Callable[[int], None],
) -> Exported:
    total, written = PartStats(), 0
    for part in range(spec.parts):
        wrote = journal.parts.get(part)
        if wrote is not None and wrote.is_final and target.holds(part, wrote):
            tick(wrote.clips)
        else:
            start = part * spec.shard_size
            part_rows = _Rows(spec, lookup.clips(start, start + spec.shard_size), tick)
            journal.begin(part)
            num_bytes = target.write(part, part_rows.all())
            wrote = PartStats(**part_rows.counts, num_bytes=num_bytes)
            journal.finish(part, wrote)
            written += 1
        total += wrote
    return Exported(counts=total, parts=spec.parts, parts_written=written, remarks=target.remarks())


def _open_target(folder: Path, spec: ExportSpec, store: Store, pool: ThreadPoolExecutor) -> Target:
    """What the format's parts go to. Raises `UsageError` where its library is missing."""
    shown = columns(spec.per)
    match spec.format:
        case Format.JSONL:
            return jsonl_files(folder)
        case Format.CSV:
            return CsvFiles(folder, shown, escape_formulas=spec.escape_formulas)
        case Format.PARQUET:
            return parquet_files(folder, shown, spec.per)
        case Format.WEBDATASET:
            return Tars(folder, store if spec.pictures else None, pool)
        case Format.LANCE:
            return LanceDataset(folder, shown, spec.per)


@dataclass
class _Rows:
    """The rows of clips, counted as they are made."""

    spec: ExportSpec
    clips: Iterator[Reviewed]
    tick: Callable[[int], None]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("clips", "missing", "unreviewed", "left_out", "windowless", "rows"), 0
        )
    )

    def all(self) -> Iterator[Row]:
        """The rows of all clips that the export is to have."""
        rows_of = record_rows(self.spec.per)
        for found in self.clips:
            self.counts["clips"] += 1
            if found.record is None:
                self.counts["missing"] += 1
            elif self._takes(found):
                self.counts["windowless"] += not found.record.windows
                for row in rows_of(found.record):
                    self.counts["rows"] += 1
                    yield row
            self.tick(1)

    def _takes(self, found: Reviewed) -> bool:
        assert found.record is not None
        valid = found.record.valid or not self.spec.only_valid
        approved = True
        if valid and self.spec.only_approved:
            self.counts["unreviewed"] += found.review is None
            approved = found.review is not None and found.review.verdict == "approved"
        self.counts["left_out"] += not (valid and approved)
        return valid and approved
