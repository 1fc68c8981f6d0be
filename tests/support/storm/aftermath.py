"""What must hold after a storm: every clip has one whole record, and nothing else is left."""

import io
import time
from collections.abc import Iterator

import redis
from PIL import Image
from pydantic import ValidationError

from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.errors import ObjectMissing
from clipfleet.records import ClipRecord, Status
from clipfleet.store import Store
from clipfleet_producer.runs.store import RunStore
from tests.support.records import words

# What a run does at a time of its own; all else is to be the same, byte for byte.
_TIMES = {"finished_at"}


class Aftermath:
    """What a run left in the store, held against its manifest and against a quiet run's."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self.records: dict[str, ClipRecord] = {}
        self.torn: list[str] = []
        for item in store.list(keys.RECORDS):
            try:
                record = ClipRecord.model_validate_json(store.get(item.key))
                self.records[item.key] = record
            except ValidationError:
                self.torn.append(item.key)

    @property
    def windows(self) -> int:
        """How many there are in all records."""
        return sum(len(record.windows) for record in self.records.values())

    def lost(self) -> list[str]:
        """Clips of the manifest without a record; windows without a caption or a preview."""
        clips = [
            line.clip_uuid for line in RunStore.open(self._store, self._run_id).manifest.lines()
        ]
        missing = [clip for clip in clips if keys.record(clip) not in self.records]
        for key, record in self.records.items():
            missing += [f"{key}: {failure.message}" for failure in record.failures()]
            for window in record.windows:
                whole = words(window.caption) and window.preview
                if window.status is not Status.OK or not whole:
                    missing.append(f"{key} {window.start_frame}")
        return missing

    def doubled(self) -> list[str]:
        """Records of no clip of the manifest, windows that come twice, previews of no window."""
        clips = {
            line.clip_uuid for line in RunStore.open(self._store, self._run_id).manifest.lines()
        }
        known = {keys.record(clip) for clip in clips}
        more = [key for key in self.records if key not in known]
        claimed = set()
        for key, record in self.records.items():
            starts = [window.start_frame for window in record.windows]
            more += [key] * (len(starts) - len(set(starts)))
            for window in record.windows:
                if window.preview:
                    claimed |= {window.preview.key, window.preview.poster_key}
        more += [item.key for item in self._store.list(keys.PREVIEWS) if item.key not in claimed]
        return more

    def torn_previews(self) -> list[str]:
        """Previews and posters that do not decode, or have fewer frames than their record says."""
        torn = []
        for record in self.records.values():
            for window in record.windows:
                if (shown := window.preview) is None:
                    continue
                for key, frames in ((shown.key, shown.num_frames), (shown.poster_key, 1)):
                    if not self._decodes(key, frames):
                        torn.append(key)
        return torn

    def _decodes(self, key: str, frames: int | None) -> bool:
        try:
            with Image.open(io.BytesIO(self._store.get(key))) as image:
                found = getattr(image, "n_frames", 1)
                for number in range(found):
                    image.seek(number)
                    image.load()
            return found == frames
        except OSError:
            return False

    def unlike(self, quiet: "Aftermath") -> list[str]:
        """What differs from a quiet run of the same clips: records but for times, and previews."""
        both = sorted(self.records.keys() | quiet.records.keys())
        unlike = [key for key in both if self._said(key) != quiet._said(key)]
        previews = (item.key for item in quiet._store.list(keys.PREVIEWS))
        return unlike + [key for key in previews if self._bytes(key) != quiet._bytes(key)]

    def _bytes(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except ObjectMissing:
            return None

    def _said(self, key: str) -> dict[str, object] | None:
        record = self.records.get(key)
        return record.model_dump(exclude=_TIMES) if record else None


def left_over(store: Store, broker_url: str, *, within_s: float) -> list[str]:
    """Objects in scratch and messages in the broker that are still there after so long.

    Workers go on for a while with what came twice.
    """
    deadline = time.monotonic() + within_s
    while (found := [*_scratch(store), *_messages(broker_url)]) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _scratch(store: Store) -> Iterator[str]:
    return (item.key for item in store.list(keys.SCRATCH))


def _messages(broker_url: str) -> Iterator[str]:
    count = Broker(broker_url).messages()
    if count:
        client = redis.Redis.from_url(broker_url)
        yield f"{count} messages in {client.keys()!r}"
