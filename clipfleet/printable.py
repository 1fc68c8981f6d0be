"""Untrusted text, made safe for a terminal: what a terminal would act on or hide is escaped.

That is: control characters (C0, DEL, C1), bidirectional and invisible marks, line separators and
lone surrogates; all but letters, numbers, marks, symbols and the plain space.
"""


def printable(text: str) -> str:
    """The text on one line."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The text, with its line ends kept."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]
