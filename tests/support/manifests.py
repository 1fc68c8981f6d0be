"""Manifests as people write them, given to a command: what it takes, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipfleet.options import Options
from clipfleet.settings import read_settings
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.search import find_clips
from clipfleet_producer.sources.uris import short_name

CLIPS = ("a.mp4", "b.mp4")


@dataclass(frozen=True)
class Taken:
    """What a command made of a manifest: (clip's name, span in seconds, metadata) of each row."""

    rows: list[tuple[str, tuple[float, float] | None, dict[str, Any]]]
    problems: list[str]
    notes: list[str]

    @property
    def clips(self) -> list[str]:
        """The names of the clips."""
        return [name for name, _, _ in self.rows]

    @property
    def spans(self) -> list[tuple[float, float] | None]:
        """The clips' spans."""
        return [span for _, span, _ in self.rows]


def take(
    folder: Path, name: str, data: bytes | str, *, columns: Mapping[str, str] | None = None
) -> Taken:
    """What a manifest of this name gives, read in the folder that has `CLIPS` as well."""
    for clip in CLIPS:
        (folder / clip).write_bytes(b"clip")
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    problems = Problems()
    given: dict[str, Any] = {} if columns is None else {"columns": columns}
    with OptionOverrides(Options()) as variants:
        found = find_clips(
            [str(folder / name)], read_settings(), variants=variants, problems=problems, **given
        )
        rows = [(short_name(line.source), line.span, dict(line.metadata)) for line in found]
    said = [text.replace(f"{folder}/", "") for text in problems]
    return Taken(rows, said, [text.replace(f"{folder}/", "") for text in problems.notes])
