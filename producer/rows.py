"""One row of a manifest as a clip of the run: its address, its span, its own options, the rest."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import to_json

from clipfleet import keys
from clipfleet.presigned import without_signatures_in
from clipfleet.records import ManifestLine
from producer.addresses import Addresses, ClipRefused, with_address
from producer.problems import short
from producer.variants import Variants

Row = tuple[int, dict[str, Any]]  # its number from 1, and its values as JSON has them
Fault = Callable[[int, object], None]  # takes a row's number, and what is wrong with it

CLIP_COLUMNS = ("clip", "source", "uri", "url", "path", "file", "video")

MAX_METADATA_BYTES = 16 * 1024
_MAX_NAME = 255
# Far less than what readers of records put up with, who find it some levels deeper.
_MAX_DEPTH = 32
_NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\."
_SPAN = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*")
_ONE_NUMBER = re.compile(rf"\s*({_NUMBER})\s*")
_PAIR = re.compile(rf"\s*\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]\s*")


class Rows:
    """Makes rows of one manifest into clips."""

    def __init__(
        self, addresses: Addresses, variants: Variants, *, clip_column: str | None = None
    ) -> None:
        self._addresses, self._variants = addresses, variants
        self._names = (clip_column,) if clip_column else CLIP_COLUMNS

    def check_columns(self, names: Iterable[str]) -> None:
        """Raises `ClipRefused` where two of a table's columns are one, or none names its clips."""
        counts = Counter(filter(None, names))
        if not set(self._names) & set(counts):
            raise ClipRefused(self._no_column())
        twice = [name for name, times in counts.items() if times > 1]
        if twice:
            raise ClipRefused(f"it has two columns {short(twice[0], 60)}")

    def clip(self, row: dict[str, Any]) -> ManifestLine:
        """The clip that a row of JSON values names; the row is used up.

        Raises `UsageError` (`ClipRefused` among them), without the row's place.
        """
        for name in self._names:
            text = row.get(name)
            if text is not None and text != "":
                break
        else:
            raise ClipRefused(self._no_column())
        del row[name]
        if not isinstance(text, str):
            raise ClipRefused(f"its {name} is no text but {short(text, 40)}")
        source, num_bytes = self._addresses.find(text)
        span = _take_span(row)
        prompt, options = row.pop("prompt", None), row.pop("options", None)
        if row:
            check_metadata(row)
            _take_out_signatures(row)
        # Everything in it has been looked at: checking it again would double the time of a line.
        line = ManifestLine.model_construct(
            clip_uuid=keys.clip_uuid(source, span),
            source=source,
            num_bytes=num_bytes,
            span=span,
            options_hash=self._own_options(prompt, options),
            metadata=row,
            redo=False,
        )
        return with_address(line, text)

    def _own_options(self, prompt: Any, options: Any) -> str | None:
        prompt = None if prompt == "" else prompt
        if prompt is None and options in (None, "", {}):
            return None
        if not isinstance(prompt, str | None):
            raise ClipRefused(f"its prompt is no text but {short(prompt, 40)}")
        if not isinstance(options, dict | str | None):
            raise ClipRefused(f"its options are no JSON object but {short(options, 40)}")
        return self._variants.hash_for(prompt, options)

    def _no_column(self) -> str:
        *others, last = self._names
        wanted = f"{', '.join(others)} or {last}" if others else last
        return f"it names no clip: there is nothing in a column {wanted}"


def _take_span(row: dict[str, Any]) -> tuple[float, float] | None:
    """(start, end) in seconds, taken out of the row; None where it has none."""
    span, start, end = row.pop("span", None), row.pop("start_s", None), row.pop("end_s", None)
    if span is None or span == "":
        if start in (None, "") and end in (None, ""):
            return None
    elif start not in (None, "") or end not in (None, ""):
        raise ClipRefused("it has a span, and start_s or end_s; leave out one or the other")
    elif isinstance(span, str):
        found = _PAIR.fullmatch(span) or _SPAN.fullmatch(span)
        start, end = found.groups() if found else (None, None)
    elif isinstance(span, list) and len(span) == 2:
        start, end = span
    seconds = _seconds(start), _seconds(end)
    if seconds[0] is None or seconds[1] is None or not seconds[0] < seconds[1]:
        said = short(span or f"{start} to {end}", 60)
        raise ClipRefused(f"its span {said} is not a start and an end in seconds, from 0 on")
    return seconds[0], seconds[1]


def _seconds(value: Any) -> float | None:
    """The finite number, not negative, that a value is or says; else None."""
    if isinstance(value, str):
        value = float(value) if len(value) < 64 and _ONE_NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < 2**53:
        return None
    return float(value) + 0.0  # -0.0 would be another clip


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raises `ClipRefused` unless every reader of records can hold it."""
    for name, value in metadata.items():
        kind = type(value)
        if len(name) > _MAX_NAME:
            raise ClipRefused(f"the column {short(name, 60)} has a name of over 255 characters")
        if kind is str or kind is bool or value is None:
            continue
        fault = _fault(value, 1)
        if fault:
            raise ClipRefused(f"its {short(name, 60)} {fault}")
    size = len(to_json(metadata))
    if size > MAX_METADATA_BYTES:
        raise ClipRefused(
            f"its metadata takes {size:,} bytes as JSON, over the limit of {MAX_METADATA_BYTES:,}"
        )


def _take_out_signatures(row: dict[str, Any]) -> None:
    """Leave none in a value: they would stand in records, and in whatever is exported."""
    for name, value in row.items():
        kind = type(value)
        if (kind is str and "://" in value) or kind is list or kind is dict:
            row[name] = without_signatures_in(value)


def _fault(value: Any, depth: int) -> str | None:
    """What no JSON reader need put up with, if there is any."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, which is no number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "is a number of over 64 bits; write it as text"
    if not isinstance(value, dict | list):
        return None
    if depth >= _MAX_DEPTH:
        return f"is nested over {_MAX_DEPTH} levels deep"
    inner = value.values() if isinstance(value, dict) else value
    faults = (_fault(each, depth + 1) for each in inner)
    return next((fault for fault in faults if fault), None)
