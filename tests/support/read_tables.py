"""Manifests that people write, read in one call."""

import io
import json

from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.manifests.rows import Rows
from clipfleet_producer.sources.manifests.tables import Table
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import Addresses

CLIP = "s3://bucket/a.mp4"


class Read:
    """A manifest read: its clips, what was wrong, and the options that clips have of their own."""

    def __init__(
        self,
        name: str,
        data: bytes,
        *,
        place: str = "/",
        columns: dict[str, str] | None = None,
        memory_bytes: int = 2**30,
    ) -> None:
        problems = Problems()
        with OptionOverrides(Options()) as variants:
            rows = Rows(Addresses(place), variants, columns=columns, note=problems.note)
            table = Table(
                name=name,
                file=io.BytesIO(data),
                rows=rows,
                problems=problems,
                memory_bytes=memory_bytes,
            )
            self.clips: list[ManifestLine] = list(table.clips())
            self.options = variants.new(self.clips)
        self.problems, self.notes = list(problems), problems.notes


def lines(*rows: object) -> bytes:
    """Rows as lines of JSON; bytes as they are."""
    return b"".join(
        row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
    )
