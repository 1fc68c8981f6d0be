"""All who read what runs, clips in flight and messages are written in, each with a whole text."""

import base64
import contextlib
import functools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from redis import Redis

from clipfleet import keys
from clipfleet.errors import (
    ClipError,
    MessageInvalid,
    NewerVersion,
    PackInvalid,
    ScratchGone,
    StoreError,
    UsageError,
)
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.options import Options
from clipfleet.queues import QUEUES, make_app, send_clip, send_windows
from clipfleet.records import ManifestLine, done_record
from clipfleet.runs import RunControl, count_record
from clipfleet.settings import Settings
from clipfleet.store.object_key import check_key
from clipfleet_producer.runs.store import RunStore, read_options
from clipfleet_producer.runs.writing import check_free
from clipfleet_producer.sources import uris
from clipfleet_workers.context import Context
from clipfleet_workers.delivery import envelope, transport
from clipfleet_workers.media.packs import Encoding, Pack
from clipfleet_workers.steps.scratch import find_part, stored_plan
from tests.support.broker import BrokerServer
from tests.support.fuzz.texts import Reader
from tests.support.records import CLIP, HASH, JOB, PLAN, clip_record, completed, run_head

_REFUSALS = (MessageInvalid, NewerVersion)
ANY_MESSAGE = "any message"  # as it comes off the wire, before it is known for ours


class Room:
    """A run and a clip in flight, as a store has them, and those who read them there."""

    def __init__(self, folder: Path) -> None:
        self.context = Context(Settings.model_validate({"store": str(folder / "out")}))
        self.store = self.context.store
        self.store.prepare()
        self.options = Options()
        head = run_head(JOB.run_id, self.options)
        self.store.put(keys.run_head(JOB.run_id), head.to_bytes())

    def stored(self, key: str, read: Callable[[], object]) -> Callable[[bytes], object]:
        """What puts a text in its place, and has it read there."""

        def put_and_read(text: bytes) -> object:
            self.store.put(key, text)
            return read()

        return put_and_read

    def clips(self) -> None:
        """Read the run's clips, and do with each what a producer does."""
        for line in RunStore.open(self.store, JOB.run_id).manifest.lines():
            check_key(keys.record(line.clip_uuid))
            uris.short_name(line.source)
            uris.local_path(line)
            ClipJob(
                run_id=JOB.run_id,
                clip_uuid=line.clip_uuid,
                options_hash=line.options_hash or HASH,
                source=line.source,
                span_s=list(line.span) if line.span else None,
            )

    def options_by_worker(self) -> None:
        """Read the run's options as a worker does that has not read them before."""
        message = JOB.model_copy(update={"options_hash": self.options.hash})
        Context.options(_forgetful(self.context), message)

    def open_clip(self, text: bytes) -> None:
        """Open what a clip's message names, where that is on this machine."""
        job = ClipJob.read(_json(text))
        if not job.source.startswith("s3:"):
            with self.context.open_clip(job):
                pass


def _forgetful(context: Context) -> Context:
    fresh = Context(context.settings)
    fresh.__dict__["store"] = context.store
    return fresh


def make_readers(folder: Path) -> dict[str, Reader]:
    """All who read, on a store in the folder."""
    return _of_runs(Room(folder)) | _of_jobs(Room(folder)) | _of_messages(folder)


def _of_runs(room: Room) -> dict[str, Reader]:
    line = ManifestLine(clip_uuid=CLIP, source=JOB.source, num_bytes=9).model_dump(mode="json")
    asked, store, run = room.options.model_dump(mode="json"), room.store, JOB.run_id
    where = keys.run_options(run)
    by_producer = room.stored(where, lambda: read_options(store, run))
    looked_for = room.stored(where, lambda: check_free(store, run, room.options))
    by_worker = room.stored(where, room.options_by_worker)
    whole = run_head(run, room.options)
    clips = room.stored(keys.run_manifest(run, whole.manifest_version, 0), room.clips)
    head = run_head(run, room.options).model_dump(mode="json")
    state = RunControl().model_dump(mode="json")
    counts = count_record(clip_record(), run).model_dump(mode="json")
    by_feeder = Room(Path(room.store.uri) / "fed")
    return {
        "manifest": Reader([line, {**line, "num_bytes": None}, line], clips, (UsageError,), _lines),
        "a run's head": Reader(
            head,
            by_feeder.stored(
                keys.run_head(run), lambda: RunStore(store=by_feeder.store, head=whole).is_current()
            ),
        ),
        "a run's state": Reader(
            state,
            room.stored(
                keys.active(run, whole.manifest_version),
                lambda: RunStore(store=store, head=whole).control(),
            ),
            (UsageError,),
        ),
        "a finished shard's counts": Reader(
            counts,
            room.stored(
                keys.run_done(run, whole.manifest_version, 0),
                lambda: RunStore(store=store, head=whole).done.counts(0),
            ),
            (UsageError,),
        ),
        "options, by a producer": Reader(asked, by_producer, (UsageError,)),
        "options, looked for": Reader(asked, looked_for, (UsageError,)),
        "options, by a worker": Reader(asked, by_worker, (MessageInvalid, NewerVersion)),
    }


def _of_jobs(room: Room) -> dict[str, Reader]:
    context, store = room.context, room.store
    record, plan = keys.record(CLIP), keys.Scratch(CLIP, HASH).plan
    part = keys.Scratch(CLIP, HASH).part(0, 9, "caption")
    read_part = room.stored(part, lambda: find_part(context, JOB, 0, 9, "caption"))
    read_record = room.stored(record, lambda: done_record(store, CLIP, Options().recipes))
    read_plan = room.stored(plan, lambda: stored_plan(context, JOB))
    found = {
        "plan": Reader(PLAN.model_dump(mode="json"), read_plan, (NewerVersion,)),
        "record": Reader(clip_record().model_dump(mode="json"), read_record),
        "part": Reader(completed("A car.").model_dump(mode="json"), read_part, (NewerVersion,)),
        "a clip's place": Reader(
            JOB.model_dump(), room.open_clip, (*_REFUSALS, ClipError, ScratchGone, StoreError)
        ),
    }
    for encoding in ("raw", "zstd", "jpeg444"):
        found[f"{encoding} pack"] = _of_packs(encoding)
    claim = JOB.model_dump(include={"run_id", "clip_uuid", "options_hash"})
    window = {**claim, "start_frame": 0, "end_frame": 9}
    samples: dict[type[Message], Any] = {
        ClipJob: JOB.model_dump(),
        WindowJob: window,
        AssembleJob: claim,
    }
    for kind, sample in samples.items():
        found[kind.__name__] = Reader(sample, functools.partial(_read, kind), _REFUSALS)
    return found


def _read(kind: type[Message], text: bytes) -> None:
    kind.read(_json(text))


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_messages(folder: Path) -> dict[str, Reader]:
    """One reader for each kind of message, as they lie on a broker."""
    with BrokerServer(folder) as server:
        app = make_app(server.url, lease_s=1)
        send_clip(app, JOB)
        send_windows(app, JOB, [(0, 9)], Options.model_validate({"enhance": {"enabled": True}}))
        send_windows(app, JOB, [], Options())
        with Redis.from_url(server.url) as client:
            sent: dict[str, Any] = {queue: client.lrange(queue, 0, 0) for queue in QUEUES}
    found = {}
    for queue, messages in sent.items():
        for each in messages:
            message = json.loads(each)
            message["body"] = json.loads(base64.b64decode(message["body"]))
            check = functools.partial(_check, queue)
            found[f"{queue} message"] = Reader(message, check, _REFUSALS, _message)
    found[ANY_MESSAGE] = Reader(message, _off_the_wire)
    return found


def _off_the_wire(text: bytes) -> None:
    transport._read(text.decode(errors="replace"))  # as kombu decodes it


def _check(queue: str, text: bytes) -> None:
    envelope.check(_json(text), queue)


def _message(value: Any) -> bytes:
    """The message, what its body is to say within it."""
    if isinstance(value, dict) and not isinstance(value.get("body"), str | None):
        inside = base64.b64encode(json.dumps(value["body"]).encode()).decode()
        value = {**value, "body": inside}
    return json.dumps(value).encode()


def _lines(value: Any) -> bytes:
    """JSON lines."""
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _of_packs(encoding: Encoding) -> Reader:
    frames = np.zeros((4, 2, 2, 3), np.uint8)
    pack = Pack(frames=frames, indices=[0, 1, 2, 3], times_s=[0.0] * 4, source_fps=30.0)
    _, header, stored = pack.to_parts(encoding)
    sample = json.loads(bytes(header))
    sample["__metadata__"]["clipfleet"] = json.loads(sample["__metadata__"]["clipfleet"])
    write = functools.partial(_pack, stored=bytes(stored))
    return Reader(sample, lambda text: Pack.from_bytes(text, key="k"), (PackInvalid,), write)


def _pack(value: Any, *, stored: bytes) -> bytes:
    """A pack of this header, right in its checksum, so that more than that is looked at."""
    with contextlib.suppress(TypeError, KeyError):
        said = json.dumps(value["__metadata__"]["clipfleet"])
        checksum = xxhash.xxh3_128(said.encode())
        checksum.update(stored)
        value["__metadata__"] = {"clipfleet": said, "xxh3_128": checksum.hexdigest()}
    header = json.dumps(value).encode()
    return struct.pack("<Q", len(header)) + header + stored
