"""All cases, by topic."""

from tests.support.corpus import codecs as corpus_codecs
from tests.support.corpus import colours as corpus_colours
from tests.support.corpus import counts as corpus_counts
from tests.support.corpus import damage as corpus_damage
from tests.support.corpus import pictures as corpus_pictures
from tests.support.corpus import starts as corpus_starts
from tests.support.corpus import times as corpus_times
from tests.support.corpus.case import Case

TOPICS: dict[str, list[Case]] = {
    "Rates and times": [*corpus_times.RATES, *corpus_times.ODD_TIMES],
    "Starts, edit lists and stream copies": [*corpus_starts.STARTS, *corpus_starts.OPEN_STARTS],
    "No timestamps": corpus_counts.UNTIMED,
    "Counts and lengths": corpus_counts.COUNTS,
    "Codecs": corpus_codecs.CODECS,
    "How frames lean on each other": corpus_codecs.STRUCTURE,
    "Colours": corpus_colours.COLOURS,
    "Turned and mirrored": corpus_pictures.ORIENTATIONS,
    "Pixels that are not square": corpus_pictures.ASPECTS,
    "Interlaced": corpus_pictures.INTERLACED,
    "Sizes": corpus_pictures.SIZES,
    "Tail missing": corpus_damage.SHORTENED,
    "Damage": corpus_damage.OVERWRITTEN,
    "Other streams": corpus_damage.OTHERS,
}

CASES = {case.name: case for cases in TOPICS.values() for case in cases}

assert len(CASES) == sum(map(len, TOPICS.values())), "two cases have the same name"
