"""Whoever reaches the broker can put anything on the queues; no worker minds."""

import base64
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.errors import MessageInvalid
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.queues import PREPARE, QUEUES, make_app, send_clip, send_windows
from clipfleet_workers.delivery import envelope
from tests.support.broker import BrokerServer
from tests.support.small_fleet import SmallFleet

CLIP = keys.clip_uuid("file:///clip.mp4")
JOB = ClipJob(run_id="r", clip_uuid=CLIP, options_hash="0" * 16, source="file:///clip.mp4")


def message(body: bytes, *, kind: str = "application/json", **headers: Any) -> dict[str, Any]:
    """A message on the prepare queue, whole but for what the caller makes of it."""
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": kind,
        "headers": {"lang": "py", "task": PREPARE, "id": "forged", **headers},
        "properties": {
            "correlation_id": "forged",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": PREPARE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"forged-{time.monotonic_ns()}",
        },
    }


def call(*args: object, kwargs: object = None, **embed: object) -> bytes:
    return json.dumps([list(args), kwargs or {}, embed]).encode()


def job(**fields: object) -> dict[str, object]:
    return JOB.model_dump() | fields


def without(part: str) -> dict[str, Any]:
    made = message(call(job()))
    del made["properties"][part]
    return made


OTHER = {"task": "os.system", "args": ["id"], "kwargs": {}, "options": {}, "immutable": True}
FORGED: dict[str, bytes | dict[str, Any]] = {
    "no JSON": b"garbage",
    "no text": b"\xff\xfe\x00",
    "no object": b"[1, 2]",
    "what kombu makes an object of": b'{"a": {"__type__": "decimal", "__value__": "x"}}',
    "nothing in it": b"{}",
    "JSON without end": b"[" * 100_000,
    "no delivery tag": without("delivery_tag"),
    "no place": without("delivery_info"),
    "a body that is no base64": message(call(job())) | {"body": "!!!"},
    "pickle": message(pickle.dumps(([], {}, {})), kind="application/x-python-serialize"),
    "YAML": message(b"- 1", kind="application/x-yaml"),
    "a body that is no JSON": message(b"{"),
    "a body that is no call": message(b'{"a": 1}'),
    "another task": message(call("id"), task="os.system"),
    "another queue's task": message(call(job()), task="assemble"),
    "no job": message(call()),
    "two jobs": message(call(job(), job())),
    "named arguments": message(call(job(), kwargs={"self": 1})),
    "a foreign key": message(call(job(clip_uuid="../../etc"))),
    "an unknown option": message(call(job(shell="id"))),
    "a number as text": message(call(job(attempt="1"))),
    "another task behind it": message(call(job(), callbacks=[OTHER])),
    "another task in its chain": message(call(job(), chain=[OTHER])),
    "another task for its chord": message(call(job(), chord=OTHER)),
    "10 MiB": message(call("a" * (10 << 20))),
    "deep": message(b"[" * 10_000 + b"]" * 10_000),
    "a date that is none": message(call(job()), eta="yesterday"),
    "an end": message(call(job()), expires="never"),
    "tries without number": message(call(job()), retries="many"),
    "a header that is no text": message(call(job()), id=7),
    "a run that there is not": message(call(job(run_id="nobodys"))),
}


def test_nothing_forged_ends_a_worker_and_each_is_told_of(
    small_fleet: SmallFleet, text_clip: Path
) -> None:
    small_fleet.start()
    client = redis.Redis.from_url(small_fleet.broker.url)
    for made in FORGED.values():
        client.lpush(PREPARE, made if isinstance(made, bytes) else json.dumps(made))
    client.hset("unacked", "forged", b"garbage")
    client.zadd("unacked_index", {"forged": 1})

    done = small_fleet.submit(text_clip, "--wait")

    assert done.returncode == 3, done.stdout
    assert "not a video file" in small_fleet.records()["text.mp4"].errors[0].message
    deadline = time.monotonic() + 15
    while client.hlen("unacked") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert client.hlen("unacked") == client.llen(PREPARE) == 0
    said = small_fleet.log.read_text()
    assert "Traceback" not in said
    assert said.count(" ready.") == said.count("ready.") == 2, "a worker was started again"
    told = Broker(small_fleet.broker.url).refusals()
    assert len(told) == len(FORGED) + 1
    assert all(len(each["reason"]) < 500 for each in told)
    assert not list(small_fleet.out.rglob("*etc*"))


@pytest.mark.parametrize("previews", [True, False])
@pytest.mark.parametrize("enhance", [True, False])
def test_every_message_of_ours_is_taken(tmp_path: Path, previews: bool, enhance: bool) -> None:
    options = Options.model_validate(
        {"prepare": {"generate_previews": previews}, "enhance": {"enabled": enhance}}
    )
    with BrokerServer(tmp_path) as server:
        app = make_app(server.url, lease_s=1)
        send_clip(app, JOB)
        send_windows(app, JOB, [(0, 9), (10, 19)], options)
        send_windows(app, JOB, [], options)
        client = redis.Redis.from_url(server.url)
        sent = {queue: client.lrange(queue, 0, -1) for queue in QUEUES}
    for queue, messages in sent.items():
        for each in messages:
            envelope.check(json.loads(each), queue)
            for other in set(QUEUES) - {queue}:
                with pytest.raises(MessageInvalid):
                    envelope.check(json.loads(each), other)
    assert (len(sent["prepare"]), len(sent["caption"])) == (1, 2)
