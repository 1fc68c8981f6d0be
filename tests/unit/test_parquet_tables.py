"""Manifests in Parquet."""

import datetime as dt
import io
import math
import sys
from decimal import Decimal
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet
import pytest

from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet_producer.sources.manifests.rows import Rows
from clipfleet_producer.sources.manifests.tables import Table
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import Addresses
from tests.support.read_tables import CLIP, Read


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


def test_without_pyarrow_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(UsageError, match=r"pip install 'clipfleet\[tables\]'"):
        Read("m.parquet", b"")
