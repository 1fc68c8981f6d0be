"""python -m tests.words: fails, and says where, if a word of the list is used."""

import sys
from pathlib import Path

from tests.words import find, load

if __name__ == "__main__":
    uses = list(find(Path(__file__).parents[2], load()))
    for each in uses:
        print(each)
    sys.exit(1 if uses else 0)
