"""The words that this project does not use, and where one of them is used all the same.

`words.toml` lists them, each with what to say instead. `code` holds snippets of Python, matched
token by token: a name alone (`edition`) is found as an identifier, an attribute, a whole string or
a key of JSON, `.before` as an attribute, `def tell` as a definition. `prose` holds regular
expressions for comments, docstrings, messages and documentation; a space in one matches any break
between two words. `only` names the files and folders that an entry is for, `but` those that it is
not for. `python -m tests.words`, which `make lint` runs, prints `file:line: word → say …`.
"""

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("words.toml")
TEXTS = (".md", ".yml", ".toml", ".sh", ".lua", ".acl", ".example")
NAMES = ("Dockerfile", "Makefile")
# Built or measured, not written; and the list itself, with the test that plants its words.
SKIPPED = {
    "benchmarks/results",
    "build",
    "demo",
    "dist",
    "shared",
    "workers/clipfleet_workers/inference/mini/tokenizer.json",
    "tests/words/words.toml",
    "tests/unit/test_words.py",
}
# Between two words of a sentence: blanks, and what begins a line of a comment or a quotation.
_BREAK = r"(?:\s+[#>*]?\s*)"
# What code is replaced by in a module's prose: no phrase reaches across it.
_CODE = "\0"
_QUOTES = re.compile(r"""^[A-Za-z]{0,2}('{3}|"{3}|'|")|('{3}|"{3}|'|")$""")


@dataclass(frozen=True)
class Found:
    """A use of a word of the list: where (lines count from 1), and what to say instead."""

    path: str
    line: int
    word: str
    say: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word} → say {self.say}"


@dataclass(frozen=True)
class Word:
    """An entry of the list: its snippets as tokens, its phrases as one pattern."""

    say: str
    code: tuple[tuple[str, ...], ...]
    prose: re.Pattern[str] | None
    only: tuple[str, ...]
    but: tuple[str, ...]


def load() -> list[Word]:
    """The list's entries."""
    entries: list[dict[str, Any]] = tomllib.loads(LIST.read_text(encoding="utf-8"))["word"]
    return [
        Word(
            entry["say"],
            tuple(_snippet(each) for each in entry.get("code", ())),
            _pattern(entry["prose"]) if "prose" in entry else None,
            tuple(entry.get("only", ("",))),
            tuple(entry.get("but", (_CODE,))),
        )
        for entry in entries
    ]


def find(root: Path, words: list[Word]) -> Iterator[Found]:
    """Every use of the words in the files below a folder, file by file and line by line."""
    for path in _files(root, root):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        here = [w for w in words if name.startswith(w.only) and not name.startswith(w.but)]
        for line, word, say in sorted(set(_uses(path.suffix, text, here))):
            yield Found(name, line, word, say)


def _snippet(code: str) -> tuple[str, ...]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return tuple(token.string for token in tokens if token.string.strip())


def _pattern(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases).replace(' ', _BREAK)})(?!\w)", re.IGNORECASE)


def _files(folder: Path, root: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith((".", "__pycache__")) and path.name != ".env.example"
        if hidden or path.relative_to(root).as_posix() in SKIPPED:
            continue
        if path.is_dir():
            yield from _files(path, root)
        elif path.suffix in {".py", ".json", *TEXTS} or path.name in NAMES:
            yield path


def _uses(suffix: str, text: str, words: list[Word]) -> Iterator[tuple[int, str, str]]:
    if suffix == ".py":
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        yield from _in_code(tokens, words)
        yield from _in_prose(_prose(text, tokens), words)
    elif suffix == ".json":
        yield from _names(text, words, r'(?<="){}(?="\s*:)')
    else:
        yield from _names(text, words, r"""(?<=[`'"]){}(?=[`'"(:])""")
        yield from _in_prose(text, words)


def _in_code(tokens: list[tokenize.TokenInfo], words: list[Word]) -> Iterator[tuple[int, str, str]]:
    code = [(_meaning(token), token.start[0]) for token in tokens if token.string.strip()]
    places: dict[str, list[int]] = {}
    for index, (each, _) in enumerate(code):
        places.setdefault(each, []).append(index)
    for word in words:
        for snippet in word.code:
            for index in places.get(snippet[0], ()):
                if tuple(each for each, _ in code[index : index + len(snippet)]) == snippet:
                    yield code[index][1], " ".join(snippet), word.say


def _meaning(token: tokenize.TokenInfo) -> str:
    """A token as a snippet has it: a string that may be a key without its quotes."""
    if token.type == tokenize.STRING and (inner := _QUOTES.sub("", token.string)).isidentifier():
        return inner
    return "" if token.type == tokenize.COMMENT else token.string


def _names(text: str, words: list[Word], shape: str) -> Iterator[tuple[int, str, str]]:
    """Single names in texts that are no Python, where they are written like `shape`."""
    for word in words:
        for name, *more in word.code:
            for match in () if more else re.finditer(shape.replace("{}", name), text):
                yield text.count("\n", 0, match.start()) + 1, name, word.say


def _in_prose(prose: str, words: list[Word]) -> Iterator[tuple[int, str, str]]:
    for word in words:
        for match in word.prose.finditer(prose) if word.prose else ():
            line = prose.count("\n", 0, match.start()) + 1
            yield line, re.sub(_BREAK, " ", match[0]), word.say


def _prose(text: str, tokens: list[tokenize.TokenInfo]) -> str:
    """A module's text with its comments and strings alone, each where it was."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    prose = list(re.sub(r"\S", _CODE, text))
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        if kind not in ("COMMENT", "STRING") and not kind.startswith("FSTRING"):
            continue
        begin = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        said = text[begin:end]
        if kind in ("STRING", "FSTRING_START", "FSTRING_END"):
            said = _QUOTES.sub(lambda quotes: " " * len(quotes[0]), said)
        prose[begin:end] = said
    return "".join(prose)
