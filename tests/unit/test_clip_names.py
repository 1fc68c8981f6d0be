"""Which clip `show` is asked for, however it is spelled."""

from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.store import Store, open_store
from clipfleet_producer.cli.clip_names import clip_uuids, find_by_name
from clipfleet_producer.cli.show import read_record
from clipfleet_producer.runs.writing import write_run

SPAN = (1.5, 3.0)


@pytest.mark.parametrize(
    "times", ["1.5,3", "1.5,3.0", "01.5,03", "1.50,3.", "0:01.5,0:03", "npt:1.5,3"]
)
@pytest.mark.parametrize("source", ["s3://bucket/a.mp4", "https://host/a.mp4"])
def test_a_span_is_the_same_in_every_spelling(source: str, times: str) -> None:
    assert clip_uuids(f"{source}#t={times}")[0] == keys.clip_uuid(source, SPAN)


def test_a_path_may_have_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    source = (tmp_path / "a.mp4").as_uri()
    assert clip_uuids("a.mp4#t=1.5,3")[0] == keys.clip_uuid(source, SPAN)
    assert clip_uuids("a.mp4#t=,3")[0] == keys.clip_uuid(source, (0.0, 3.0))


def test_a_key_that_ends_like_a_span_is_found_too() -> None:
    assert clip_uuids("s3://bucket/a#t=1,2")[1] == keys.clip_uuid("s3://bucket/a#t=1,2")
    assert clip_uuids("s3://bucket/a#t=x") == [keys.clip_uuid("s3://bucket/a#t=x")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a run over three clips, two of one name."""
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    sources = ("s3://bucket/1/a.mp4", "s3://bucket/2/a.mp4", "s3://bucket/b c.mp4")
    lines = [ManifestLine(clip_uuid=keys.clip_uuid(s), source=s) for s in sources]
    write_run(store, "r1", Options(), lines)
    return store


def test_a_clip_is_shown_by_its_name(store: Store) -> None:
    store.put(keys.record(keys.clip_uuid("s3://bucket/b c.mp4")), b"its record")

    assert read_record(store, "b c.mp4") == b"its record"


def test_of_several_clips_of_a_name_the_addresses_are_said(store: Store) -> None:
    with pytest.raises(UsageError, match="2 clips of run r1 are called") as refusal:
        find_by_name(store, "a.mp4")

    assert str(refusal.value).endswith(
        "a.mp4; name one of them: s3://bucket/1/a.mp4 s3://bucket/2/a.mp4"
    )


def test_a_name_that_no_run_has_has_no_record(store: Store) -> None:
    with pytest.raises(UsageError, match=r"^none\.mp4: no record of it"):
        read_record(store, "none.mp4")
