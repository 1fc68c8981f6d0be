"""Names whose letters are composed in a list and decomposed on the disk, or the other way."""

import os
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest

from clipfleet import keys
from clipfleet_producer.cli.clip_names import clip_uuids
from clipfleet_producer.sources.spellings import one_spelling, path_on_disk, spellings
from clipfleet_producer.sources.uris import Addresses

Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD")


@pytest.mark.parametrize("disk", FORMS)
@pytest.mark.parametrize("asked", FORMS)
def test_a_file_is_found_and_has_the_disks_name_however_it_is_spelled(
    tmp_path: Path, disk: Form, asked: Form
) -> None:
    path = tmp_path / normalize(disk, "Köln") / normalize(disk, "café.mp4")
    path.parent.mkdir()
    path.write_bytes(b"clip")
    spelled = normalize(asked, f"{tmp_path}/Köln/café.mp4")

    assert path_on_disk(spelled) == str(path)
    assert Addresses(str(tmp_path)).find(spelled)[:2] == (path.as_uri(), 4)


def test_each_part_of_a_path_may_be_spelled_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / normalize("NFD", "é") / normalize("NFC", "ü") / normalize("NFD", "ö.mp4")
    path.parent.mkdir(parents=True)
    path.touch()

    assert path_on_disk(normalize("NFC", str(path))) == str(path)
    assert path_on_disk(normalize("NFD", str(path))) == str(path)


def test_two_files_that_differ_in_spelling_alone_are_two(tmp_path: Path) -> None:
    both = [tmp_path / normalize(form, "é.mp4") for form in FORMS]
    for path in both:
        path.write_bytes(b"clip")

    found = {Addresses(".").find(str(path))[0] for path in both}

    assert found == {path.as_uri() for path in both}


@pytest.mark.parametrize("asked", FORMS)
def test_a_clip_is_shown_however_its_path_is_spelled(tmp_path: Path, asked: Form) -> None:
    path = tmp_path / normalize("NFD", "é.mp4")
    path.touch()

    assert clip_uuids(normalize(asked, str(path)))[0] == keys.clip_uuid(path.as_uri())


@pytest.mark.parametrize("asked", FORMS)
def test_a_clip_at_home_is_shown_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Form
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / normalize("NFD", "é.mp4")
    path.touch()

    assert clip_uuids(normalize(asked, "~/é.mp4"))[0] == keys.clip_uuid(path.as_uri())


@pytest.mark.parametrize("path", ["gone/é.mp4", "/gone/é.mp4", "é\0", "", "a\udce9.mp4", "/"])
def test_a_path_that_is_nowhere_stays_as_it_is(path: str) -> None:
    assert path_on_disk(path) == path
    assert one_spelling(path) == path


def test_where_the_disk_takes_both_for_one_the_file_has_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / normalize("NFD", "é.mp4")
    path.write_bytes(b"clip")
    real = os.lstat

    def mac(name: str) -> os.stat_result:
        return real(normalize("NFD", name))

    monkeypatch.setattr(os, "lstat", mac)

    found = {Addresses(".").find(normalize(form, str(path)))[0] for form in FORMS}

    assert found == {(tmp_path / normalize("NFC", "é.mp4")).as_uri()}


def test_a_name_of_plain_letters_has_one_spelling() -> None:
    assert spellings("a.mp4") == ("a.mp4",)
    assert spellings("é") == ("\u00e9", "e\u0301")
    assert spellings("猫") == ("猫",)
