"""The words that we do not use are found wherever they are written."""

from pathlib import Path

import pytest

from tests.words import find, load

PLANTED = {
    "a name": ("a.py", "x = 1\nedition = 2\n", 2),
    "an attribute": ("a.py", "x = 1\nrun.edition\n", 2),
    "an argument": ("a.py", "f(\n    edition=2,\n)\n", 2),
    "a string that is a key": ("a.py", "x = {\n'edition': 2}\n", 2),
    "a key of JSON": ("a.json", '{\n"edition": 2}\n', 2),
    "a key named in a document": ("a.md", "The run's\n`edition` says.\n", 2),
    "a definition": ("a.py", "x = 1\ndef tell(): ...\n", 2),
    "a comment": ("a.py", "x = 1\n# what came of it\n", 2),
    "a comment of two lines": ("a.py", "x = 1\n# It says what\n# came of it.\n", 2),
    "a docstring": ("a.py", '"""What.\n\n    What came of it.\n    """\n', 3),
    "a message": ("a.py", "x = 1\nprint('What came of it')\n", 2),
    "a message in two pieces": ("a.py", "x = 1\nprint('what '\n    'came of it')\n", 2),
    "a message with values": ("a.py", "x = 1\nprint(f'{x}: what came of it')\n", 2),
    "documentation": ("docs/a.md", "It says\nwhat came\nof it.\n", 2),
    "a compose file": ("a.yml", "a:\n  # what came of it\n", 2),
    "settings": ("a.toml", 'a = 1\nb = "What came of it."\n', 2),
    "a makefile": ("Makefile", "a:\n# what came of it\n", 2),
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_word_is_found_with_its_line_and_what_to_say(place: str, tmp_path: Path) -> None:
    name, text, line = PLANTED[place]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (found,) = find(tmp_path, load())
    assert (found.path, found.line) == (name, line)
    assert " → say " in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "editions_of = 1\n",
        "file.tell()\n",
        "x = ['what', 'came', 'of']\n",
        "what = came.of\n",
        "# What\nx = 1\n# came of it\n",
        "x = 'a second edition'\n",
    ],
)
def test_other_uses_of_a_words_letters_are_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert list(find(tmp_path, load())) == []
