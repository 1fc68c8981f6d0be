"""Clips that are named by presigned addresses: what they are called, and what is said of them."""

import json
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from clipfleet.store import open_store
from clipfleet_producer.cli.clip_names import clip_uuids
from clipfleet_producer.cli.show import read_record
from clipfleet_producer.sources.unique import unique
from clipfleet_producer.sources.uris import short_name
from tests.support.found_clips import find, write
from tests.unit.test_sources import folder

__all__ = ["folder"]

CLIP = "https://bucket.example.org/day%201/a.mp4"
SECRET = "5ec2e7" * 8
V4 = "X-Amz-Algorithm=A&X-Amz-Credential=AKIA{0}&X-Amz-Date={0}&X-Amz-Expires=9&X-Amz-Signature="
SIGNED = f"{CLIP}?{V4.format(1)}{SECRET}"
SIGNED_LATER = f"{CLIP}?{V4.format(2)}{SECRET}"


def address(line: ManifestLine) -> str | None:
    return line.address.get_secret_value() if line.address else None


LISTS = {
    "list.jsonl": json.dumps({"url": SIGNED}) + "\n",
    "list.csv": f'url\n"{SIGNED}"\n',
    "list.tsv": f"video\n{SIGNED}\n",
}


@pytest.mark.parametrize("name", ["an argument", "standard input", *LISTS])
def test_a_clip_is_known_by_its_address_without_the_signature(folder: Path, name: str) -> None:
    if name in LISTS:
        found = find(write(folder / name, LISTS[name].encode()))
    elif name == "standard input":
        found = find("-", stdin=f"{SIGNED}\n".encode())
    else:
        found = find(SIGNED)

    (line,) = found.clips
    assert found.problems == []
    assert (line.source, line.clip_uuid) == (CLIP, keys.clip_uuid(CLIP))
    assert line.presigned
    assert address(line) == SIGNED
    assert SECRET not in line.model_dump_json()
    assert SECRET not in repr(line)


def test_one_clip_under_two_signatures_is_one_clip(folder: Path) -> None:
    rows = [SIGNED, SIGNED_LATER, CLIP, f"{CLIP}?versionId=2&{V4.format(3)}{SECRET}"]

    found = find("-", stdin="\n".join(rows).encode())

    assert [line.source for line in found.clips] == [CLIP, f"{CLIP}?versionId=2"]
    assert address(found.clips[0]) == SIGNED


def test_spans_of_a_presigned_clip_are_clips_each_with_the_address(folder: Path) -> None:
    rows = [{"clip": SIGNED, "span": [0, 1]}, {"clip": SIGNED, "span": [1, 2]}]
    listed = write(folder / "l.jsonl", "\n".join(map(json.dumps, rows)).encode())

    first, second = find(listed).clips

    assert first.clip_uuid == keys.clip_uuid(CLIP, (0.0, 1.0)) != second.clip_uuid
    assert address(first) == address(second) == SIGNED


def test_clips_keep_their_addresses_however_they_are_ordered(folder: Path) -> None:
    signed = [f"https://h.org/{n}.mp4?{V4.format(n)}{SECRET}" for n in range(20)]
    lines = find("-", stdin="\n".join(signed).encode()).clips

    shuffled = list(unique(lines, shuffle=7))

    assert [line.source for line in shuffled] != [line.source for line in lines]
    assert sorted(shuffled, key=lambda line: line.source) == sorted(
        lines, key=lambda line: line.source
    )


def test_an_address_that_was_too_long_for_its_token_is_taken(folder: Path) -> None:
    token = "T" * 3000

    (line,) = find(f"{SIGNED}&X-Amz-Security-Token={token}").clips

    assert line.source == CLIP
    assert token in (address(line) or "")


def test_what_a_manifest_says_beside_is_kept_without_signatures(folder: Path) -> None:
    row = {"clip": SIGNED, "thumb": f"{CLIP}.jpg?w=2&{V4.format(1)}{SECRET}", "all": [SIGNED]}

    (line,) = find(write(folder / "l.jsonl", json.dumps(row).encode())).clips

    assert line.metadata == {"thumb": f"{CLIP}.jpg?w=2", "all": [CLIP]}


@pytest.mark.parametrize(
    "named",
    [
        SIGNED.replace("https", "http"),
        SIGNED.replace("https", "ftp"),
        SIGNED.replace("//bucket", "//me:pw@bucket"),
        SIGNED.replace("//bucket.example.org", "//"),
        SIGNED + "#t=1",
        SIGNED + " x",
        SIGNED + "é",
        SIGNED.replace("example.org", "example.org:99999"),
        SIGNED.replace("day%201/a.mp4", ""),
        SIGNED.replace("day", "d" * 2000),
        SIGNED + "&a=" + "b" * 9000,
        SIGNED.removeprefix("https:"),
        "http://h/?sig=" + SECRET,
        "https://h/?token=" + SECRET,
        f"https://h/?Expires=1&AWSAccessKeyId=a&Signature={SECRET}",
    ],
)
@pytest.mark.parametrize("how", ["an argument", "a row", "another value"])
def test_a_problem_with_an_address_says_no_signature(folder: Path, named: str, how: str) -> None:
    if how == "an argument":
        found = find(named)
    else:
        row = {"clip": named if how == "a row" else [named]}
        found = find(write(folder / "l.jsonl", json.dumps(row).encode()))

    assert found.clips == []
    assert found.problems
    assert SECRET[:12] not in "".join(found.problems)


def test_a_clips_short_name_says_no_secret() -> None:
    assert short_name(f"{CLIP}?id=7&token=ab/{SECRET}") == "a.mp4?id=7&token=…"


@pytest.mark.parametrize("span", ["", "#t=1.5,4.0"])
def test_a_clip_is_shown_by_a_presigned_address(span: str) -> None:
    assert clip_uuids(f"{SIGNED}{span}")[0] == keys.clip_uuid(f"{CLIP}{span}")


def test_a_clip_without_a_record_is_said_without_its_signature(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no record of it") as raised:
        read_record(open_store(str(tmp_path)), SIGNED)

    assert SECRET not in str(raised.value)
