"""What the documents name is there: files, folders, and pages that they link to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BASES = (ROOT, ROOT / "producer", ROOT / "workers")
PACKAGES = ("clipfleet", "clipfleet_producer", "clipfleet_workers", "tests", "training")
# In backticks, from a package's name on: a module or a folder.
_PATHS = re.compile(rf"`((?:producer/|workers/)?(?:{'|'.join(PACKAGES)})/[\w./-]*)`")
_LINKS = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def named(page: Path) -> list[str]:
    return [path for path in _PATHS.findall(page.read_text(encoding="utf-8")) if "…" not in path]


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    assert [path for path in named(page) if not any((b / path).exists() for b in BASES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_and_sections_that_a_page_links_to_exist(page: Path) -> None:
    broken = []
    for link, anchor in _LINKS.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / link).resolve() if link else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{link}#{anchor}")
    assert broken == []


def test_the_first_page_names_every_room_and_follows_a_clip_in_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = [
        f"{package.name}/{room.name}/"
        for package in (ROOT / "producer/clipfleet_producer", ROOT / "workers/clipfleet_workers")
        for room in package.iterdir()
        if (room / "__init__.py").exists()
    ]
    assert [room for room in rooms if f"`{room}`" not in text] == []
    way = ("Sources", "Run", "Feed", "Delivery", "Prepare", "Caption", "Assemble", "Store")
    places = [text.index(f". **{step}.**") for step in way]
    assert places == sorted(places)
