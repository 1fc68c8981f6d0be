"""Manifests that people write."""

import datetime as dt
import gzip
import io
import json
import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.manifests.column_names import CLIP_COLUMNS
from clipfleet_producer.sources.manifests.rows import MAX_METADATA_BYTES, Rows
from clipfleet_producer.sources.manifests.tables import Table, is_table
from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import Addresses

CLIP = "s3://bucket/a.mp4"


class Read:
    """A manifest read: its clips, what was wrong, and the options that clips have of their own."""

    def __init__(
        self,
        name: str,
        data: bytes,
        *,
        place: str = "/",
        columns: dict[str, str] | None = None,
        memory_bytes: int = 2**30,
    ) -> None:
        problems = Problems()
        with OptionOverrides(Options()) as variants:
            rows = Rows(Addresses(place), variants, columns=columns, note=problems.note)
            table = Table(
                name=name,
                file=io.BytesIO(data),
                rows=rows,
                problems=problems,
                memory_bytes=memory_bytes,
            )
            self.clips: list[ManifestLine] = list(table.clips())
            self.options = variants.new(self.clips)
        self.problems, self.notes = list(problems), problems.notes


def lines(*rows: object) -> bytes:
    return b"".join(
        row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
    )


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
    "a clip that is no text": (b'{"clip": {"a": 1}}', "its clip is no text"),
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


def test_csv_names_its_columns_in_its_first_line() -> None:
    data = b'clip,start_s,end_s,label\r\ns3://bucket/a.mp4,1,2.5,"a, ""b""\nc"\r\n'

    (clip,) = Read("m.csv", data).clips

    assert (clip.source, clip.span, clip.metadata) == (CLIP, (1.0, 2.5), {"label": 'a, "b"\nc'})


def test_tsv_has_tabs() -> None:
    (clip,) = Read("m.tsv", b"clip\tlabel\ns3://bucket/a.mp4\tx,y\n").clips

    assert clip.metadata == {"label": "x,y"}


def test_an_empty_cell_is_absent() -> None:
    data = b"clip,span,prompt,options,label,\ns3://bucket/a.mp4,,,,,\n\n"

    (clip,) = Read("m.csv", data).clips

    assert (clip.span, clip.options_hash, clip.metadata) == (None, None, {})


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_a_table_without_a_column_for_clips_is_refused_once(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"^{name}: it names no clip: there is nothing in a column"
    ):
        Read(name, b"label\nx\ny\n")


def test_a_table_without_the_column_that_was_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has no column where, .*; there is clip$"):
        Read("m.csv", b"clip\ns3://bucket/a.mp4\n", columns={"clip": "where"})


def test_a_table_with_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(UsageError, match="two columns label"):
        Read("m.csv", b"clip,label,label\ns3://bucket/a.mp4,x,y\n")


HOSTILE_CSV = {
    "too few cells": b"s3://bucket/b.mp4",
    "too many cells": b"s3://bucket/b.mp4,x,y",
    "no UTF-8": b"s3://bucket/\xff.mp4,x",
    "a NUL": b"s3://bucket/\0.mp4,x",
    "a stray quote": b's3://bucket/b.mp4,"x"y',
    "a line of 10 MB": b"s3://bucket/b.mp4," + b"x" * 10_000_000,
    "no clip": b",x",
}


@pytest.mark.parametrize("case", HOSTILE_CSV)
def test_a_hostile_row_of_csv_is_one_problem_and_the_rest_goes_on(case: str) -> None:
    good = CLIP.encode() + b",x\n"

    found = Read("m.csv", b"clip,label\n" + good + HOSTILE_CSV[case] + b"\n" + good)

    assert [clip.source for clip in found.clips] == [CLIP, CLIP]
    (problem,) = found.problems
    assert problem.startswith("m.csv, line 3: ")


def test_a_quote_that_nothing_closes_costs_no_more_than_a_cells_length() -> None:
    good = CLIP.encode() + b",x\n"

    found = Read("m.csv", b'clip,label\ns3://bucket/b.mp4,"x\n' + good * 20_000)

    assert len(found.problems) == 1
    assert len(found.clips) > 10_000


def parquet(**columns: Any) -> bytes:
    """A Parquet file of these columns."""
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file, row_group_size=3)
    return file.getvalue()


def test_each_row_of_parquet_is_a_clip_and_values_become_json() -> None:
    noon = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    data = parquet(
        clip=[CLIP],
        span=[[1.0, 2.0]],
        day=[dt.date(2026, 1, 2)],
        time=[noon],
        stamp=pyarrow.array([1_000_000_001], pyarrow.timestamp("ns")),
        took=[dt.timedelta(seconds=1.5)],
        price=[Decimal("1.10")],
        exact=[Decimal("0.12345678901234567890123")],
        place=[{"x": 1, "y": [True, None]}],
        missing=[math.nan],
        none=pyarrow.array([None], pyarrow.string()),
        kind=pyarrow.array(["cat"]).dictionary_encode(),
    )

    (clip,) = Read("m.parquet", data).clips

    assert (clip.source, clip.span) == (CLIP, (1.0, 2.0))
    assert clip.metadata == {
        "day": "2026-01-02",
        "time": "2026-01-02T12:00:00+00:00",
        "stamp": "1970-01-01T00:00:01",
        "took": 1.5,
        "price": 1.1,
        "exact": "0.12345678901234567890123",
        "place": {"x": 1, "y": [True, None]},
        "kind": "cat",
    }


def test_parquet_is_read_over_row_groups_and_batches() -> None:
    clips = [f"s3://bucket/{number}.mp4" for number in range(10_000)]

    found = Read("m.parquet", parquet(clip=clips))

    assert [clip.source for clip in found.clips] == clips


def test_what_json_cannot_hold_is_a_problem_that_names_row_and_column() -> None:
    found = Read(
        "m.parquet", parquet(clip=[CLIP] * 3, raw=[None, b"x", None], n=[1.0, 1.0, math.inf])
    )

    assert len(found.clips) == 1
    assert [problem.partition(",")[2] for problem in found.problems] == [
        " row 2: its raw holds bytes, which JSON cannot; write them as text, such as base64",
        " row 3: its n is inf, which is no number",
    ]


def test_a_file_of_a_data_set_is_read_by_its_path_and_not_by_its_bytes() -> None:
    files = [{"bytes": None, "path": CLIP}, {"bytes": b"video", "path": "a.mp4"}]

    found = Read("m.parquet", parquet(video=files))

    assert [clip.source for clip in found.clips] == [CLIP]
    (problem,) = found.problems
    assert "row 2: its video holds the video itself (bytes)" in problem


def test_a_day_that_is_none_of_pythons_is_a_problem_of_its_row() -> None:
    days = pyarrow.array([0, 10**7, 1], pyarrow.int32()).cast(pyarrow.date32())

    found = Read("m.parquet", parquet(clip=[CLIP] * 3, day=days))

    assert [clip.metadata["day"] for clip in found.clips] == ["1970-01-01", "1970-01-02"]
    assert [problem.partition(":")[0] for problem in found.problems] == ["m.parquet, row 2"]


def test_what_is_no_parquet_is_refused() -> None:
    with pytest.raises(UsageError, match=r"m.parquet: it cannot be read as Parquet"):
        Read("m.parquet", b"PAR1 not at all PAR1")


def test_parquet_that_is_cut_off_is_refused() -> None:
    data = parquet(clip=[CLIP] * 100)

    with pytest.raises(UsageError, match=r"m.parquet: it cannot be read as Parquet"):
        Read("m.parquet", data[: len(data) // 2])


def bomb(*, rows: int, mib: int) -> bytes:
    """A Parquet file of some KiB, one cell of which unpacks to so much."""
    note = pyarrow.array(["x" * (mib << 20), *["y"] * (rows - 1)], pyarrow.large_string())
    file = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"clip": [CLIP] * rows, "note": note}),
        file,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    return file.getvalue()


def test_parquet_whose_rows_are_said_to_be_beyond_any_is_refused_unread() -> None:
    with pytest.raises(UsageError, match=r"m\.parquet: its rows take 16 MiB each, over the limit"):
        Read("m.parquet", bomb(rows=2, mib=32))


def test_parquet_that_unpacks_to_more_than_its_reader_may_take_is_refused() -> None:
    data = bomb(rows=200, mib=128)
    assert len(data) < 100_000

    with pytest.raises(UsageError, match=r"m\.parquet: .*64 MiB.*manifest_memory_bytes"):
        Read("m.parquet", data, memory_bytes=2**26)


def test_a_long_row_of_parquet_is_a_problem_of_its_own() -> None:
    found = Read("m.parquet", bomb(rows=200, mib=2))

    assert len(found.clips) == 199
    assert found.problems == ["m.parquet, row 1: it is longer than 1024 KiB"]


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_the_reader_of_parquet_ends_with_whoever_wants_no_more_rows() -> None:
    data = parquet(clip=[f"s3://bucket/{n}.mp4" for n in range(50_000)])
    before = children()
    with OptionOverrides(Options()) as variants:
        rows = Rows(Addresses("."), variants)
        file = io.BytesIO(data)
        table = Table(name="m.parquet", file=file, rows=rows, problems=Problems())
        clips = table.clips()
        next(clips)
        during = children()
        clips.close()  # type: ignore[attr-defined]

    assert (len(during - before), children() - before) == (1, set())


def test_rows_of_csv_that_never_end_are_looked_at_once_each() -> None:
    endless = b'clip\n"x\n' + b'","x\n' * 300_000

    found = Read("m.csv", endless)

    assert found.clips == []
    (problem,) = found.problems
    assert problem.startswith("m.csv, line 2: a quote")


def test_without_pyarrow_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(UsageError, match=r"pip install 'clipfleet\[tables\]'"):
        Read("m.parquet", b"")
