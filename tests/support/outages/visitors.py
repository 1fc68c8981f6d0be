"""What others do to a fleet in mid-run: submit at once, write into its broker, deny it clips.

Each returns what went wrong with its own doings; the run in progress must finish as well.
"""

import base64
import json
import random
import threading
import time
from collections.abc import Callable

from clipfleet import keys
from clipfleet.broker.claims import FeederBeat
from clipfleet.errors import UsageError
from clipfleet.messages import ClipJob
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.records import ManifestLine
from clipfleet.runs import RunCounts
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.runs.writing import forget, write_run
from tests.support.outages.fleet import LEASE_S, OPTIONS, OutageFleet, Running

DENIED_S = 8.0
# What S3 says of keys that are rotated, of tokens and clocks that have run out.
DENIALS = ("ExpiredToken", "AccessDenied", "RequestTimeTooSkewed", "InvalidAccessKeyId")

Visit = Callable[[OutageFleet, random.Random, Running], list[str]]


def _two_submits(fleet: OutageFleet, chance: random.Random, running: Running) -> list[str]:
    """Two submit one name at once, over a run of that name which is just being concluded."""
    store, run_id = fleet.store, f"{running.head.run_id}.twice"
    old = write_run(store, run_id, OPTIONS, _lines("old", 3))
    ended = dict[str, str]()

    def submit(who: str, count: int, after_s: float) -> None:
        time.sleep(after_s)
        try:
            written = write_run(store, run_id, OPTIONS, _lines(who, count))
            ended[who] = written.head.manifest_version
        except UsageError as error:
            ended[who] = f"refused: {error}"

    def conclude() -> None:
        for _ in range(20):
            old.conclude(RunCounts(clips=3, done=3))

    threads = [
        threading.Thread(target=submit, args=(who, chance.randint(2000, 6000), chance.random() / 5))
        for who in ("a", "b")
    ]
    threads.append(threading.Thread(target=conclude))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    wrong = []
    head = RunStore.open(store, run_id).head
    listed = [line.source.split("/")[3] for line in RunStore.open(store, run_id).manifest.lines()]
    owners = [
        who for who, manifest_version in ended.items() if manifest_version == head.manifest_version
    ]
    if set(listed) != set(owners) or len(listed) != head.clips:
        wrong.append(f"a list that is torn: {set(listed)} of {ended}")
    if RunStore(store=store, head=head).control() is None:
        wrong.append("the run that was written last is not active")
    if len(ended) != 2:
        wrong.append("a submit did not end")
    forget(store, run_id, head.manifest_version)
    return wrong


def _lines(who: str, count: int) -> list[ManifestLine]:
    sources = [f"https://example.org/{who}/{number}.mp4" for number in range(count)]
    return [ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources]


def _poison(fleet: OutageFleet, chance: random.Random, running: Running) -> list[str]:
    """Whoever has the broker's password writes what does not belong there, in any order."""
    client, head = fleet.client(), running.head
    run, shard = head.run_id, f"{head.run_id}:{head.manifest_version}"
    forged = FeederBeat(
        run_id="zz",
        feeder="evil",
        priority=1000,
        has_pending=True,
        in_flight=0,
        most_in_flight=1,
        open={},
        clips_per_s=0,
        windows_per_s=0,
    )
    writes: list[Callable[[], object]] = [
        lambda: client.xadd(f"clipfleet:events:{run}", {"e": "not json"}),
        lambda: client.xadd(f"clipfleet:events:{run}", {"x": "1"}),
        lambda: client.hset(f"clipfleet:fed:{shard}", "0", "abc"),
        lambda: client.hset(f"clipfleet:fed:{shard}", "zero", "-1"),
        lambda: client.set("clipfleet:worker:evil", "[]", ex=60),
        lambda: client.set("clipfleet:feeder:zz:evil", forged.model_dump_json(), ex=60),
        lambda: client.set(f"clipfleet:cancelled:{run}", 1),
        lambda: client.set(f"clipfleet:claim:{shard}:0", "nobody"),
        lambda: client.hset("unacked", "evil", "no message"),
        lambda: client.zadd("unacked_index", {"evil": 1.0, "none": 2.0}),
        lambda: client.lpush(PREPARE, "no message", "[]", '{"body": 1}'),
        lambda: client.delete(f"clipfleet:events:{run}"),
        lambda: client.set(f"clipfleet:events:{run}", "text"),
        lambda: client.set("clipfleet:restoring", "nobody", ex=3),
        lambda: _replay(fleet, chance),
    ]
    for write in chance.sample(writes, len(writes)):
        write()
        time.sleep(chance.uniform(0.0, 0.3))
    return [_beats_are_read(fleet)] if _beats_are_read(fleet) else []


def _replay(fleet: OutageFleet, chance: random.Random) -> None:
    """Old messages to do clips again come back, for records that are no more."""
    app = make_app(fleet.broker.url, lease_s=LEASE_S)
    for item in list(fleet.store.list(keys.RECORDS))[:4]:
        record = json.loads(fleet.store.get(item.key))
        job = ClipJob(
            run_id=record["run_id"],
            clip_uuid=record["span_uuid"],
            options_hash=OPTIONS.hash,
            source=record["source_video"],
            replaces=base64.b16encode(chance.randbytes(16)).decode().lower(),
        )
        send_clip(app, job)


def _beats_are_read(fleet: OutageFleet) -> str:
    try:
        fleet.api.status()
    except Exception as error:
        return f"the fleet's status fails: {error!r}"
    return ""


def _credentials(fleet: OutageFleet, chance: random.Random, running: Running) -> list[str]:
    """For a while, the bucket that the clips lie in takes no keys."""
    code = chance.choice(DENIALS)
    fleet.bucket.refuse = lambda method, key: (400 if code == "ExpiredToken" else 403, code)
    time.sleep(DENIED_S)
    fleet.bucket.refuse = lambda method, key: None
    return []


VISITORS: dict[str, Visit] = {
    "two-submits": _two_submits,
    "poison": _poison,
    "credentials": _credentials,
}
