"""Clips have one name each, and no key leaves its place."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfleet import keys


def test_a_clips_uuid_is_the_uuid5_of_its_source_uri() -> None:
    assert keys.clip_uuid("s3://bucket/clips/a.mp4") == "0ee08e40-fdbe-5c87-9455-d8e40f3a53b7"


def test_a_spans_uuid_is_the_uuid5_of_its_source_uri_and_seconds() -> None:
    assert (
        keys.clip_uuid("s3://bucket/clips/a.mp4", (1.5, 4.0))
        == "8d0ebcae-339f-5ff4-9c2d-3e8e870572a8"
    )


@given(st.text())
def test_a_uuid_is_what_the_standard_library_makes_of_it(source: str) -> None:
    assert keys.clip_uuid(source) == str(uuid.uuid5(uuid.NAMESPACE_URL, source))


@given(st.text())
def test_the_same_source_always_has_the_same_uuid(source: str) -> None:
    assert keys.clip_uuid(source) == keys.clip_uuid(source)


@given(st.text(), st.text())
def test_two_sources_have_two_uuids(one: str, other: str) -> None:
    assert (keys.clip_uuid(one) == keys.clip_uuid(other)) is (one == other)


@pytest.mark.parametrize("other", [(0.0, 1.0), (0.5, 2.0), (0.0, 2.0000001)])
def test_two_spans_of_a_source_have_two_uuids(other: tuple[float, float]) -> None:
    assert keys.clip_uuid("file:///a.mp4", (0.0, 2.0)) != keys.clip_uuid("file:///a.mp4", other)


def test_a_uuid_is_of_version_5() -> None:
    assert uuid.UUID(keys.clip_uuid("file:///a.mp4")).version == 5


@given(st.text(min_size=1).filter(lambda name: name not in (".", "..")))
def test_a_runs_objects_lie_in_one_folder_of_their_own(run_id: str) -> None:
    root, folder, rest = keys.run(run_id).split("/")

    assert (root, rest) == ("runs", "")
    assert folder not in ("", ".", "..")


def test_everything_in_flight_lies_under_the_clips_scratch() -> None:
    scratch = keys.Scratch("clip", "hash").prefix
    in_flight = [
        keys.Scratch("clip", "hash").source,
        keys.Scratch("clip", "hash").address,
        keys.Scratch("clip", "hash").plan,
        keys.Scratch("clip", "hash").frames(0, 9),
        keys.Scratch("clip", "hash").preview_frames(0, 9),
        keys.Scratch("clip", "hash").part(0, 9, "caption"),
    ]

    assert all(key.startswith(scratch) for key in in_flight)
    assert len(set(in_flight)) == len(in_flight)


def test_parts_made_with_other_options_never_mix_in() -> None:
    assert not keys.Scratch("clip", "other").prefix.startswith(keys.Scratch("clip", "hash").prefix)
