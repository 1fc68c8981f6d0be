"""Manifests that people write."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.manifests.column_names import CLIP_COLUMNS
from clipfleet_producer.sources.manifests.rows import MAX_METADATA_BYTES
from clipfleet_producer.sources.manifests.tables import is_table
from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES
from tests.support.read_tables import CLIP, Read, lines


def read_row(**row: Any) -> ManifestLine:
    """The clip of a manifest of one row."""
    found = Read("m.jsonl", lines({"clip": CLIP, **row}))
    assert found.problems == []
    (clip,) = found.clips
    return clip


def refusal(**row: Any) -> str:
    """What is wrong with the one row of a manifest."""
    found = Read("m.jsonl", lines({"clip": CLIP, **row}))
    assert found.clips == []
    (problem,) = found.problems
    assert problem.startswith("m.jsonl, line 1: ")
    return problem.removeprefix("m.jsonl, line 1: ")


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.NDJSON", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.csv.GZ"]
)
def test_a_manifest_is_known_by_its_name(name: str) -> None:
    assert is_table(name)


@pytest.mark.parametrize("name", ["a.mp4", "a.gz", "jsonl", "a.ts"])
def test_other_files_are_no_manifests(name: str) -> None:
    assert not is_table(name)


def test_each_line_of_json_is_a_clip() -> None:
    found = Read("m.jsonl", lines({"clip": CLIP}, b"\n", {"clip": "s3://bucket/b.mp4"}))

    assert [clip.source for clip in found.clips] == [CLIP, "s3://bucket/b.mp4"]
    assert [clip.clip_uuid for clip in found.clips] == [
        keys.clip_uuid(CLIP),
        keys.clip_uuid("s3://bucket/b.mp4"),
    ]


def test_a_clip_of_a_manifest_is_what_its_stored_line_would_be_read_as() -> None:
    clip = read_row(span=[1, 2], prompt="Say.", label={"a": [1, 2.5, None, "x"]})

    assert ManifestLine.model_validate_json(clip.model_dump_json(exclude_defaults=True)) == clip


@pytest.mark.parametrize("column", CLIP_COLUMNS)
def test_a_clip_may_be_named_in_any_of_the_usual_columns(column: str) -> None:
    (clip,) = Read("m.jsonl", lines({column: CLIP, "label": 1})).clips

    assert (clip.source, clip.metadata) == (CLIP, {"label": 1})


def test_the_first_of_the_usual_columns_names_the_clip_and_others_are_metadata() -> None:
    (clip,) = Read("m.jsonl", lines({"url": "https://a.org/b", "clip": None, "uri": CLIP})).clips

    assert clip.source == CLIP
    assert clip.metadata == {"url": "https://a.org/b", "clip": None}


def test_a_column_that_is_named_names_the_clip() -> None:
    found = Read("m.jsonl", lines({"clip": "cat 7", "where": CLIP}), columns={"clip": "where"})

    assert [(clip.source, clip.metadata) for clip in found.clips] == [(CLIP, {"clip": "cat 7"})]


def test_paths_are_relative_to_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"1234")

    (clip,) = Read("m.jsonl", lines({"clip": "a.mp4"}), place=str(tmp_path)).clips

    assert (clip.source, clip.num_bytes) == ((tmp_path / "a.mp4").as_uri(), 4)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.mp4", "s3://bucket/lists/a.mp4"),
        ("../day1/a.mp4", "s3://bucket/day1/a.mp4"),
        ("s3://other/a.mp4", "s3://other/a.mp4"),
    ],
)
def test_in_a_manifest_in_s3_paths_are_relative_to_its_prefix(text: str, source: str) -> None:
    (clip,) = Read("m.jsonl", lines({"clip": text}), place="s3://bucket/lists").clips

    assert clip.source == source


@pytest.mark.parametrize("text", ["/etc/passwd", "file:///etc/passwd", "../../etc/passwd"])
def test_a_manifest_in_s3_names_no_files_of_this_machine(text: str) -> None:
    found = Read("m.jsonl", lines({"clip": text}), place="s3://bucket/lists")

    assert (found.clips, len(found.problems)) == ([], 1)


SPANS: list[dict[str, Any]] = [
    {"span": [1.5, 4]},
    {"span": "1.5-4"},
    {"span": " 1.5 - 4.0 "},
    {"span": "[1.5, 4]"},
    {"start_s": 1.5, "end_s": 4},
    {"start_s": "1.5", "end_s": "4."},
]


@pytest.mark.parametrize("row", SPANS)
def test_a_span_is_part_of_a_clip_and_of_its_name(row: dict[str, Any]) -> None:
    clip = read_row(**row)

    assert (clip.span, clip.metadata) == ((1.5, 4.0), {})
    assert clip.clip_uuid == keys.clip_uuid(CLIP, (1.5, 4.0))


def test_a_span_from_minus_nought_is_one_from_nought() -> None:
    assert read_row(span=[-0.0, 1]).clip_uuid == read_row(span=[0, 1]).clip_uuid


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_span_is_none(value: str | None) -> None:
    clip = read_row(span=value, start_s=value, end_s=value)

    assert (clip.span, clip.metadata) == (None, {})


NO_SPANS: list[dict[str, Any]] = [
    {"span": [2, 1]},
    {"span": [1, 1]},
    {"span": [-1, 1]},
    {"span": [1]},
    {"span": [1, 2, 3]},
    {"span": [1, True]},
    {"span": [0, "x" * 1000]},
    {"span": [0, 10**400]},
    {"span": "1"},
    {"span": "nan-inf"},
    {"span": "1-2-3"},
    {"span": {"start": 1, "end": 2}},
    {"start_s": 1},
    {"end_s": 1},
    {"start_s": "nan", "end_s": "inf"},
    {"start_s": 0, "end_s": "1_0"},
]


@pytest.mark.parametrize("row", NO_SPANS, ids=lambda row: str(row)[:40])
def test_what_is_no_span_is_a_problem(row: dict[str, Any]) -> None:
    assert refusal(**row).startswith("its span ")


def test_a_span_said_twice_is_a_problem() -> None:
    assert "leave out one or the other" in refusal(span=[1, 2], start_s=1, end_s=2)


def test_a_prompt_is_an_option_of_the_clip() -> None:
    found = Read("m.jsonl", lines({"clip": CLIP, "prompt": "What is it?"}))

    (clip,) = found.clips
    assert clip.options_hash is not None
    assert found.options[clip.options_hash].caption.prompt_text == "What is it?"
    assert clip.metadata == {}


@pytest.mark.parametrize(
    "options", [{"captioning-sampling-fps": 1}, '{"captioning-sampling-fps": 1}']
)
def test_options_are_an_object_or_its_json(options: object) -> None:
    found = Read("m.jsonl", lines({"clip": CLIP, "options": options}))

    (clip,) = found.clips
    assert clip.options_hash is not None
    assert found.options[clip.options_hash].prepare.sampling_fps == 1.0


@pytest.mark.parametrize("row", [{"prompt": 7}, {"options": 7}, {"options": [1]}, {"options": "["}])
def test_what_are_no_options_is_a_problem(row: dict[str, Any]) -> None:
    assert refusal(**row).startswith("its ")


def test_an_option_out_of_range_is_a_problem_that_names_it() -> None:
    assert "--captioning-sampling-fps" in refusal(options={"captioning-sampling-fps": 1000})


def test_what_else_a_row_has_goes_into_the_clips_record() -> None:
    rest = {"label": "cat", "score": 0.5, "tags": ["a", {"b": None}], "n": 2**63 - 1, "": True}

    assert read_row(**rest).metadata == rest


METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "too much": ({"text": "x" * MAX_METADATA_BYTES}, "over the limit of 16,384"),
    "a long name": ({"n" * 256: 1}, "a name of over 255"),
    "nested": ({"x": json.loads("[" * 40 + "]" * 40)}, "over 32 levels deep"),
    "a huge number": ({"x": [2**64]}, "over 64 bits"),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_that_not_every_reader_can_hold_is_a_problem(case: str) -> None:
    row, said = METADATA[case]

    assert said in refusal(**row)


def test_the_most_metadata_that_there_may_be_is_taken() -> None:
    text = "x" * (MAX_METADATA_BYTES - len('{"text":""}'))

    assert read_row(text=text, clip=CLIP).metadata == {"text": text}


HOSTILE: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"garbage", "not JSON: "),
    "no object": (b"[1, 2]", "no JSON object"),
    "JSON without end": (b"[" * 100_000, "not JSON: recursion"),
    "an object without end": (b'{"a":' * 100_000, "not JSON: recursion"),
    "a number that is none": (b'{"clip": "s3://b/k", "x": NaN}', "not JSON: "),
    "an endless number": (b'{"clip": "s3://b/k", "x": 1e999}', "its x is inf"),
    "a number of many digits": (b'{"clip": "s3://b/k", "x": ' + b"9" * 5000 + b"}", "not JSON: "),
    "a number of less": (b'{"clip": "s3://b/k", "x": ' + b"9" * 4000 + b"}", "over 64 bits"),
    "options of many digits": (
        b'{"clip": "s3://b/k", "options": {"preview-quality": ' + b"9" * 4000 + b"}}",
        "--preview-quality",
    ),
    "half a letter": (b'{"clip": "s3://b/\\ud800"}', "not JSON: "),
    "no UTF-8": (b'{"clip": "s3://b/\xff"}', "not JSON: "),
    "a NUL": (b'{"clip": "s3://b/\0"}', "not JSON: control character"),
    "an escaped NUL": (b'{"clip": "s3://b/\\u0000"}', "holds a NUL character"),
    "an escaped NUL in a path": (b'{"clip": "/a\\u0000"}', "no file can have this name"),
    "a clip that is no text": (b'{"clip": {"a": 1}}', "its clip is not text"),
    "a clip of nothing": (b'{"clip": ""}', "it names no clip"),
    "a source too long": (b'{"clip": "s3://b/' + b"k" * 2000 + b'"}', "over the limit of 1,900"),
    "a source without end": (b'{"clip": "s3://b/' + b"k" * 10**5 + b'"}', "100,007 characters"),
    "a path too long": (b'{"clip": "/' + b"k" * 1000 + b'"}', "File name too long"),
    "a path without end": (b'{"clip": "/' + b"k" * 10**5 + b'"}', "100,001 characters"),
    "a key upwards": (b'{"clip": "s3://b/../../k"}', "'..' part"),
    "a prefix": (b'{"clip": "s3://b/k/"}', "it names a prefix"),
    "a bucket that is none": (b'{"clip": "s3://[b/k"}', "no bucket's name"),
    "a scheme of no meaning": (b'{"clip": "gopher://b/k"}', "clips are files, or lie at"),
    "options of no meaning": (b'{"clip": "s3://b/k", "options": {"x": 1}}', "no option x"),
    "a line of 10 MB": (b'{"clip": "s3://b/k", "x": "' + b"x" * 10**7 + b'"}', "1024 KiB"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_line_is_one_problem_and_the_rest_goes_on(case: str) -> None:
    line, said = HOSTILE[case]

    found = Read("m.jsonl", lines({"clip": CLIP}, line + b"\n", {"clip": CLIP}))

    assert [clip.source for clip in found.clips] == [CLIP, CLIP]
    (problem,) = found.problems
    assert problem.startswith("m.jsonl, line 2: ")
    assert said in problem
    assert len(problem) <= 500


def test_a_mark_at_a_files_start_is_passed_over() -> None:
    assert len(Read("m.jsonl", b"\xef\xbb\xbf" + lines({"clip": CLIP})).clips) == 1


def test_the_longest_line_that_there_may_be_is_read() -> None:
    line = lines({"clip": CLIP})
    padded = line.rstrip() + b" " * (MAX_LINE_BYTES - len(line)) + b"\n"

    assert len(padded) == MAX_LINE_BYTES
    assert len(Read("m.jsonl", padded).clips) == 1


def test_a_gzipped_manifest_is_read() -> None:
    assert len(Read("m.jsonl.gz", gzip.compress(lines({"clip": CLIP}))).clips) == 1


# No time in it: the workers of a parallel run must name their tests alike.
CUT_SHORT = gzip.compress(lines({"clip": CLIP}) * 100, mtime=0)[:-9]


@pytest.mark.parametrize("data", [b"none", CUT_SHORT], ids=["not at all", "cut short"])
def test_a_manifest_that_is_not_gzipped_as_its_name_says_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"m.jsonl.gz: it cannot be unpacked"):
        Read("m.jsonl.gz", data)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_manifest_of_zstd_that_is_cut_short_is_refused(frames: int) -> None:
    packed = zstandard.compress(lines({"clip": CLIP}) * 100) * frames

    assert len(Read("m.jsonl.zst", packed).clips) == 100 * frames
    with pytest.raises(UsageError, match=r"m.jsonl.zst: it cannot be unpacked \(.*cut short"):
        Read("m.jsonl.zst", packed[:-9])
