"""What a run's feeders tell one another, and whoever watches, through the broker.

A shard is fed by whoever has its claim, which dies with its feeder. How far it is fed lies where
the messages lie: a broker that forgets those forgets this too, and all are fed again. Claims keep
two feeders from doing the same; nothing depends on them.
"""

import json
import os
import secrets
import socket
from collections.abc import Iterable

from pydantic import ValidationError

from clipfleet.broker.client import Broker
from clipfleet.records import Stored
from clipfleet.runs import RunCounts, RunHead

KEPT_S = 7 * 24 * 3600


class FeederBeat(Stored):
    """A live feeder of a run.

    `has_pending`: it has clips to feed. `open` counts the clips that are done in each shard that it
    has open; `in_flight` are clips on the queues. Rates are those of the last minute.
    """

    run_id: str
    feeder: str
    priority: int
    has_pending: bool
    blocked_reason: str = ""  # why it does not feed, if it does not
    in_flight: int
    most_in_flight: int
    open: dict[int, RunCounts]
    clips_per_s: float
    windows_per_s: float


class ShardClaims:
    """One feeder's view of a run. All raise `BrokerError`."""

    def __init__(self, broker: Broker, head: RunHead, *, lease_s: float) -> None:
        self._broker, self._head = broker, head
        self.feeder = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(3)}"
        self._lease_ms = int(lease_s * 1000)

    def claim(self, shard: int) -> int | None:
        """How many of the shard's clips were fed so far; None where another feeds it."""
        with self._broker.errors():
            client, key = self._broker.client, self._claim_key(shard)
            new = client.set(key, self.feeder, nx=True, px=self._lease_ms)
            if not new and client.get(key) != self.feeder:
                if client.pttl(key) == -1:  # no feeder claims for ever
                    client.pexpire(key, self._lease_ms)
                return None
            return _count(client.hget(_fed_key(self._head), str(shard)))

    def renew(self, shards: Iterable[int]) -> None:
        """Keep the claims on shards; one that ran out is taken again unless another has it."""
        with self._broker.errors(), self._broker.client.pipeline(transaction=False) as pipe:
            for shard in shards:
                pipe.set(self._claim_key(shard), self.feeder, nx=True, px=self._lease_ms)
                pipe.pexpire(self._claim_key(shard), self._lease_ms)
            pipe.execute()

    def release(self, shards: Iterable[int]) -> None:
        """Let others have the shards at once."""
        with self._broker.errors():
            client = self._broker.client
            for key in map(self._claim_key, shards):
                if client.get(key) == self.feeder:
                    client.delete(key)
            client.delete(self._beat_key())

    def fed(self, upto: dict[int, int]) -> None:
        """Note how many of each shard's clips are fed."""
        if not upto:
            return
        with self._broker.errors(), self._broker.client.pipeline(transaction=False) as pipe:
            for shard, count in upto.items():
                pipe.hset(_fed_key(self._head), str(shard), str(count))
            pipe.expire(_fed_key(self._head), KEPT_S)
            pipe.execute()

    def done(self, shard: int) -> None:
        """Forget a shard of which all clips are done."""
        with self._broker.errors(), self._broker.client.pipeline(transaction=False) as pipe:
            pipe.hdel(_fed_key(self._head), str(shard))
            pipe.delete(self._claim_key(shard))
            pipe.execute()

    def beat(self, beat: FeederBeat) -> None:
        """Say that this feeder lives, and how it goes."""
        with self._broker.errors():
            self._broker.client.set(self._beat_key(), beat.model_dump_json(), px=self._lease_ms)

    def _claim_key(self, shard: int) -> str:
        return f"clipfleet:claim:{self._head.run_id}:{self._head.manifest_version}:{shard}"

    def _beat_key(self) -> str:
        return f"clipfleet:feeder:{self._head.run_id}:{self.feeder}"


def _fed_key(head: RunHead) -> str:
    return f"clipfleet:fed:{head.run_id}:{head.manifest_version}"


def _count(value: object) -> int:
    """A count that someone wrote, or 0: all is then fed again."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def feeders(broker: Broker, run_id: str | None = None) -> list[FeederBeat]:
    """The feeders that live, of one run or of all. Raises `BrokerError`."""
    found = []
    with broker.errors():
        pattern = f"clipfleet:feeder:{run_id or '*'}:*"
        names = sorted(str(key) for key in broker.client.scan_iter(pattern, count=1000))
        for value in broker.client.mget(names) if names else []:
            try:
                found.append(FeederBeat.model_validate(json.loads(str(value))))
            except (
                ValidationError,
                ValueError,
                RecursionError,
            ):  # gone since, or another version's
                continue
    return found


def begun(broker: Broker, head: RunHead) -> set[int]:
    """The shards of which clips are fed, and that are not done. Raises `BrokerError`."""
    with broker.errors():
        found = (_count(shard) for shard in broker.client.hkeys(_fed_key(head)))
        return {shard for shard in found if shard < head.shards}


def forget(broker: Broker, head: RunHead) -> None:
    """Forget how far a run is fed. Raises `BrokerError`."""
    with broker.errors():
        broker.client.delete(_fed_key(head))
