"""Text of strangers as a terminal shows it: what a terminal would act on or hide is escaped.

Escaped are controls (C0, DEL, C1), marks that turn the writing around, invisible ones, separators
of lines, halves of surrogates: all but letters, numbers, marks, symbols and the plain space.
"""


def printable(text: str) -> str:
    """The text on one line."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The text with its line ends as they are."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]
