"""Windows as WebDataset samples: of each its row, its caption, its preview and its poster."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from clipfleet.errors import ObjectMissing
from clipfleet.store import Store
from clipfleet_producer.export.columns import Row
from clipfleet_producer.export.libraries import load
from clipfleet_producer.export.target import Files
from clipfleet_producer.prefetch import READERS, ordered_prefetch

# Windows whose pictures are read ahead, at some 100 KB each.
_AHEAD = 2 * READERS
# The file of a sample that holds a picture, and the column that says where it lies.
_PICTURES = {"webp": "preview_key", "jpg": "poster_key"}


class Tars(Files):
    """Parts as tar files, without pictures where there is no store to take them from."""

    def __init__(self, folder: Path, store: Store | None, pool: ThreadPoolExecutor) -> None:
        self._tar_writer = load("webdataset", needed_for="the format webdataset").TarWriter
        self._store, self._pool = store, pool
        self._gone = 0
        super().__init__(folder, ".tar", self._write)

    def remarks(self) -> list[str]:
        gone = f"{self._gone:,} pictures are no longer in the store, and were left out."
        return [gone] if self._gone else []

    def _write(self, file: BinaryIO, rows: Iterator[Row]) -> None:
        # A time of its own for each file would make the same part another one each time.
        with self._tar_writer(file, encoder=False, mtime=0) as tar:
            for sample, gone in ordered_prefetch(self._pool, self._sample, rows, ahead=_AHEAD):
                self._gone += gone
                tar.write(sample)

    def _sample(self, row: Row) -> tuple[dict[str, Any], int]:
        """The sample of a row, and how many of its pictures are not where they were."""
        # No dots: a sample's name ends at its first one.
        name = f"{row['clip_uuid']}_{row['start_frame']}_{row['end_frame']}"
        sample: dict[str, Any] = {"__key__": name, "json": to_json(row, inf_nan_mode="null")}
        caption = row["enhanced_caption"] or row["caption"]
        if caption is not None:
            sample["txt"] = caption.encode()
        gone = 0
        if self._store is not None:
            for suffix, column in _PICTURES.items():
                try:
                    if row[column] is not None:
                        sample[suffix] = self._store.get(row[column])
                except ObjectMissing:
                    gone += 1
        return sample, gone
