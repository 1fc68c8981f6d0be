"""Whether a text ran away: a model that says one thing over and over until it is cut."""

MIN_TIMES = 4
MIN_CHARS = 60


def runs_away(text: str) -> bool:
    """Whether `text` ends in one phrase, at least 4 times in a row and over 60 characters.

    A refrain of a few words, or a number with many zeros, is shorter.
    """
    text = text.rstrip(" .\n")
    for period in range(1, len(text) // MIN_TIMES + 1):
        wanted = max(MIN_TIMES * period, MIN_CHARS)
        if wanted > len(text):
            break
        same = 0
        while same < wanted - period and text[-1 - same] == text[-1 - same - period]:
            same += 1
        if same >= wanted - period:
            return True
    return False
