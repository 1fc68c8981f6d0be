"""Columns of manifests by the names that data sets give them: read, or said not to be."""

from pathlib import Path

import pytest

from clipfleet_producer.sources.manifests.column_names import Role, role_of
from tests.support.manifests import take

PAIRS = [
    ("start", "end"),
    (" start_s", " end_s"),
    ("Start_S", "END_S"),
    ("start_time", "end_time"),
    ("startTime", "endTime"),
    ("starttime", "endtime"),
    ("time_start", "time_end"),
    ("start_sec", "end_sec"),
    ("start_seconds", "end_seconds"),
    ("Start Time (s)", "End Time (s)"),
    ("Start Timecode", "End Timecode"),
    ("clip_start", "clip_end"),
    ("segment_start", "segment_end"),
    ("t_start", "t_end"),
    ("begin", "end"),
    ("start", "stop"),
    ("from", "to"),
    ("in", "out"),
    ("from_time", "to_time"),
]


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_a_spans_columns_are_read_however_they_are_written(
    tmp_path: Path, start: str, end: str
) -> None:
    found = take(tmp_path, "m.csv", f"clip,{start},{end},label\na.mp4,1.5,3,x\n")

    assert found.rows == [("a.mp4", (1.5, 3.0), {"label": "x"})]
    assert found.problems == []


@pytest.mark.parametrize(("start", "end"), [("start", "end"), ("from", "to")])
def test_it_is_said_that_a_column_is_read_by_another_name(
    tmp_path: Path, start: str, end: str
) -> None:
    found = take(tmp_path, "m.csv", f"clip,{start},{end}\na.mp4,1.5,3\n")

    said = f"m.csv: column {start} is read as start_s, {end} is read as end_s"
    assert found.notes == [said]


def test_columns_of_the_documentation_are_read_without_a_word(tmp_path: Path) -> None:
    found = take(tmp_path, "m.csv", "clip,start_s,end_s,prompt,label\na.mp4,1,3,Say.,x\n")

    assert (found.notes, found.problems) == ([], [])


@pytest.mark.parametrize(
    "name",
    [
        *("Clip", " clip ", "VIDEO", "file_name", "filename", "filepath", "file_path", "videos"),
        *("video_path", "videoPath", "video_url", "Video File", "clip_uri", "s3_path"),
    ],
)
def test_a_clips_column_is_read_however_it_is_written(tmp_path: Path, name: str) -> None:
    found = take(tmp_path, "m.csv", f"{name},label\na.mp4,x\n")

    assert found.rows == [("a.mp4", None, {"label": "x"})]


def test_a_start_and_a_duration_are_a_span(tmp_path: Path) -> None:
    found = take(tmp_path, "m.csv", "clip,start,duration\na.mp4,1.5,3\n")

    assert found.rows == [("a.mp4", (1.5, 4.5), {})]


def test_a_duration_beside_start_and_end_is_metadata(tmp_path: Path) -> None:
    found = take(tmp_path, "m.csv", "clip,start_s,end_s,duration\na.mp4,1,3,60\n")

    assert found.rows == [("a.mp4", (1.0, 3.0), {"duration": "60"})]


@pytest.mark.parametrize("name", ["duration", "from", "in", "clip_duration", "duration_ms"])
def test_of_what_may_be_part_of_a_span_it_is_said_that_it_is_not_read(
    tmp_path: Path, name: str
) -> None:
    found = take(tmp_path, "m.csv", f"clip,{name}\na.mp4,10\n")

    assert found.rows == [("a.mp4", None, {name: "10"})]
    (note,) = found.notes
    assert f"column {name} is kept as metadata, and whole clips are taken" in note


UNCLEAR = {
    "two starts": ("clip,start,start_s,end_s\na.mp4,1,1,3\n", "start and start_s could both"),
    "two ends": ("clip,start,end,end_time\na.mp4,1,3,3\n", "end and end_time could both"),
    "milliseconds": ("clip,start_ms,end_ms\na.mp4,1,3\n", "start_ms looks like part of a span"),
    "frames": ("clip,start_frame,end_frame\na.mp4,1,3\n", "start_frame looks like part of a span"),
    "frames as words": ("clip,Start Frame,End Frame\na.mp4,1,3\n", "Start Frame looks like"),
    "an offset": ("clip,start_offset,end_offset\na.mp4,1,3\n", "start_offset looks like"),
    "minutes": ("clip,start_min,end_min\na.mp4,1,3\n", "start_min looks like part of a span"),
    "a duration in ms": ("clip,start,duration_ms\na.mp4,1,3\n", "duration_ms looks like part"),
    "two prompts": ("clip,prompt,Prompt\na.mp4,x,y\n", "prompt and Prompt could both"),
    "a start alone": ("clip,start\na.mp4,1\n", "there is no end_s"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_not_clear_is_one_problem_that_names_the_column(tmp_path: Path, case: str) -> None:
    data, said = UNCLEAR[case]

    found = take(tmp_path, "m.csv", data)

    assert found.rows == []
    (problem,) = found.problems
    assert said in problem


def test_frames_beside_seconds_are_metadata(tmp_path: Path) -> None:
    found = take(tmp_path, "m.csv", "clip,start_s,end_s,start_frame\na.mp4,1,3,30\n")

    assert found.rows == [("a.mp4", (1.0, 3.0), {"start_frame": "30"})]


SAID = [
    ({"start_s": "from", "end_s": "till"}, "clip,from,till,start\na.mp4,1,3,x\n", (1.0, 3.0)),
    ({"start_s": "start"}, "clip,start,start_s,end_s\na.mp4,2,1,3\n", (2.0, 3.0)),
    ({"start_s": ""}, "clip,start,end\na.mp4,2,3\n", None),
    ({"start_s": ""}, "clip,start_ms,end_ms\na.mp4,2,3\n", None),
    ({"clip": "where", "span": "part"}, "where,clip,part\na.mp4,7,1-3\n", (1.0, 3.0)),
]


@pytest.mark.parametrize(("columns", "data", "span"), SAID)
def test_the_command_may_say_which_columns_are_meant(
    tmp_path: Path, columns: dict[str, str], data: str, span: tuple[float, float] | None
) -> None:
    found = take(tmp_path, "m.csv", data, columns=columns)

    assert (found.clips, found.spans, found.problems) == (["a.mp4"], [span], [])


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_a_column_that_the_command_names_and_that_is_not_there_is_a_problem(
    tmp_path: Path, name: str
) -> None:
    data = "clip,form\na.mp4,1\n" if name == "m.csv" else '{"clip": "a.mp4", "form": 1}\n'

    found = take(tmp_path, name, data, columns={"start_s": "from"})

    (problem,) = found.problems
    assert (
        "it has no column from, which the command names for start_s; did you mean form" in problem
    )


OBJECTS = {
    "other names": ('{"video": "a.mp4", "start_time": 1.5, "end_time": 3}', (1.5, 3.0)),
    "a timestamp of two": ('{"video": "a.mp4", "timestamp": [1.5, 3]}', (1.5, 3.0)),
    "a timestamp of one": ('{"video": "a.mp4", "timestamp": 1700000000}', None),
    "a timestamp that is a date": ('{"video": "a.mp4", "timestamp": "2024-01-02"}', None),
    "a segment": ('{"video": "a.mp4", "segment": "0:01-0:03"}', (1.0, 3.0)),
    "a list of one clip": ('{"videos": ["a.mp4"], "start": 1, "end": 3}', (1.0, 3.0)),
    "path and bytes": ('{"video": {"bytes": null, "path": "a.mp4"}}', None),
    "a name that holds nothing": (
        '{"clip": "a.mp4", "start": null, "start_s": 1, "end_s": 3}',
        (1, 3),
    ),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_rows_of_json_are_read_by_what_they_hold(tmp_path: Path, case: str) -> None:
    row, span = OBJECTS[case]

    found = take(tmp_path, "m.jsonl", f"{row}\n")

    assert (found.clips, found.spans, found.problems) == (["a.mp4"], [span], [])


REFUSED_OBJECTS = {
    "several clips": ('{"videos": ["a.mp4", "b.mp4"], "x": 1}', "names 2 clips; give each a row"),
    "the video itself": ('{"video": {"bytes": "AA", "path": "a.mp4"}}', "the video itself (bytes)"),
    "several spans": ('{"clip": "a.mp4", "timestamps": [[1, 2], [3, 4]]}', "holds 2 spans"),
    "half a pair": ('{"clip": "a.mp4", "from": 1, "to": null}', "there is no end_s"),
    "milliseconds": ('{"clip": "a.mp4", "start_ms": 1, "end_ms": 2}', "start_ms looks like part"),
}


@pytest.mark.parametrize("case", REFUSED_OBJECTS)
def test_rows_of_json_that_are_not_clear_are_problems(tmp_path: Path, case: str) -> None:
    row, said = REFUSED_OBJECTS[case]

    found = take(tmp_path, "m.jsonl", f'{row}\n{{"clip": "b.mp4"}}\n')

    assert found.clips == ["b.mp4"]
    (problem,) = found.problems
    assert problem.startswith("m.jsonl, line 1: ")
    assert said in problem


@pytest.mark.parametrize(
    "name",
    [
        *("label", "weekend", "backend", "friend", "stop_sign", "from_account", "to_do", "length"),
        *("start_lat", "start_date", "recording", "Endpoint", "n" * 1000, "", "é", "video_id"),
    ],
)
def test_other_names_mean_nothing(name: str) -> None:
    assert role_of(name) is None


def test_a_column_of_another_alphabet_or_case_is_known() -> None:
    assert role_of("\ufeffSTART_S") is Role.START


SPLIT_BY_OTHERS = {
    "Panda-70M": (
        "m.csv",
        """clip,timestamp\na.mp4,"[['0:00:01.5', '0:00:03'], ['0:00:03', '0:00:09']]"\n""",
        "timestamp",
    ),
    "ActivityNet": (
        "m.jsonl",
        '{"video": "a.mp4", "timestamps": [[0, 1.5], [1, 3]]}\n',
        "timestamps",
    ),
    "QVHighlights": (
        "m.jsonl",
        '{"video": "a.mp4", "relevant_windows": [[82, 150], [160, 170]]}\n',
        "relevant_windows",
    ),
    "segments": (
        "m.jsonl",
        '{"video": "a.mp4", "segments": [{"start": 0, "end": 1}, {"start": 1, "end": 2}]}\n',
        "segments",
    ),
}


@pytest.mark.parametrize("data_set", SPLIT_BY_OTHERS)
def test_a_clip_whose_row_names_several_spans_is_not_taken_whole(
    tmp_path: Path, data_set: str
) -> None:
    name, text, column = SPLIT_BY_OTHERS[data_set]
    found = take(tmp_path, name, text)

    assert found.rows == []
    (problem,) = found.problems
    assert "it holds 2 spans; give each a row of its own" in problem
    assert f"if {column} is none, say --column span=" in problem
