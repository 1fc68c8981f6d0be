"""What a manifest's column contains, by its name in any spelling.

`start_s`, ` Start_S`, `startTime`, `Start Time (s)` and `clip_start` all mean a span's start. Other
units than seconds are recognised and refused: 250 frames or ticks have no known length.
"""

import re
from enum import Enum
from functools import lru_cache

# The documented ones, in order of precedence, then those that data sets use.
CLIP_COLUMNS = ("clip", "source", "uri", "url", "path", "file", "video")
_MORE_CLIP_COLUMNS = (
    *("clip_path", "clip_file", "clip_uri", "clip_url", "video_path", "video_file", "video_uri"),
    *("video_url", "file_path", "file_uri", "file_url", "file_name", "video_file_path"),
    *("video_file_name", "video_filename", "clip_filename", "media_path", "media_url", "s3_uri"),
    *("s3_url", "s3_path", "local_path", "full_path", "relative_path", "rel_path", "media"),
    *("clips", "videos", "files", "paths", "urls"),
)

_LONGEST = 64  # no name with a meaning here is as long
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+")
_GLUED = {
    **{f"{half}{more}": f"{half} {more}" for half in ("start", "end") for more in ("time", "sec")},
    **{f"{more}{half}": f"{more} {half}" for half in ("start", "end") for more in ("time", "t")},
    **{f"{half}{more}": f"{half} {more}" for half in ("start", "end") for more in ("ms", "frame")},
    **{f"{a}{b}": f"{a} {b}" for a in ("file", "video", "clip") for b in ("path", "name", "url")},
    "timestamps": "timestamp",
    "timerange": "time range",
    "timespan": "time span",
    "timecode": "tc",
}
_START, _END = {"start", "begin"}, {"end", "stop", "finish"}
_ABOUT = {"time", "timestamp", "ts", "t", "tc", "at", "clip", "video", "segment", "seg", "scene"}
_ABOUT |= {"shot", "span", "event", "code"}
_SECONDS = {"s", "sec", "secs", "second", "seconds"}
_OTHER_UNITS = {
    *("ms", "msec", "msecs", "millis", "millisecond", "milliseconds", "us", "ns", "min", "mins"),
    *("minute", "minutes", "h", "hour", "hours", "frame", "frames", "idx", "index", "pts", "tick"),
    *("ticks", "offset", "sample", "samples"),
}
# Ambiguous words, understood only if the other half is there as well.
_PAIRS = {"from": "to", "in": "out"}
_SPANS = {
    *("timestamp", "segment", "interval", "range", "time_range", "time_span", "clip_span"),
    *("start_end", "span_s", "time_segment", "time_interval", "clip_range", "clip_segment"),
    *("spans", "segments", "intervals", "ranges", "time_ranges", "time_segments", "time_intervals"),
    *("clip_segments", "times", "window", "windows", "relevant_windows", "moment", "moments"),
}


def _words(name: str) -> list[str]:
    words = (word.lower() for word in _WORD.findall(name))
    return [each for word in words for each in _GLUED.get(word, word).split()]


_CLIP_RANK = {
    "_".join(_words(name)): rank for rank, name in enumerate((*CLIP_COLUMNS, *_MORE_CLIP_COLUMNS))
}


class Role(Enum):
    """What a column contains."""

    CLIP = "clip"
    SPAN = "span"
    MAYBE_SPAN = "maybe a span"  # if its value looks like one
    START = "start_s"
    END = "end_s"
    MAYBE_START = "maybe start_s"  # if its other half is there
    MAYBE_END = "maybe end_s"
    DURATION = "duration_s"
    ODD_START = "a start in another unit than seconds"
    ODD_END = "an end in another unit than seconds"
    ODD_DURATION = "a duration in another unit than seconds"
    PROMPT = "prompt"
    OPTIONS = "options"


def role_of(name: str) -> Role | None:
    """What a column of this name contains; None for metadata."""
    return _role(name) if len(name) <= _LONGEST else None


def clip_rank(name: str) -> int:
    """The precedence among columns that may name a clip: the lowest rank counts."""
    return _CLIP_RANK["_".join(_words(name))]


def pair_of(name: str) -> str:
    """For a name that is `MAYBE_START` or `MAYBE_END`: the word for the start of its pair."""
    (word,) = _words(name)
    return {end: start for start, end in _PAIRS.items()}.get(word, word)


@lru_cache(4096)
def _role(name: str) -> Role | None:
    words = _words(name)
    joined = "_".join(words)
    if joined in _CLIP_RANK:
        return Role.CLIP
    if joined in ("span", "prompt", "options"):
        return Role(joined)
    if joined in _SPANS:
        return Role.MAYBE_SPAN
    if joined in _PAIRS:
        return Role.MAYBE_START
    if joined in _PAIRS.values():
        return Role.MAYBE_END
    return _part_of_a_span(words)


def _part_of_a_span(words: list[str]) -> Role | None:
    halves = [word for word in words if word in _START | _END | _PAIRS.keys()]
    halves += [word for word in words if word in _PAIRS.values()]
    lengths = [word for word in words if word in ("duration", "dur", "length")]
    rest = set(words) - {*halves, *lengths}
    odd = rest & _OTHER_UNITS
    if len(halves) + len(lengths) != 1 or rest - _ABOUT - _SECONDS - odd:
        return None
    if lengths:
        if lengths == ["length"] and not rest & _SECONDS:  # it may be that of a text
            return None
        return Role.ODD_DURATION if odd else Role.DURATION
    if halves[0] in _START or halves[0] in _PAIRS:
        return Role.ODD_START if odd else Role.START
    return Role.ODD_END if odd else Role.END
