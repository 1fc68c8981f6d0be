"""python -m tests.words [--later]: fails, and says where, if a word of the list is used."""

import sys
from pathlib import Path

from tests.words import find, later, load

if __name__ == "__main__":
    without = () if "--later" in sys.argv[1:] else later()
    uses = list(find(Path(__file__).parents[2], load(), without=without))
    for each in uses:
        print(each)
    sys.exit(1 if uses else 0)
