"""Sets with finished runs, as a fleet leaves them, to list, compare and delete."""

from collections.abc import Iterable, Mapping

from clipfleet import keys, sets
from clipfleet.options import Options
from clipfleet.records import ClipRecord, ManifestLine, digest
from clipfleet.runs import RunCounts, count_record, digest_record
from clipfleet.store import Store
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.runs.writing import write_run
from tests.support.exported_run import JPEG, WEBP, done_record, source

OPTIONS = Options()
CREATED_AT = "2026-01-02T03:04:05+00:00"


def line(number: int) -> ManifestLine:
    """The manifest's line on a clip."""
    return ManifestLine(clip_uuid=keys.clip_uuid(source(number)), source=source(number))


def put_set(store: Store, name: str, options: Options = OPTIONS) -> None:
    """Say what a set is made with."""
    made = sets.begin(name, options, run_id="r0", created_at=CREATED_AT)
    store.put(keys.set_file(name), made.to_bytes())


def begin_run(store: Store, name: str, run_id: str, clips: Iterable[int]) -> RunStore:
    """A run of these clips in a set, of which nothing is done."""
    return write_run(store, run_id, OPTIONS, map(line, clips), set_name=name)


def end_run(run: RunStore, records: Mapping[str, ClipRecord]) -> None:
    """Have it be finished, with digests of these records."""
    total = RunCounts()
    for number in range(run.head.shards):
        counts, lines = RunCounts(), list[str]()
        for each in run.manifest.shard(number):
            record = records[each.clip_uuid]
            counts += count_record(record, run.run_id)
            made = digest_record(record, digest(record.to_bytes()))
            lines.append(made.model_dump_json(exclude_defaults=True))
        run.done.write(number, counts, lines)
        total += counts
    run.conclude(total)


def put_run(
    store: Store, name: str, run_id: str, captions: Mapping[int, str | None], **changes: object
) -> RunStore:
    """A finished run in a set, with a record and a preview for each clip (None: it failed)."""
    run = begin_run(store, name, run_id, captions)
    records = {}
    for number, caption in captions.items():
        record = done_record(number, [caption], run_id=run_id, set=name, **changes)
        put_record(store, name, record)
        records[record.span_uuid] = record
    end_run(run, records)
    return run


def put_record(store: Store, name: str, record: ClipRecord) -> None:
    """A clip's record in a set, with its previews."""
    store.put(keys.record(record.span_uuid, name), record.to_bytes())
    for each in record.windows:
        where = (record.span_uuid, each.start_frame, each.end_frame, name)
        store.put(keys.preview(*where), WEBP)
        store.put(keys.poster(*where), JPEG)
