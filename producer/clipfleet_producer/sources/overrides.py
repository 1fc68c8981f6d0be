"""Options that single clips are given: checked, named by hash, kept until they are written."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from cachetools import LRUCache
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from clipfleet.errors import UsageError
from clipfleet.flags import MODEL_OPTIONS, each_option, read_options
from clipfleet.options import Options, Shapes
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.spool import naming_spool_errors, open_spool

_KEPT = 10_000
_MOST_BYTES = 256 * 1024  # of a clip's own options as JSON: three prompts of the longest, and more

_FLAGS = {
    flag.partition("/")[0].removeprefix("--"): (group, name)
    for group, name, _, flag in each_option()
}
_OF_MODELS = {(group, name) for group, names in MODEL_OPTIONS.items() for name in names}
_OF_OUTPUT = {
    (group, name)
    for group, name, _, _ in each_option()
    if Options.model_fields[group].default.shaped_by(name) is not Shapes.NOTHING
}

_APART = "submit these clips as a run of their own"


class OptionOverrides:
    """The options of a run, `base`, and those of clips that have some of their own.

    Options that are named again and again are checked once. All that were ever named are on disk,
    so that a hundred million clips may have a prompt each. A context manager, which forgets them.
    """

    def __init__(self, base: Options) -> None:
        self.base, self._base_hash = base, base.hash
        self.any_uploads = base.prepare.upload_clips  # whether any clip is to be copied to clips/
        # What came up last: (hash, what is wrong), and the hashes that were given.
        self._known: LRUCache[bytes, tuple[str | None, str | None]] = LRUCache(_KEPT)
        self._given: LRUCache[str, bool] = LRUCache(_KEPT)
        self._stack = ExitStack()
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> "OptionOverrides":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget them all."""
        self._db = None
        self._stack.close()

    def hash_for(
        self, prompt: str | None, options: Mapping[str, JsonValue] | str | None
    ) -> str | None:
        """The hash of a clip's own options; None where they come to those of the run.

        `prompt` is its caption prompt; `options` are by their flags' names, an object or its JSON.
        Raises `UsageError` where they are out of range, or such that a run's clips must share.
        """
        named = to_json([prompt, options], inf_nan_mode="constants")
        if len(named) > _MOST_BYTES:
            raise UsageError(f"its options are over the limit of {_MOST_BYTES // 1024} KiB")
        key = hashlib.blake2b(named, digest_size=16).digest()
        known = self._known.get(key)
        if known is None:
            try:
                known = self._make(prompt, options), None
            except UsageError as error:
                known = None, short(error, 300)
            self._known[key] = known
        name, fault = known
        if fault is not None:
            raise UsageError(fault)
        return name

    def new(self, lines: Iterable[ManifestLine]) -> dict[str, Options]:
        """The options of these lines that have some of their own, by hash, for the store.

        Those given by a call not long ago are left out.
        """
        found = {}
        for name in dict.fromkeys(line.options_hash for line in lines):
            if name is None or self._given.get(name):
                continue
            found[name] = self.find(name)
            self._given[name] = True
        return found

    def find(self, name: str) -> Options:
        """The options of this hash."""
        if name == self._base_hash:
            return self.base
        assert self._db is not None, f"options {name} were not made here"
        with naming_spool_errors():
            wanted = self._db.execute("SELECT json FROM made WHERE hash = ?", (name,))
            (text,) = wanted.fetchone()
        return Options.model_validate_json(text)

    def _make(
        self, prompt: str | None, options: Mapping[str, JsonValue] | str | None
    ) -> str | None:
        named = _parsed(options) if isinstance(options, str) else options
        made = _merged(self.base, _read(prompt, named or {}))
        _check_shared(self.base, made)
        name = made.hash
        self.any_uploads |= made.prepare.upload_clips
        if name == self._base_hash:
            return None
        if self._db is None:
            table = "made (hash TEXT PRIMARY KEY, json TEXT) WITHOUT ROWID"
            self._db = self._stack.enter_context(open_spool(table))
        row = name, made.model_dump_json(exclude_defaults=True)
        with naming_spool_errors():
            self._db.execute("INSERT OR IGNORE INTO made VALUES (?, ?)", row)
        return name


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = from_json(text, allow_inf_nan=False) if text else None
    except ValueError as error:
        raise UsageError(f"its options are not JSON: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise UsageError('its options are no JSON object, such as {"captioning-sampling-fps": 1}')
    return found


def _read(prompt: str | None, options: Mapping[str, Any]) -> Options:
    """The clip's own options over defaults; which are its own, `model_fields_set` says."""
    for flag, value in options.items():
        if flag not in _FLAGS:
            raise UsageError(f"its options: there is no option {short(flag, 80)}")
        # Else whoever wrote the manifest could have any file of this machine put into records.
        if _FLAGS[flag][1].endswith("prompt_text") and str(value).startswith("@"):
            raise UsageError(f"{flag}: give the prompt's text; @FILE is for the command line alone")
    if prompt is not None and prompt.startswith("@"):
        raise UsageError("prompt: give the prompt's text; @FILE is for the command line alone")
    return read_options({"caption__prompt_text": prompt}, dict(options))


def _merged(base: Options, own: Options) -> Options:
    groups = {}
    for group in own.model_fields_set:
        wanted = getattr(own, group)
        given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
        groups[group] = getattr(base, group).model_copy(update=given)
    return base.model_copy(update=groups)


def _check_shared(base: Options, made: Options) -> None:
    """Raises `UsageError` where options differ that all clips of a run have in common."""
    for flag, (group, name) in _FLAGS.items():
        if getattr(getattr(base, group), name) == getattr(getattr(made, group), name):
            continue
        if (group, name) in _OF_MODELS:
            why = f"a worker has one model for all clips of a run; {_APART}"
        elif (group, name) == ("prepare", "generate_captions"):
            why = f"either all clips of a run are captioned or none; {_APART}"
        elif (group, name) == ("enhance", "enabled"):
            why = f"either all captions of a run are enhanced or none; {_APART}"
        elif (group, name) not in _OF_OUTPUT:
            why = "it shapes nothing of what comes out; give it to the command"
        else:
            continue
        raise UsageError(f"{flag}: {why}")
    if made.contradiction:
        raise UsageError(made.contradiction)
