"""`clipfleet show` and `clipfleet summary`: what the store holds, for people and for machines."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from clipfleet import keys
from clipfleet.errors import ExitCode, UsageError
from clipfleet.records import Failure
from clipfleet.store import Store
from clipfleet_producer.cli import results
from clipfleet_producer.cli.show import safe_json
from tests.support.exported_run import FAILURE, RUN, StoredRun, done_record, source


@pytest.fixture
def run(folder_store: Store) -> StoredRun:
    """Four clips, of which one failed in part and one has no record."""
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(4)
    run.put(
        done_record(0, ["one two three"]),
        done_record(1, [None, "one"], warnings=["one frame lost"]),
        done_record(2, ["one two", "one two three four"]),
    )
    return run


def show(run: StoredRun, clip: str, *arguments: str) -> Result:
    """`clipfleet show`."""
    return run.invoke(results.show, clip, *arguments)


@pytest.mark.parametrize("clip", [source(1), keys.clip_uuid(source(1))])
def test_a_clip_is_shown_by_its_address_and_by_its_uuid(run: StoredRun, clip: str) -> None:
    result = show(run, clip)

    assert result.exit_code == ExitCode.OK
    assert "00001.mp4" in result.output
    assert "window 2: frames 256–511" in result.output
    assert "RequestTimedOut in caption: no answer" in result.output
    assert "one frame lost" in result.output
    assert 'tags: ["näive", null]' in result.output


def test_a_clip_of_this_machine_is_shown_by_its_path(
    run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = (tmp_path / "my clip#1.mp4").as_uri()
    run.put(done_record(0, span_uuid=keys.clip_uuid(uri), source_video=uri))
    monkeypatch.chdir(tmp_path)

    assert "my clip#1.mp4" in show(run, "my clip#1.mp4").output


def test_a_part_of_a_source_is_shown_by_the_address_with_its_span(run: StoredRun) -> None:
    clip = keys.clip_uuid(source(0), (1.5, 3.0))
    run.put(done_record(0, ["just that part"], span_uuid=clip))

    assert "just that part" in show(run, f"{source(0)}#t=1.5,3.0").output


def test_show_prints_a_preview_address_in_one_piece(run: StoredRun) -> None:
    address = f"{run.store.uri}/{keys.preview(keys.clip_uuid(source(0)), 0, 255)}"

    assert address in show(run, source(0)).output


def test_show_as_json_is_the_record_byte_for_byte(run: StoredRun) -> None:
    result = show(run, source(1), "--json")

    assert result.stdout_bytes == run.store.get(keys.record(keys.clip_uuid(source(1))))


def test_a_clip_without_a_record_is_a_usage_error(run: StoredRun) -> None:
    result = show(run, source(3))

    assert isinstance(result.exception, UsageError)
    assert source(3) in str(result.exception)


def test_a_record_of_another_making_is_refused_and_printed_as_json(run: StoredRun) -> None:
    key = keys.record(keys.clip_uuid(source(3)))
    run.store.put(key, b'{"schema_version": 99}')

    assert isinstance(show(run, source(3)).exception, UsageError)
    assert show(run, source(3), "--json").output == '{"schema_version": 99}'


CLEARS = "\x1b[2J\x9b2J\u202e[bold]"


def test_what_a_terminal_would_obey_is_shown_as_its_escape(run: StoredRun) -> None:
    record = done_record(
        0,
        [f"caption {CLEARS}"],
        source_video=f"s3://clips/{CLEARS}",
        metadata={CLEARS: CLEARS},
        warnings=[CLEARS],
        errors=[Failure(step="prepare", error=CLEARS, message=CLEARS)],
    )
    run.put(record)

    output = show(run, source(0)).output

    assert not {"\x1b", "\x9b", "\u202e"} & set(output)
    assert output.count("\\x1b[2J") >= 5
    assert "[bold]" in output


def test_json_for_a_terminal_means_the_same_and_holds_nothing_that_it_would_obey() -> None:
    record = json.dumps({"caption": f"{CLEARS} \U000e0001 é 日本 😀"}, ensure_ascii=False, indent=1)

    shown = safe_json(record)

    assert json.loads(shown) == json.loads(record)
    assert "é 日本 😀" in shown
    assert all(letter == "\n" or letter.isprintable() for letter in shown)


def summary(run: StoredRun, *arguments: str) -> Result:
    """`clipfleet summary`."""
    return run.invoke(results.summary, RUN, *arguments)


def test_a_summary_as_json_has_the_figures(run: StoredRun) -> None:
    found = json.loads(summary(run, "--json").stdout)

    assert found["run"] == RUN
    assert (found["clips"], found["done"], found["missing"], found["failed"]) == (4, 3, 1, 1)
    assert (found["windows"], found["captions"]) == (5, 4)
    words = found["texts"]["caption"]["words"]
    assert words == {"texts": 4, "median": 2, "p05": 1, "p95": 4, "shortest": 1, "longest": 4}
    assert found["texts"]["caption"]["finish_reasons"] == {"stop": 4}
    assert found["errors"] == [{"step": FAILURE.step, "error": FAILURE.error, "count": 1}]
    assert (found["prompt_tokens"], found["output_tokens"]) == (4 * 5840, 4 * 190)
    assert found["video_s"] == pytest.approx(3 * 400 / 30)


def test_a_summary_for_people_says_the_same_and_draws_bars(run: StoredRun) -> None:
    output = summary(run).output

    assert "median 2, 5% 1, 95% 4, shortest 1, longest 4" in output
    assert "█" in output
    assert "RequestTimedOut" in output
    assert "40 s of video" in output


def test_a_summary_of_a_run_without_records_has_no_captions(folder_store: Store) -> None:
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(2)

    result = summary(run)

    assert result.exit_code == ExitCode.OK
    assert "captions, in words" not in result.output


def test_a_plot_is_a_png(run: StoredRun, tmp_path: Path) -> None:
    file = tmp_path / "lengths.png"

    result = summary(run, "--plot", str(file))

    assert result.exit_code == ExitCode.OK, result.exception
    assert file.read_bytes().startswith(b"\x89PNG\r\n")
    assert len(file.read_bytes()) > 5000


@pytest.mark.parametrize("name", ["lengths.pdf", "nowhere/lengths.png"])
def test_a_plot_that_cannot_be_is_refused(run: StoredRun, tmp_path: Path, name: str) -> None:
    result = summary(run, "--plot", str(tmp_path / name))

    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / name).exists()


def test_a_plot_without_matplotlib_names_what_to_install(
    run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    result = summary(run, "--plot", str(tmp_path / "a.png"))

    assert isinstance(result.exception, UsageError)
    assert "pip install 'clipfleet[export]'" in str(result.exception)
