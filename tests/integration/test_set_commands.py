"""`clipfleet sets`, `compare` and `delete`: which there are, how two differ, taking one down."""

import json
import subprocess
from pathlib import Path

import pytest

from clipfleet import Fleet, keys
from clipfleet.errors import ExitCode, UsageError
from clipfleet.options import Options
from clipfleet.store import Store
from clipfleet_producer.runs.comparison import compare
from clipfleet_producer.runs.deletion import delete, find_doomed
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.set_list import list_sets
from tests.support.cli_here import run_here
from tests.support.exported_run import done_record, source
from tests.support.set_runs import begin_run, line, put_record, put_run, put_set

BRIEF = Options.model_validate({"caption": {"max_output_tokens": 64}})
LONG = {0: "a red ball rolls left", 1: "a blue cube stands still", 2: "nothing moves here"}
SHORT = {0: "a red ball rolls right", 1: "rain", 2: "nothing moves here"}


@pytest.fixture
def store(folder_store: Store) -> Store:
    """The first set and a set `brief`, each with a finished run of the same three clips."""
    put_set(folder_store, "")
    put_run(folder_store, "", "r1", LONG)
    put_set(folder_store, "brief", BRIEF)
    put_run(folder_store, "brief", "r2", SHORT)
    return folder_store


def command(store: Store, *arguments: str, width: int = 80) -> "subprocess.CompletedProcess[str]":
    """A command, where nobody can answer."""
    env = {"HOME": store.uri, "CLIPFLEET_STORE": store.uri, "COLUMNS": str(width)}
    return run_here(arguments, env=env, cwd=Path(store.uri))


def all_keys(store: Store, prefix: str = "") -> set[str]:
    return {info.key for info in store.list(prefix)}


# Which there are.


def test_sets_are_listed_with_clips_sizes_and_what_differs(store: Store) -> None:
    first, brief = list_sets(store)

    assert (first.name, first.clips, first.runs, first.differences) == ("", 3, 1, [])
    assert [str(each) for each in brief.differences] == [
        "--captioning-max-output-tokens is 512 there, 64 here"
    ]
    records = store.list(keys.in_set("brief") + keys.RECORDS)
    assert brief.record_bytes == sum(info.size_bytes for info in records)
    assert brief.preview_bytes > 0


def test_sets_for_people_have_their_names_on_lines_of_their_own(store: Store) -> None:
    said = command(store, "sets", width=40).stdout

    assert "(default)\n  3 clips, " in said
    assert "begun 2026-01-02 03:04, 1 run\n" in said
    assert "brief\n" in said
    assert "  --captioning-max-output-tokens 64 (default set: 512)\n" in said


def test_sets_for_machines_are_a_list(store: Store) -> None:
    first, brief = json.loads(command(store, "sets", "--json").stdout)

    assert (first["set"], first["clips"], first["differences"]) == ("", 3, [])
    assert brief["differences"] == [
        {"option": "--captioning-max-output-tokens", "default_set": "512", "this_set": "64"}
    ]
    assert "caption:default" in brief["products"]


def test_an_empty_store_has_no_sets(folder_store: Store) -> None:
    assert "There is no set" in command(folder_store, "sets").stdout
    assert json.loads(command(folder_store, "sets", "--json").stdout) == []


# How two differ.


def test_the_clips_whose_captions_differ_most_come_first(store: Store) -> None:
    found = compare(store, "", "brief")

    assert [clip.source for clip in found.clips] == [source(1), source(0)]
    assert [round(clip.overlap, 2) for clip in found.clips] == [0, 0.67]
    assert found.clips[0].captions == ([LONG[1]], [SHORT[1]])
    assert (found.in_both, found.captioned_in_both) == (3, 3)


def test_no_more_clips_are_told_than_asked_for(store: Store) -> None:
    assert [clip.source for clip in compare(store, "", "brief", limit=1).clips] == [source(1)]
    assert compare(store, "", "brief", limit=0).clips == []


def test_the_worst_of_many_clips_are_found(folder_store: Store) -> None:
    text = "a red ball rolls left over a green field and then it stops in front of the tree"
    put_run(folder_store, "a", "r1", dict.fromkeys(range(150), text))
    worst = {60: "it rains all day", 61: f"{text} where it rains"}
    put_run(folder_store, "b", "r2", {**dict.fromkeys(range(150), text), **worst})

    assert [c.source for c in compare(folder_store, "a", "b").clips] == [source(60), source(61)]


def test_a_comparison_for_machines_has_figures_of_both(store: Store) -> None:
    put_record(store, "brief", done_record(3, [None], set="brief"))

    said = json.loads(command(store, "compare", "(default)", "brief", "--json").stdout)

    first, second = said["sets"]
    assert (first["set"], first["clips"], first["failed"]) == ("", 3, 0)
    assert (second["set"], second["clips"], second["failed"]) == ("brief", 4, 1)
    assert first["texts"]["caption"]["words"]["longest"] == 5
    assert second["texts"]["caption"]["finish_reasons"] == {"stop": 3}
    assert said["differ_most"][0]["clip"] == line(1).clip_uuid
    assert said["in_both"] == 3


def test_a_comparison_for_people_shows_both_captions(store: Store) -> None:
    said = command(store, "compare", "(default)", "brief").stdout

    assert "3 clips are in both sets." in said
    assert "00001.mp4, 0% of their words shared" in said
    assert "  (default): a blue cube stands still\n  brief: rain\n" in said


def test_a_set_without_records_is_named(store: Store) -> None:
    done = command(store, "compare", "(default)", "breif")

    assert done.returncode == ExitCode.USAGE
    assert "set breif has no record" in done.stdout


# Taking down.


def test_a_set_is_deleted_whole_and_no_other(store: Store) -> None:
    first = {key for key in all_keys(store) if not key.startswith(("sets/", "runs/"))}
    store.put(keys.Scratch("0" * 8, "f" * 16, "brief").plan, b"{}")
    store.put(keys.review(line(0).clip_uuid, "brief"), b"{}")
    store.put(keys.clip(line(0).clip_uuid, "brief"), b"{}")

    doomed = find_doomed(store, "brief")
    assert doomed.counts == {"records": 3, "previews": 6, "clips": 1, "reviews": 1, "scratch": 1}
    assert delete(store, doomed) == doomed.objects

    assert all_keys(store, "sets/") == all_keys(store, "scratch/") == set()
    assert {key for key in all_keys(store) if not key.startswith("runs/")} == first
    assert [info.clips for info in list_sets(store)] == [3]


def test_the_first_set_is_deleted_without_the_others(store: Store) -> None:
    others = all_keys(store, "sets/")
    clip = line(0).clip_uuid
    store.put(keys.Scratch(clip, "f" * 16).plan, b"{}")
    store.put(keys.Scratch(clip, "f" * 16, "brief").plan, b"{}")

    done = command(store, "delete", "--set", "(default)", "--yes")

    assert done.returncode == ExitCode.OK, done.stdout
    assert all_keys(store, "sets/") == others
    assert all_keys(store, "scratch/") == {keys.Scratch(clip, "f" * 16, "brief").plan}
    assert all_keys(store, "metas/") == all_keys(store, "previews/") == set()
    assert not store.exists(keys.set_file())


def test_a_sets_file_goes_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []

    def prefix_gone(prefix: str) -> int:
        gone.append(prefix)
        return 0

    monkeypatch.setattr(store, "delete_prefix", prefix_gone)
    monkeypatch.setattr(store, "delete", gone.append)

    delete(store, find_doomed(store, "brief"))

    digests = [key for key in gone if key.endswith(".jsonl")]
    assert gone[: len(digests)] == digests
    assert gone[len(digests)].startswith("sets/brief/metas/")
    assert gone[-1] == "sets/brief/set.json"


def test_single_clips_are_deleted_and_counted_no_more(store: Store) -> None:
    said = command(store, "delete", source(1), "--set", "brief", "--yes").stdout

    assert "1 clip of set brief" in said
    assert "1 records, 2 previews" in said
    assert not any(line(1).clip_uuid in key for key in all_keys(store, "sets/"))
    assert store.exists(keys.record(line(1).clip_uuid))
    counted = json.loads(command(store, "summary", "r2", "--json").stdout)
    assert (counted["clips"], counted["done"], counted["missing"]) == (3, 2, 1)


def test_a_dry_run_deletes_nothing(store: Store) -> None:
    before = all_keys(store)

    done = command(store, "delete", "--set", "brief", "--dry-run", "--json")

    said = json.loads(done.stdout)
    assert (said["set"], said["records"], said["previews"], said["deleted"]) == ("brief", 3, 6, 0)
    assert all_keys(store) == before


def test_where_nobody_can_answer_it_needs_yes(store: Store) -> None:
    before = all_keys(store)

    done = command(store, "delete", "--set", "brief")

    assert done.returncode == ExitCode.USAGE
    assert "give --yes" in done.stdout
    assert all_keys(store) == before


def test_a_clip_of_which_there_is_nothing_is_named(store: Store) -> None:
    done = command(store, "delete", source(7), source(0), "--yes")

    assert done.returncode == ExitCode.FAILED_CLIPS
    assert f"{source(7)}: there is nothing of it in this set" in done.stdout
    assert not store.exists(keys.record(line(0).clip_uuid))


def test_without_a_set_or_a_clip_nothing_is_meant(store: Store) -> None:
    assert "name what to delete" in command(store, "delete", "--yes").stdout


def test_a_set_whose_run_goes_on_is_not_deleted(store: Store) -> None:
    run = begin_run(store, "brief", "r3", [9])
    with pytest.raises(UsageError, match="first clipfleet cancel r3"):
        find_doomed(store, "brief")

    Run(store=store, head=run.head).deactivate()

    assert find_doomed(store, "brief").counts["records"] == 3


# From Python.


def test_a_fleet_lists_compares_and_deletes_sets(store: Store) -> None:
    fleet = Fleet(store=store.uri)

    assert [info.name for info in fleet.sets()] == ["", "brief"]
    assert fleet.compare("", "brief").clips[0].source == source(1)
    assert fleet.delete([line(1).clip_uuid], set="brief", dry_run=True).counts["records"] == 1
    assert fleet.delete(set="brief").counts["records"] == 3
    assert [info.clips for info in fleet.sets()] == [3]


def test_on_s3_a_set_is_deleted_whole(s3_store: Store) -> None:
    put_set(s3_store, "b")
    put_run(s3_store, "b", "r1", LONG)

    assert delete(s3_store, find_doomed(s3_store, "b")) == 9
    assert all_keys(s3_store, "sets/") == set()
