"""How many words two texts share, exactly or from short sketches of them.

A sketch is a MinHash in one permutation: each word falls into one of 64 buckets, and a bucket keeps
one character for the least of its words. Sets of words that share a part of their words share about
that part of the characters: it is enough to find the clips that are worth reading.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from operator import eq

_BUCKETS = 64
_EMPTY = "."
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_WORD = re.compile(r"\w+")


def distinct_words(texts: Iterable[str]) -> frozenset[str]:
    """The words of these texts, each once, in small letters."""
    return frozenset(word for text in texts for word in _WORD.findall(text.casefold()))


def overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """The part of all words that both have: 0 for none, 1 for the same words, or none at all."""
    either = len(first | second)
    return len(first & second) / either if either else 1.0


def sketch(words: Iterable[str]) -> str:
    """What `estimated_overlap` compares: 64 characters; empty where there is no word."""
    least: dict[int, int] = {}
    for word in words:
        bucket, value = _place(word)
        least[bucket] = min(value, least.get(bucket, value))
    if not least:
        return ""
    return "".join(
        _CHARACTERS[least[bucket] % len(_CHARACTERS)] if bucket in least else _EMPTY
        for bucket in range(_BUCKETS)
    )


def estimated_overlap(first: str, second: str) -> float:
    """About the overlap of the words that two sketches were made of: within 0.15 as a rule."""
    if first == second:
        return 1.0
    if not first or not second:
        return 0.0
    alike = sum(map(eq, first, second))
    shared = sum(map(eq, first.replace(_EMPTY, " "), second))  # what both lack is not shared
    return float(shared / (_BUCKETS - (alike - shared)))


@lru_cache(50_000)
def _place(word: str) -> tuple[int, int]:
    """(bucket, value) of a word: even and the same on every machine."""
    number = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return number % _BUCKETS, number // _BUCKETS
