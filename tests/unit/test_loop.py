"""Threads never wait for an engine's loop for ever, even where the loop is stuck."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from clipfleet.errors import EngineDead, Interrupted
from clipfleet_workers.inference import loop
from clipfleet_workers.inference.loop import Loop


@pytest.fixture
def running() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


async def answer_after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def block(ended: threading.Event) -> None:
    ended.wait(10)


def test_work_done_in_time_gives_its_result(running: Loop) -> None:
    assert running.run(answer_after(0), timeout_s=5) == "done"


def test_work_that_takes_longer_is_cancelled(running: Loop) -> None:
    with pytest.raises(TimeoutError):
        running.run(answer_after(10), timeout_s=0.05)


def test_a_stuck_loop_is_a_dead_engine(running: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STUCK_S", 0.1)
    ended = threading.Event()
    with pytest.raises(EngineDead, match=r"has been stuck for 0\.1 s"):
        running.run(block(ended), timeout_s=0.05)
    ended.set()


def test_an_interrupted_loop_releases_its_callers_and_refuses_new_work(running: Loop) -> None:
    timer = threading.Timer(0.05, running.interrupt)
    timer.start()
    with pytest.raises(Interrupted):
        running.run(answer_after(10), timeout_s=20)
    with pytest.raises(Interrupted):
        running.run(answer_after(0), timeout_s=20)
    timer.join(5)


def test_a_loop_closes_in_time_even_if_its_last_work_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_CLOSE_S", 0.05)

    async def hang() -> None:
        await asyncio.sleep(10)

    began = time.monotonic()
    Loop().close(hang())
    assert time.monotonic() - began < 3
