"""From Python: what the documentation shows, run as it stands there."""

import re
from pathlib import Path

import pytest

from clipfleet import Fleet
from clipfleet.errors import RunCancelled, RunFinished, UsageError
from tests.support.small_fleet import SmallFleet

DOCS = Path(__file__).parents[2] / "docs" / "runs.md"
CLIPS = 5


@pytest.fixture
def fleet(small_fleet: SmallFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A fleet that lives, in a working folder with clips that cannot be cut."""
    small_fleet.start()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for number in range(CLIPS):
        (tmp_path / "clips" / f"{number}.mp4").write_text(f"not a video {number}")
    for name, value in small_fleet.settings.items():
        monkeypatch.setenv(name, value)
    return Fleet()


def test_the_example_in_the_documentation_runs(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"street {CLIPS} [] {{}}"
    assert said[1] == f"finished {CLIPS} {CLIPS} None"
    assert "rows of" in said[-2]
    assert "prepare" in said[-1]
    assert said[-1].endswith(" []"), "no run is under way"
    assert (tmp_path / "dataset").is_dir()


def test_records_come_with_their_lines_of_the_manifest(fleet: Fleet) -> None:
    run = fleet.submit(["clips/"], run_id="r", limit=2)
    run.feed()
    pairs = list(run.records())
    assert [Path(line.source).name for line, _ in pairs] == ["0.mp4", "1.mp4"]
    for line, record in pairs:
        assert record is not None
        assert record == fleet.record(line.clip_uuid)


def test_what_names_no_clip_is_said(fleet: Fleet) -> None:
    run = fleet.submit(["clips/", "nowhere/"])
    assert run.problems == ["nowhere/: there is no such file or folder"]
    with pytest.raises(UsageError, match="there is no such file or folder"):
        fleet.submit(["nowhere/"])


def test_a_cancelled_run_can_be_taken_up_again(fleet: Fleet) -> None:
    run = fleet.submit(["clips/"], run_id="r")
    run.cancel()
    assert run.status().state == "cancelled"
    assert fleet.runs() == []
    run.resume()
    assert run.feed().counts.done == CLIPS


def test_orders_to_a_run_that_has_finished_are_refused(
    fleet: Fleet, small_fleet: SmallFleet
) -> None:
    run = fleet.submit(["clips/"], run_id="r")
    run.feed()
    for order in (run.pause, run.resume, run.cancel):
        with pytest.raises(RunFinished, match="run r has finished"):
            order()
    for order_name in ("pause", "resume", "cancel"):
        done = small_fleet.run(order_name, "r")
        assert (done.returncode, done.stdout) == (2, "clipfleet: run r has finished\n")
    assert run.feed().state == "finished", "to feed it asks for nothing that is not so"


def test_a_cancelled_run_is_not_paused_and_stays_cancelled(fleet: Fleet) -> None:
    run = fleet.submit(["clips/"], run_id="r")
    run.cancel()
    with pytest.raises(RunCancelled, match="to feed it again: clipfleet resume r"):
        run.pause()
    run.cancel()
    assert run.status().state == "cancelled"


def test_a_fleet_prints_nothing(fleet: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    run = fleet.submit(["clips/", "nowhere/"], run_id="r")
    run.pause()
    run.resume()
    run.feed()
    assert capfd.readouterr() == ("", "")


def test_a_run_that_there_is_not_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="there is no run nobodys"):
        fleet.run("nobodys")
