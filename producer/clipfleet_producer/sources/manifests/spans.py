"""A span as people write it: seconds, time codes, units; as start and end, or as one text."""

import re
from typing import Any

from clipfleet_producer.sources.manifests.column_names import Role, role_of
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.uris import ClipRefused

_NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\."
_SECONDS = re.compile(_NUMBER)
_RANGE = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})")  # tried first: 1e-3 has a dash as well
_DASH = re.compile(r"\s*(?:-->|->|-|–|—|\bto\b)\s*")
_CODE = re.compile(r"(?:([0-9]{1,5}):)?([0-9]{1,5}):([0-9]{1,2}(?:[.,][0-9]+)?)")
_FRAMES = re.compile(r"[0-9]+:[0-9]+:[0-9]+[:;][0-9]+|[0-9]+:[0-9]+;[0-9]+")
_AMOUNT = r"([0-9]+(?:\.[0-9]+)?)\s*"
_UNITS = re.compile(
    rf"(?:pt)?(?:{_AMOUNT}(?:h|hrs?|hours?))?\s*(?:{_AMOUNT}(?:m|mins?|minutes?))?\s*"
    rf"(?:{_AMOUNT}(?:s|secs?|seconds?))?"
)
_MILLISECONDS = re.compile(rf"{_AMOUNT}(?:ms|msecs?|milliseconds?)")
_COMMA = re.compile(r"([0-9]+),([0-9]+)")
_INNER = re.compile(r"[\[(]([^\[\]()]*)[\])]")
_LONGEST = 64

# Four frames, the fewest of a window, last longer at any rate that cameras have.
SHORTEST_S = 0.01
_LONGEST_S = 2**53


class NoTime(ValueError):
    """Why a value is not a time in seconds."""


def read_span(
    start: Any, end: Any, duration: Any = None, *, decimal_comma: bool = False
) -> tuple[float, float]:
    """(start, end) in seconds; `duration`, if given, is the time from start to end.

    `decimal_comma`: 1,500 means one and a half. Raises `ClipRefused`.
    """
    plain = type(start) is type(end) is float and duration is None
    if plain and 0 <= start <= end - SHORTEST_S and end < _LONGEST_S:  # usual, in half the time
        return start + 0.0, end
    try:
        begin = _given(start, "start_s", decimal_comma)
        if duration is None:
            finish = _given(end, "end_s", decimal_comma)
        else:
            finish = begin + _given(duration, "duration_s", decimal_comma)
        if finish <= begin:
            raise NoTime("it ends before it starts" if finish < begin else "it ends as it starts")
        if finish - begin < SHORTEST_S:
            raise NoTime(
                f"it is shorter than {SHORTEST_S} s; are these days, as Excel has times? Multiply "
                "by 86400"
            )
    except NoTime as error:
        till = f"to {_said(end)}" if duration is None else f"for {_said(duration)}"
        raise _refused(f"{_said(start)} {till}", error) from None
    return begin, finish


def split_span(span: Any, *, decimal_comma: bool = False) -> tuple[float, float]:
    """(start, end) in seconds from a list of both, or a text such as "1.5-4" or "0:01 - 0:04".

    Raises `ClipRefused`.
    """
    halves = _halves(span)
    try:
        if isinstance(span, dict):
            raise NoTime("it is an object; write its two times as [1.5, 4]")
        if len(halves) > 1 and all(isinstance(each, list) for each in halves):
            raise NoTime(f"it holds {len(halves)} spans; give each a row of its own")
        if len(halves) != 2:
            raise NoTime("it is not two times, such as [1.5, 4] or 1.5-4")
    except NoTime as error:
        raise _refused(short(span, 60), error) from None
    return read_span(*halves, decimal_comma=decimal_comma)


def looks_like_span(value: Any) -> bool:
    """Whether a value that may be something else is two ascending times."""
    halves = _halves(value)
    if halves and all(isinstance(each, list) and len(each) == 2 for each in halves):
        halves = halves[0]
    if len(halves) != 2:
        return False
    try:
        return seconds(halves[0]) < seconds(halves[1])
    except NoTime:
        return False


def seconds(value: Any, *, decimal_comma: bool = False) -> float:
    """A value as a time in seconds, finite and not negative. Raises `NoTime`."""
    if isinstance(value, str):
        value = _of_text(value, decimal_comma)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoTime("it is no time")
    if not 0 <= value < _LONGEST_S:
        raise NoTime("a time is a finite number, from 0 on")
    return float(value) + 0.0  # -0.0 would be another clip


def _given(value: Any, name: str, decimal_comma: bool) -> float:
    if value is None or value == "":
        raise NoTime(f"there is no {name}")
    return seconds(value, decimal_comma=decimal_comma)


def _refused(said: str, why: NoTime) -> ClipRefused:
    found = "is not a start and an end in seconds, from 0 on"
    return ClipRefused(f"its span {short(said, 100)} {found}: {why}", kind=f"span: {why}")


def _said(value: Any) -> str:
    return "nothing" if value is None or value == "" else short(value, 40)


def _halves(value: Any) -> list[Any]:
    """The two halves of a span; otherwise whatever parts there are, a list for each of several."""
    if isinstance(value, str):
        found = _parts(value.strip())
    elif isinstance(value, list | tuple):
        found = [_halves(each) if isinstance(each, dict | tuple) else each for each in value]
    else:
        found = _of_object(value) if isinstance(value, dict) else []
    one_in_a_list = len(found) == 1 and isinstance(found[0], list)
    return found[0] if one_in_a_list else found


def _parts(text: str) -> list[Any]:
    if text[:1] in ("[", "(") and text[-1:] in ("]", ")"):
        if several := _INNER.findall(text[1:-1]):  # as Python prints lists of lists
            return [_listed(each) for each in several]
        return _listed(text[1:-1]) if len(text) <= 2 * _LONGEST else []
    if len(text) > 2 * _LONGEST:
        return []
    found = _RANGE.fullmatch(text)
    return [*found.groups()] if found else _DASH.split(text)


def _listed(text: str) -> list[Any]:
    return [part.strip(" \t'\"") for part in text.split(",")]


def _of_object(value: dict[str, Any]) -> list[Any]:
    starts = [each for name, each in value.items() if role_of(name) is Role.START]
    ends = [each for name, each in value.items() if role_of(name) is Role.END]
    return starts + ends if len(starts) == len(ends) == 1 else []


def _of_text(text: str, decimal_comma: bool) -> float:
    if len(text) > _LONGEST:
        raise NoTime("it is no time")
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if comma := _COMMA.fullmatch(text):
        if len(comma[2]) == 3 and not decimal_comma:
            raise NoTime("its comma may be of thousands or decimal; write seconds with a dot")
        return float(f"{comma[1]}.{comma[2]}")
    if code := _CODE.fullmatch(text):
        hours, minutes, rest = code[1] or "0", code[2], float(code[3].replace(",", "."))
        if rest >= 60 or (code[1] and int(minutes) >= 60):
            raise NoTime("a time code has minutes and seconds below 60")
        return int(hours) * 3600 + int(minutes) * 60 + rest
    if _FRAMES.fullmatch(text):
        raise NoTime(
            "it is a time code that counts frames, and their rate is not said; give seconds, such "
            "as 10.4, or 00:00:10.4"
        )
    low = text.lower()
    if found := _MILLISECONDS.fullmatch(low):
        return float(found[1]) / 1000
    if (found := _UNITS.fullmatch(low)) and any(found.groups()):
        hours_s, minutes_s, seconds_s = (float(each or 0) for each in found.groups())
        return hours_s * 3600 + minutes_s * 60 + seconds_s
    if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise NoTime("it is a date; a span is in seconds from the clip's start")
    if text.startswith("-") or low in ("nan", "inf", "infinity"):
        raise NoTime("a time is a finite number, from 0 on")
    raise NoTime("it is no time; write seconds (62.5) or a time code (00:01:02.5)")
