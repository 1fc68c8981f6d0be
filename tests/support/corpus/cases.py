"""All cases, by topic."""

from tests.support.corpus import (
    codecs,
    colours,
    counts,
    damage,
    fields,
    pictures,
    stamps,
    starts,
    times,
)
from tests.support.corpus.case import Case

TOPICS: dict[str, list[Case]] = {
    "Rates and times": [*times.RATES, *times.ODD_TIMES, *stamps.STAMPS],
    "Starts, edit lists and stream copies": [*starts.STARTS, *starts.OPEN_STARTS],
    "No timestamps": counts.UNTIMED,
    "Counts and lengths": counts.COUNTS,
    "Codecs": codecs.CODECS,
    "How frames reference each other": codecs.STRUCTURE,
    "Colours": colours.COLOURS,
    "Turned and mirrored": pictures.ORIENTATIONS,
    "Pixels that are not square": pictures.ASPECTS,
    "Interlaced": pictures.INTERLACED,
    "Field by field": fields.PICTURES,
    "Sizes": pictures.SIZES,
    "Tail missing": damage.SHORTENED,
    "Damage": damage.OVERWRITTEN,
    "Other streams": damage.OTHERS,
}

CASES = {case.name: case for cases in TOPICS.values() for case in cases}

assert len(CASES) == sum(map(len, TOPICS.values())), "two cases have the same name"
