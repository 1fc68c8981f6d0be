"""Runs that write one clip's record at once: nothing of what either made is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipfleet import keys
from clipfleet.options import EnhanceOptions, Options, PrepareOptions
from clipfleet.records import ClipRecord, Plan, Status, digest, read_record
from clipfleet.store import Store
from clipfleet_workers.steps.assemble import build_record, put_record
from tests.support.records import PLAN, completed, previewed, words

PAIRS = 20
PREVIEWS = Options()
ENHANCED = Options(
    prepare=PrepareOptions(generate_previews=False), enhance=EnhanceOptions(enabled=True)
)


def made(options: Options, clip: str, *, plan: Plan = PLAN) -> ClipRecord:
    """What a run makes of the clip."""
    job = plan.job.model_copy(update={"clip_uuid": clip, "run_id": options.hash})
    parts = []
    for window in plan.windows:
        found = {"caption": completed("A car.")}
        if options.enhance.enabled:
            found["enhance"] = completed("Lo! A car.", variant="qwen_lm")
        if options.prepare.generate_previews:
            found["preview"] = previewed(window.start_frame, window.end_frame)
        parts.append(found)
    return build_record(plan.model_copy(update={"job": job}), parts, options=options)


def test_what_20_pairs_of_runs_write_at_once_is_all_there(store: Store) -> None:
    clips = [keys.clip_uuid(f"file:///{number}.mp4") for number in range(PAIRS)]
    barriers = {clip: threading.Barrier(2) for clip in clips}

    def write(clip: str, options: Options) -> None:
        record = made(options, clip)
        barriers[clip].wait(60)
        put_record(store, record)

    with ThreadPoolExecutor(2 * PAIRS) as pool:
        jobs = [pool.submit(write, clip, each) for clip in clips for each in (PREVIEWS, ENHANCED)]
        for job in jobs:
            job.result()

    for clip in clips:
        record = read_record(store.get(keys.record(clip)))
        assert record.recipes == PREVIEWS.recipes | ENHANCED.recipes
        assert record.valid
        for window in record.windows:
            assert (words(window.caption), words(window.enhanced)) == ("A car.", "Lo! A car.")
            assert window.preview_status is Status.OK


def test_many_runs_that_write_one_record_at_once_all_come_to_it(store: Store) -> None:
    clip = keys.clip_uuid("file:///a.mp4")
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        record = made(PREVIEWS, clip)
        own = {**record.recipes, f"caption:{number}": f"{number:016x}"}
        captions = [
            window.model_copy(
                update={"captions": {**window.captions, str(number): window.captions["default"]}}
            )
            for window in record.windows
        ]
        record = record.model_copy(update={"recipes": own, "windows": captions})
        barrier.wait(60)
        put_record(store, record)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    found = read_record(store.get(keys.record(clip)))
    for window in found.windows:
        assert window.captions.keys() == {"default", *map(str, range(8))}


@pytest.mark.parametrize("there", [b"", b"<html>", b'{"schema_version": 1}'])
def test_what_is_no_record_is_written_over(store: Store, there: bytes) -> None:
    clip = keys.clip_uuid("file:///a.mp4")
    store.put(keys.record(clip), there)

    put_record(store, made(PREVIEWS, clip))

    assert read_record(store.get(keys.record(clip))).valid


def test_a_record_that_is_replaced_is_replaced_once(store: Store) -> None:
    clip = keys.clip_uuid("file:///a.mp4")
    first = put_record(store, made(PREVIEWS, clip))
    replaces = digest(first.to_bytes())

    again = made(PREVIEWS, clip).model_copy(update={"run_id": "again"})
    assert put_record(store, again, replaces=replaces).run_id == "again"
    late = made(PREVIEWS, clip).model_copy(update={"run_id": "late"})
    assert put_record(store, late, replaces=replaces).run_id == "again"
