"""What threads wait for in an engine's loop has an end, even where the loop stands still."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from clipfleet.errors import EngineDead, Interrupted
from clipfleet_workers.inference import loop
from clipfleet_workers.inference.loop import Loop


@pytest.fixture
def turning() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


async def answer_after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def stand_still(ended: threading.Event) -> None:
    ended.wait(10)


def test_what_is_done_in_time_is_given_back(turning: Loop) -> None:
    assert turning.run(answer_after(0), timeout_s=5) == "done"


def test_what_takes_longer_is_called_off(turning: Loop) -> None:
    with pytest.raises(TimeoutError):
        turning.run(answer_after(10), timeout_s=0.05)


def test_a_loop_that_stands_still_is_a_dead_engine(
    turning: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STUCK_S", 0.1)
    ended = threading.Event()
    with pytest.raises(EngineDead, match=r"stood still for 0\.1 s"):
        turning.run(stand_still(ended), timeout_s=0.05)
    ended.set()


def test_an_interrupted_loop_lets_those_who_wait_go_and_takes_no_more(turning: Loop) -> None:
    timer = threading.Timer(0.05, turning.interrupt)
    timer.start()
    with pytest.raises(Interrupted):
        turning.run(answer_after(10), timeout_s=20)
    with pytest.raises(Interrupted):
        turning.run(answer_after(0), timeout_s=20)
    timer.join(5)


def test_a_loop_is_closed_in_time_though_its_last_work_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_CLOSE_S", 0.05)

    async def hang() -> None:
        await asyncio.sleep(10)

    began = time.monotonic()
    Loop().close(hang())
    assert time.monotonic() - began < 3
