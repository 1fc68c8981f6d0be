"""What workers logged of their messages, checked for what must be true of any run."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from clipfleet import keys
from clipfleet.queues import QUEUES
from clipfleet.records import ClipRecord
from clipfleet.runs import RunHead
from clipfleet.store import Store
from clipfleet_producer.runs.store import RunStore

# How long a message may be in a worker's hands before it is begun, where slots are free, and how
# long one takes that waits for a dead connection: two time-outs, and what it was to do.
BEGUN_S, DONE_S = 15.0, 45.0


@dataclass(frozen=True)
class Message:
    """One delivery of one message to one worker: when it was taken, begun, ended and let go."""

    queue: str
    taken: float
    begun: float | None
    ended: float | None
    let_go: float | None
    how: str


class History:
    """The events of a run. `wrong` names each thing that must not be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def events(self, *, since: float = 0.0) -> list[dict[str, Any]]:
        """All, in order, of so late or later."""
        lines = [
            json.loads(line)
            for path in self._folder.glob("*.jsonl")
            for line in path.read_text().splitlines()
            if line.endswith("}")
        ]
        return sorted((e for e in lines if e["at"] >= since), key=lambda event: event["at"])

    def deliveries(self, *, since: float = 0.0) -> Iterator[Message]:
        """Each delivery, of those that were taken so late or later."""
        by_task = defaultdict[tuple[str, int], list[dict[str, Any]]](list)
        for event in self.events(since=since):
            by_task[event["task"], event["worker"]].append(event)
        for events in by_task.values():
            taken = [e for e in events if e["what"] == "take"]
            for number, take in enumerate(taken):
                until = taken[number + 1]["at"] if number + 1 < len(taken) else float("inf")
                within = [e for e in events if take["at"] <= e["at"] < until]
                first = {e["what"]: e for e in reversed(within)}
                yield Message(
                    queue=take["queue"],
                    taken=take["at"],
                    begun=first.get("start", {}).get("at"),
                    ended=first.get("end", {}).get("at"),
                    let_go=first.get("let go", {}).get("at"),
                    how=first.get("let go", {}).get("how", ""),
                )

    def wrong(self, *, since: float = 0.0) -> list[str]:
        """What must not be: messages that were held without work, or worked on without end."""
        found, now = [], time.time()
        for message in self.deliveries(since=since):
            begun = message.begun or message.let_go or now
            if begun - message.taken > BEGUN_S:
                found.append(f"a message on {message.queue} was held and not begun")
            if message.begun and (message.ended or now) - message.begun > DONE_S:
                found.append(f"a message on {message.queue} was worked on without end")
            if message.ended and (message.let_go or now) - message.ended > DONE_S:
                found.append(f"a message on {message.queue} was done and not let go")
        return found

    def begun(self, *, since: float = 0.0) -> Counter[str]:
        """How often each task was begun."""
        return Counter(e["task"] for e in self.events(since=since) if e["what"] == "start")


def wrong_in_store(store: Store, head: RunHead, lines: Iterable[str]) -> list[str]:
    """What must not be of a run of these sources: clips lost or given up, a list that is torn."""
    found = []
    listed = [line.source for line in RunStore.open(store, head.run_id).manifest.lines()]
    if sorted(listed) != sorted(lines):
        found.append("the list is not the submitter's")
    for line in RunStore.open(store, head.run_id).manifest.lines():
        if not store.exists(keys.record(line.clip_uuid)):
            found.append(f"{line.source} has no record")
            continue
        record = ClipRecord.model_validate_json(store.get(keys.record(line.clip_uuid)))
        found += [f"{line.source}: {e.error}: {e.message}" for e in record.failures()]
        found += [f"{line.source} has no window" for _ in range(not record.windows)]
    return found


def left_in_broker(client: redis.Redis) -> list[str]:
    """Messages that are on a queue or held, though nothing is to be done."""
    counts: dict[str, Any] = {queue: client.llen(queue) for queue in QUEUES}
    counts |= {"unacked": client.hlen("unacked"), "unacked_index": client.zcard("unacked_index")}
    return [f"{count} messages in {name}" for name, count in counts.items() if count]
