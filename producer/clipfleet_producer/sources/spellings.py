"""Letters such as é, which are one character (composed, NFC) or two (decomposed, NFD).

A list may hold one and the disk or the bucket the other, as after a Mac. Most disks, and S3, take
them for two names; some disks for one.
"""

import os
from unicodedata import normalize


def composed(text: str) -> str:
    """The text with such letters as one character."""
    return text if text.isascii() else normalize("NFC", text)


def spellings(text: str) -> tuple[str, ...]:
    """The text as it is, then in what other spellings it has."""
    if text.isascii():
        return (text,)
    return tuple(dict.fromkeys((text, normalize("NFC", text), normalize("NFD", text))))


def path_on_disk(path: str) -> str:
    """The path as it is if there is such a file or folder, else as the disk spells it.

    Each part may have another spelling.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    found = ""
    for place, part in enumerate(path.split("/")):
        tried = (f"{found}/{each}" if place else each for each in spellings(part))
        if (there := next((each for each in tried if os.path.lexists(each or "/")), None)) is None:
            return path
        found = there
    return found


def one_spelling(path: str) -> str:
    """The composed path, where the disk takes both for one; else the path.

    So a file has one name there, whether a list or the disk itself spells it.
    """
    if path.isascii():
        return path
    nfc, nfd = normalize("NFC", path), normalize("NFD", path)
    try:
        same = nfc != nfd and os.path.samestat(os.lstat(nfc), os.lstat(nfd))
    except (OSError, ValueError):
        return path
    return nfc if same else path
