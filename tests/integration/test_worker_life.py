"""How a worker begins, what it says of its health, and whose word it takes for a cancellation."""

import logging
import threading
import time
from pathlib import Path

import pytest

from clipfleet.broker.beats import WorkerBeat, beat_key
from clipfleet.broker.client import Broker
from clipfleet.errors import BrokerError
from clipfleet.options import Options
from clipfleet.ports import free_port
from clipfleet.settings import read_settings
from clipfleet.store import Store
from clipfleet.testing import PrivateBroker
from clipfleet_producer.runs.writing import write_run
from clipfleet_workers import cli
from clipfleet_workers.context import Context
from tests.support.feeding import lines
from tests.support.records import JOB


def test_a_worker_that_starts_before_its_broker_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "LONGEST_START_WAIT_S", 0.2)
    (tmp_path / "broker").mkdir()
    server = PrivateBroker(tmp_path / "broker")
    settings = read_settings(broker=server.url, store=str(tmp_path / "out"))
    caplog.set_level(logging.WARNING, "clipfleet")
    waiting = threading.Thread(target=cli._wait_for_services, args=(settings,))
    waiting.start()
    while "cannot be reached" not in caplog.text:
        time.sleep(0.02)
    with server:
        waiting.join(20)
        assert not waiting.is_alive()


def test_a_worker_whose_password_is_wrong_does_not_wait(
    broker: PrivateBroker, tmp_path: Path
) -> None:
    url = broker.url.replace(broker.password, "wrong")
    with pytest.raises(BrokerError, match="refuses the password"):
        cli._wait_for_services(read_settings(broker=url, store=str(tmp_path / "out")))


@pytest.mark.parametrize(("stuck", "code"), [(0, 0), (3, 1)])
def test_a_worker_that_has_work_and_does_none_is_not_well(
    broker: PrivateBroker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stuck: int,
    code: int,
) -> None:
    monkeypatch.setattr("clipfleet_workers.cli.socket.gethostname", lambda: "gpu7")
    beat = WorkerBeat(name="caption-1@gpu7", queues=("caption",), unacked=3, stuck=stuck)
    Broker(broker.url).client.set(beat_key(beat.name), beat.to_json())

    assert cli._check(read_settings(broker=broker.url), ("caption",)) == code
    said = capsys.readouterr().out
    assert said == ("alive\n" if not stuck else said)
    assert ("has 3 messages in progress and does nothing" in said) == bool(stuck)


@pytest.mark.parametrize(
    "forged",
    [
        *("[]", "1", "no JSON", "{}", "[" * 10_000),
        '{"queues": 1, "unacked": 0, "busy": null}',
        '{"queues": ["evil"], "unacked": 0, "busy": null}',
        '{"queues": [], "unacked": -1, "busy": 0}',
    ],
)
def test_a_beat_that_is_none_is_passed_over(broker: PrivateBroker, forged: str) -> None:
    mine = Broker(broker.url)
    mine.client.set(beat_key("evil"), forged)
    beat = WorkerBeat(name="w", queues=("prepare",), unacked=1)
    mine.client.set(beat_key("w"), beat.to_json())
    old = '{"queues": ["caption"], "unacked": 2, "busy": 0.5}'  # of before it said what is stuck
    mine.client.set(beat_key("x"), old)

    assert [each.name for each in mine.workers()] == ["w", "x"]


def test_a_cancellation_is_believed_where_the_store_says_so(
    broker: PrivateBroker, folder_store: Store
) -> None:
    head = write_run(folder_store, "r1", Options(), lines(1)).head
    Broker(broker.url).cancel("r1")  # as anybody might who has the password

    def said() -> bool:
        settings = read_settings(broker=broker.url, store=folder_store.uri)
        return Context(settings).cancelled(JOB)

    assert not said()
    folder_store.delete(f"active/r1@{head.manifest_version}.json")  # as `clipfleet cancel` does
    assert said()


def test_a_port_without_a_broker_is_told_of_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerError):
        Broker(f"redis://127.0.0.1:{free_port()}/0").check()
    assert time.monotonic() - began < 2
