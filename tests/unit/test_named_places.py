"""What a command names is what its clips may be copied from."""

from pathlib import Path

import pytest

from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.settings import read_settings
from clipfleet_producer.feeding.submission import RunRequest
from clipfleet_producer.sources import named_places
from clipfleet_producer.sources.named_places import NamedPlaces
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems

UPLOADING = Options.model_validate({"prepare": {"upload_clips": True}})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with clips, a link out of them, and manifests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLIPFLEET_ALLOWED_SOURCES", raising=False)
    for name in ("clips/a.mp4", "clips/day1/b.mp4", "private/secret.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"clip")
    (tmp_path / "clips" / "linked.mp4").symlink_to(tmp_path / "private" / "secret.mp4")
    (tmp_path / "clips" / "folder").symlink_to(tmp_path / "private")
    (tmp_path / "clips" / "m.csv").write_text("clip\na.mp4\n../private/secret.mp4\ns3://b/x.mp4\n")
    return tmp_path


def find(*names: str, **asked: object) -> tuple[list[ManifestLine], RunRequest, list[str]]:
    """(the clips, what was asked, the problems) of a command that copies clips."""
    problems = Problems()
    wanted = RunRequest(names=names, run_id="r1", **asked)  # type: ignore[arg-type]
    with OptionOverrides(UPLOADING) as variants:
        found = list(wanted.clips(read_settings(), variants, problems))
    return found, wanted, list(problems)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("clips", "clips"),
        ("clips/a.mp4", "clips/a.mp4"),
        ("clips/day*/*.mp4", "clips"),
        ("clips/m.csv", "clips"),
        ("clips/linked.mp4", "private/secret.mp4"),
    ],
)
def test_an_argument_names_a_place(folder: Path, name: str, place: str) -> None:
    _, asked, _ = find(name)

    assert list(asked.named) == [(folder / place).as_uri()]


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("", "s3://b"),
        ("day1/", "s3://b/day1"),
        ("day1/a.mp4", "s3://b/day1/a.mp4"),
        ("/", "s3://b//"),
        ("day1//", "s3://b/day1//"),
        ("/a.mp4", "s3://b//a.mp4"),
    ],
)
def test_an_argument_in_s3_names_a_place(key: str, place: str) -> None:
    places = NamedPlaces()

    places.add_s3("b", key)

    assert list(places) == [place]
    assert places.covers(f"s3://b/{key}a.mp4" if key.endswith("/") else f"s3://b/{key}")


@pytest.mark.parametrize("url", ["https://host/a/../b.mp4", "s3:///a/"])
def test_an_argument_that_is_no_place_names_none(url: str) -> None:
    places = NamedPlaces()

    places.add(url)

    assert list(places) == []


def test_a_clip_behind_a_link_is_found_and_said_not_to_be_copied(folder: Path) -> None:
    found, _, problems = find("clips")

    assert len(found) == 3
    (problem,) = problems
    assert "private/secret.mp4: not copied to clips/" in problem
    assert "CLIPFLEET_ALLOWED_SOURCES" in problem


def test_rows_of_a_manifest_that_lie_elsewhere_are_said_not_to_be_copied(folder: Path) -> None:
    found, _, problems = find("clips/m.csv")

    assert len(found) == 3
    assert [each.partition(": not copied")[0] for each in problems] == [
        (folder / "private" / "secret.mp4").as_uri(),
        "s3://b/x.mp4",
    ]


def test_what_another_argument_names_is_copied(folder: Path) -> None:
    _, _, problems = find("clips/m.csv", "private")

    assert [each.partition(": not copied")[0] for each in problems] == ["s3://b/x.mp4"]


def test_the_setting_takes_the_place_of_what_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = f'["{folder}/private", "s3://b"]'
    monkeypatch.setenv("CLIPFLEET_ALLOWED_SOURCES", places)

    _, _, problems = find("clips/m.csv")

    assert ["clips/a.mp4: not copied" in each for each in problems] == [True]


def test_without_follow_links_links_in_folders_are_passed_over(folder: Path) -> None:
    found, _, problems = find("clips", follow_links=False)

    assert sorted(Path(line.source).name for line in found) == ["a.mp4", "b.mp4"]
    assert problems == []


def test_without_follow_links_those_that_fit_a_pattern_are_passed_over(folder: Path) -> None:
    found, _, _ = find("clips/**/*.mp4", follow_links=False)

    assert sorted(Path(line.source).name for line in found) == ["a.mp4", "b.mp4"]


def test_a_list_without_end_names_a_thousand_places(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_places, "MOST_PLACES", 1)

    _, asked, problems = find("clips/a.mp4", "clips/day1/b.mp4")

    assert list(asked.named) == [(folder / "clips" / "a.mp4").as_uri()]
    assert len(problems) == 1
