"""Which columns of a manifest are used, and as what: by their names, or as the command says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from clipfleet.errors import UsageError
from clipfleet_producer.sources.manifests.column_names import (
    CLIP_COLUMNS,
    Role,
    clip_rank,
    pair_of,
    role_of,
)
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.uris import ClipRefused

_UNSURE = {role for role in Role if role.name.startswith(("MAYBE", "ODD"))}
_SAYABLE = {role.value: role for role in Role if role not in _UNSURE}
_OF_SPANS = {Role.SPAN, Role.START, Role.END, Role.DURATION, *_UNSURE}
_PLAIN = {*CLIP_COLUMNS, *_SAYABLE}
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The columns that are read; all others are metadata.

    `clips` are those that may name the clip: the first non-empty one does. `maybe_spans` are spans
    if their values look like one. `notes` say which columns were recognised by other names than
    the documented ones.
    """

    clips: tuple[str, ...] = ()
    span: str | None = None
    maybe_spans: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    duration: str | None = None
    prompt: str | None = None
    options: str | None = None
    notes: tuple[str, ...] = ()


def read_said(texts: Iterable[str], *, clip: str | None = None) -> dict[str, str]:
    """What `--column` says, such as `start_s=from`, by role; `clip` is the clip's column.

    Raises `UsageError`.
    """
    said = {} if clip is None else {Role.CLIP.value: clip}
    for text in texts:
        role, equals, name = text.partition("=")
        said[_role(role if equals else text).value] = name
    return said


def _role(name: str) -> Role:
    if name not in _SAYABLE:
        raise UsageError(
            f"--column {short(name)}: write it as NAME=COLUMN, where NAME is one of "
            f"{', '.join(_SAYABLE)}; such as start_s=from, or start_s= for none"
        )
    return _SAYABLE[name]


class Columns:
    """Reads the names of columns. `said` are columns by role; an empty name is none at all."""

    def __init__(self, said: Mapping[str, str] | None = None) -> None:
        self._said = {_role(role): name for role, name in (said or {}).items()}

    def read(self, names: Iterable[str]) -> Reading:
        """How columns of these names are read.

        Raises `ClipRefused` if that is ambiguous, with what to say or to rename.
        """
        names = list(names)
        found = self._by_role(names)
        alone = self._start_and_end(found)
        notes = [*self._renamed(found), *self._kept(found, alone)]
        lasts = found[Role.START] and not found[Role.END]
        return Reading(
            clips=self._clips(found, names, notes),
            span=self._only(found, Role.SPAN),
            maybe_spans=tuple(found[Role.MAYBE_SPAN]),
            start=self._only(found, Role.START),
            end=self._only(found, Role.END),
            duration=self._only(found, Role.DURATION) if lasts else None,
            prompt=self._only(found, Role.PROMPT),
            options=self._only(found, Role.OPTIONS),
            notes=tuple(notes),
        )

    def names_clips(self, names: Iterable[str]) -> bool:
        """Whether one of the columns names clips."""
        said = self._said.get(Role.CLIP)
        return any(name == said if said else role_of(name) is Role.CLIP for name in names)

    def _by_role(self, names: list[str]) -> dict[Role, list[str]]:
        found: dict[Role, list[str]] = defaultdict(list)
        said = set(self._said.values())
        for name in names:
            role = role_of(name)
            if role is not None and role not in self._said and name not in said:
                found[role].append(name)
        for role, name in self._said.items():
            if name and name not in names:
                raise ClipRefused(
                    f"it has no column {short(name, 60)}, which the command names for "
                    f"{role.value}; {_there_is(names, name)}"
                )
            found[role] = [name] if name else []
        if self._said.get(Role.START) == "":  # no spans at all
            unread = _OF_SPANS - self._said.keys()
        else:  # whoever says one has looked at the others
            unread = _UNSURE if _OF_SPANS & self._said.keys() else set()
        for role in unread:
            found[role] = []
        return found

    def _start_and_end(self, found: dict[Role, list[str]]) -> list[str]:
        """Decide which are a span's start and end; returns names whose other half is missing."""
        starts, ends = found[Role.MAYBE_START], found[Role.MAYBE_END]
        if not (found[Role.START] or found[Role.END]):
            for start in starts:
                partners = [end for end in ends if pair_of(end) == pair_of(start)]
                found[Role.START] += [start] if partners else []
                found[Role.END] += partners
        has_span = found[Role.SPAN] or (found[Role.START] and found[Role.END])
        odd = found[Role.ODD_START] + found[Role.ODD_END]
        if found[Role.START] and not found[Role.DURATION]:
            odd += found[Role.ODD_DURATION]
        if odd and not has_span:
            raise ClipRefused(
                f"its column {short(odd[0], 60)} looks like part of a span, in another unit than "
                "seconds; give start_s and end_s in seconds, or, if it is none, say --column "
                "start_s="
            )
        return starts + ends

    def _only(self, found: dict[Role, list[str]], role: Role) -> str | None:
        names = found[role]
        if len(names) > 1:
            raise ClipRefused(
                f"its columns {short(names[0], 60)} and {short(names[1], 60)} could both be read "
                f"as {role.value}; rename one, or say which: --column {role.value}=NAME"
            )
        return names[0] if names else None

    def _clips(
        self, found: dict[Role, list[str]], names: list[str], notes: list[str]
    ) -> tuple[str, ...]:
        clips = found[Role.CLIP]
        if Role.CLIP not in self._said:
            clips = sorted(clips, key=clip_rank)
        if not clips:
            wanted = f"{', '.join(CLIP_COLUMNS[:-1])} or {CLIP_COLUMNS[-1]}"
            raise ClipRefused(
                f"it names no clip: there is nothing in a column {wanted}; {_there_is(names)}; "
                "say which: --column clip=NAME"
            )
        if len(clips) > 1 and clips[0] != CLIP_COLUMNS[0]:
            others = ", ".join(short(name, 60) for name in clips[1:])
            notes.append(
                f"column {short(clips[0], 60)} names the clips, where it holds something, before "
                f"{others} (else: --column clip=NAME)"
            )
        return tuple(clips)

    def _renamed(self, found: dict[Role, list[str]]) -> list[str]:
        unread = {Role.DURATION} if found[Role.END] or not found[Role.START] else set()
        renamed = [
            f"{short(found[role][0], 60)} is read as {role.value}"
            for role in _SAYABLE.values()
            if found[role] and role not in unread and found[role][0] not in _PLAIN
        ]
        return [f"column {', '.join(renamed)}"] if renamed else []

    def _kept(self, found: dict[Role, list[str]], alone: list[str]) -> list[str]:
        if found[Role.SPAN] or found[Role.START] or found[Role.END]:
            return []
        lengths = found[Role.DURATION] + found[Role.ODD_DURATION]
        said = Role.DURATION in self._said
        return [
            f"column {short(name, 60)} is kept as metadata, and whole clips are taken: a span has "
            f"a start and an end (else: --column start_s=NAME --column end_s=NAME)"
            for name in [*alone, *([] if said else lengths)]
        ]


def _there_is(names: list[str], wanted: str = "") -> str:
    if not names:
        return "it has none"
    close = get_close_matches(wanted[:60], [name for name in names[:1000] if len(name) < 60], 1)
    if close:
        return f"did you mean {close[0]}?"
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"there is {', '.join(short(name, 40) for name in names[:_SHOWN])}{more}"
