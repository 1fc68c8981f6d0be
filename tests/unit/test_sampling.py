"""Which of the clips found are taken."""

from collections.abc import Iterator
from itertools import chain

import click
import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from clipfleet_producer.cli import main
from clipfleet_producer.sources.sampling import read_partition, sample

CLIPS = [
    ManifestLine(clip_uuid=keys.clip_uuid(source), source=source)
    for source in (f"s3://bucket/{number}.mp4" for number in range(1000))
]


@pytest.mark.parametrize(("text", "part"), [("1/1", (1, 1)), ("3/8", (3, 8)), (" 8/8 ", (8, 8))])
def test_a_partition_is_written_i_of_n(text: str, part: tuple[int, int]) -> None:
    assert read_partition(text) == part


@pytest.mark.parametrize(
    "text",
    ["", "1", "0/8", "9/8", "1/0", "-1/8", "a/b", "1/8/2", "1.0/8", "1/9999999", "1" * 10**5],
)
def test_what_is_no_partition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write it as i/n"):
        read_partition(text)


@pytest.mark.parametrize("command", [main.run, main.submit])
@pytest.mark.parametrize("flag", ["--partition", "--shard"])
def test_a_partition_is_asked_for_by_its_name_or_by_its_older_one(
    command: click.Command, flag: str
) -> None:
    context = command.make_context("x", ["clips/", flag, "1/8"])

    assert context.params["partition"] == "1/8"
    assert "--partition I/N" in command.get_help(context)
    assert "--shard " not in command.get_help(context)


def test_without_a_wish_all_clips_are_taken() -> None:
    assert list(sample(CLIPS)) == CLIPS


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_the_partitions_together_are_all_clips_each_once(parts: int) -> None:
    taken = [list(sample(CLIPS, partition=(part, parts))) for part in range(1, parts + 1)]

    assert sorted(chain(*taken), key=CLIPS.index) == CLIPS
    assert all(1000 / parts * 0.7 < len(each) < 1000 / parts * 1.3 for each in taken)


def test_a_clips_partition_does_not_depend_on_the_others() -> None:
    taken = list(sample(CLIPS, partition=(2, 3)))

    assert list(sample(CLIPS[::-2], partition=(2, 3))) == [c for c in CLIPS[::-2] if c in taken]


def test_of_the_clips_of_a_partition_the_first_are_taken() -> None:
    assert (
        list(sample(CLIPS, limit=5, partition=(2, 3))) == list(sample(CLIPS, partition=(2, 3)))[:5]
    )


def test_no_more_clips_are_asked_for_than_are_taken() -> None:
    def lines() -> Iterator[ManifestLine]:
        yield from CLIPS[:2]
        raise AssertionError("asked for a third line")

    assert list(sample(lines(), limit=2)) == CLIPS[:2]
