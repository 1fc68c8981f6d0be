"""What arguments of `clipfleet run` name, as tests ask for it."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings, read_settings
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.search import find_clips
from clipfleet_producer.sources.unique import unique
from clipfleet_producer.sources.uris import short_name


@dataclass(frozen=True)
class Found:
    """What arguments named: clips, each once, and a line for each that named none."""

    clips: list[ManifestLine]
    problems: list[str]
    passed: dict[str, int] = field(default_factory=dict, compare=False)


def find(
    *arguments: Path | str,
    stdin: bytes = b"",
    settings: Settings | None = None,
    follow_links: bool = True,
) -> Found:
    """What the arguments name."""
    problems, passed = Problems(), PassedOver()
    with OptionOverrides(Options()) as variants:
        lines = find_clips(
            map(str, arguments),
            settings or read_settings(),
            variants=variants,
            problems=problems,
            passed=passed,
            stdin=io.BytesIO(stdin),
            follow_links=follow_links,
        )
        return Found(list(unique(lines)), list(problems), passed.counts())


def write(path: Path, data: bytes = b"clip") -> Path:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(found: Found) -> list[str]:
    """The names of the clips that were found."""
    return [short_name(clip.source) for clip in found.clips]
