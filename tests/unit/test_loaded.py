"""A loaded model as tasks use it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipfleet.errors import EngineDead, EngineFailed, RequestTimedOut
from workers.engines.base import Answer, Engine, Prompt
from workers.loaded import LoadedModel, Slots

pytestmark = pytest.mark.unit

ANSWER = Answer(text="words", finish_reason="stop", prompt_tokens=1, output_tokens=1)


class Scripted(Engine):
    """An engine that is a function of the prompt's text."""

    name = "scripted"

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self._answer = answer

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        return self._answer(prompt.user)

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def loaded(answer: Callable[[str], Answer], sizes: dict[str, int] | None = None) -> LoadedModel:
    slots = Slots(sizes or {"caption": 4})
    about = {"variant": "mini", "fp8": False, "repository": "mini", "revision": "0"}
    return LoadedModel(Scripted(answer), slots, timeout_s=1, **about)  # type: ignore[arg-type]


def prompt(text: str) -> Prompt:
    return Prompt(request_id=text, user=text)


def test_no_more_prompts_are_in_flight_than_each_queue_has_slots() -> None:
    lock, now, most = threading.Lock(), {"c": 0, "e": 0}, {"c": 0, "e": 0}
    full = threading.Barrier(5, timeout=10)  # 3 captions and 2 rewrites at once

    def answer(text: str) -> Answer:
        with lock:
            now[text] += 1
            most[text] = max(most[text], now[text])
        full.wait()
        with lock:
            now[text] -= 1
        return ANSWER

    model = loaded(answer, {"caption": 3, "enhance": 2})
    with ThreadPoolExecutor(20) as pool:
        done = [pool.submit(model.generate, "caption", prompt("c")) for _ in range(9)]
        done += [pool.submit(model.generate, "enhance", prompt("e")) for _ in range(6)]
        assert all(each.result() is ANSWER for each in done)
    assert most == {"c": 3, "e": 2}


def test_a_request_that_failed_once_is_answered_the_second_time() -> None:
    tries: list[str] = []

    def answer(text: str) -> Answer:
        tries.append(text)
        if len(tries) == 1:
            raise EngineFailed("a hiccup")
        return ANSWER

    assert loaded(answer).generate("caption", prompt("a")) is ANSWER
    assert tries == ["a", "a"]


def test_several_that_fail_at_once_do_not_wait_for_each_other_for_ever() -> None:
    def answer(text: str) -> Answer:
        raise EngineFailed("no")

    model = loaded(answer, {"caption": 2, "enhance": 2})
    with ThreadPoolExecutor(4) as pool:
        queues = ["caption", "enhance"] * 4
        done = [pool.submit(model.generate, queue, prompt("a")) for queue in queues]
        assert all(isinstance(each.exception(timeout=10), EngineFailed) for each in done)


def test_one_that_gets_no_answer_while_others_do_is_timed_out_alone() -> None:
    def answer(text: str) -> Answer:
        if text == "hangs":
            assert model.generate("caption", prompt("other")) is ANSWER
            raise RequestTimedOut("no answer within 1 s")
        return ANSWER

    model = loaded(answer)
    with pytest.raises(RequestTimedOut):
        model.generate("caption", prompt("hangs"))


def test_an_engine_that_answers_nobody_is_dead() -> None:
    def answer(text: str) -> Answer:
        raise RequestTimedOut("no answer within 1 s")

    with pytest.raises(EngineDead, match="nor to any other request meanwhile"):
        loaded(answer).generate("caption", prompt("a"))
