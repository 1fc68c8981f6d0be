"""A loaded model as tasks use it."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from clipfleet import models
from clipfleet.engines import ENGINES
from clipfleet.errors import (
    EngineDead,
    EngineFailed,
    ExitCode,
    Interrupted,
    RequestTimedOut,
    UsageError,
)
from clipfleet.options import CaptionOptions, Options
from clipfleet.settings import read_settings
from clipfleet_workers.inference import loader
from clipfleet_workers.inference.engine import Answer, Engine, EngineConfig, Prompt
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots

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


class Loaded(Scripted):
    """As workers load it."""

    revision = "0"

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(lambda _: ANSWER)


def loaded(
    answer: Callable[[str], Answer], sizes: dict[str, int] | None = None, *, timeout_s: float = 10
) -> LoadedModel:
    slots = Slots(sizes or {"caption": 4})
    about = {"variant": "mini", "fp8": False, "repository": "mini", "revision": "0"}
    return LoadedModel(Scripted(answer), slots, timeout_s=timeout_s, **about)  # type: ignore[arg-type]


def prompt(text: str) -> Prompt:
    return Prompt(request_id=text, user=text)


def test_no_more_prompts_are_in_flight_than_each_queue_has_slots() -> None:
    lock, now, most = threading.Lock(), {"c": 0, "e": 0}, {"c": 0, "e": 0}
    full = threading.Barrier(5, timeout=10)  # 3 captions and 2 enhanced captions at once

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


@pytest.mark.parametrize(("engine", "most"), [("vllm", 5), ("openai", 4), ("transformers", 4)])
def test_a_quarter_more_than_the_batch_waits_in_vllm_and_in_no_other(
    engine: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Barrier(most, timeout=10)
    lock, now, seen = threading.Lock(), 0, 0

    def answer(text: str) -> Answer:
        nonlocal now, seen
        with lock:
            now += 1
            seen = max(seen, now)
        full.wait()
        with lock:
            now -= 1
        return ANSWER

    class Same(loader.engine_class(engine)):  # type: ignore[misc]
        """The real class, but for what it does."""

        revision = "0"

        def __init__(self, config: EngineConfig) -> None: ...

        def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
            return answer(prompt.user)

    monkeypatch.setattr(loader, "engine_class", lambda _: Same)
    settings = read_settings(engine=engine)
    options = Options(caption=CaptionOptions(model_variant="mini", caption_batch_size=4))
    model = loader.load_models(settings, ("caption",), options)["caption"]
    with ThreadPoolExecutor(3 * most) as pool:
        done = [pool.submit(model.generate, "caption", prompt("c")) for _ in range(3 * most)]
        assert all(each.result(timeout=10) is ANSWER for each in done)
    assert seen == most


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


def test_a_prompt_that_gets_no_slot_in_time_is_given_back() -> None:
    asked, ended = threading.Event(), threading.Event()

    def answer(text: str) -> Answer:
        asked.set()
        ended.wait(10)
        return ANSWER

    model = loaded(answer, {"caption": 1, "enhance": 1}, timeout_s=0.1)
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(model.generate, "caption", prompt("hangs"))
        assert asked.wait(10)
        waits = pool.submit(model.generate, "caption", prompt("waits"))
        try:
            assert isinstance(waits.exception(timeout=5), Interrupted)
        finally:
            ended.set()
        assert held.result(timeout=5) is ANSWER
    assert model.generate("enhance", prompt("after")) is ANSWER


def test_a_prompt_that_is_to_be_tried_again_alone_does_not_wait_for_ever() -> None:
    asked, ended = threading.Event(), threading.Event()

    def answer(text: str) -> Answer:
        if text == "fails":
            raise EngineFailed("no")
        asked.set()
        ended.wait(10)
        return ANSWER

    model = loaded(answer, {"caption": 2}, timeout_s=0.1)
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(model.generate, "caption", prompt("hangs"))
        assert asked.wait(10)
        for _ in range(2):  # whatever it had taken by then is there for the next
            fails = pool.submit(model.generate, "caption", prompt("fails"))
            try:
                assert isinstance(fails.exception(timeout=5), Interrupted)
            except TimeoutError:
                ended.set()
                raise
        ended.set()
        assert held.result(timeout=5) is ANSWER


def test_transformers_refuses_fp8_before_it_looks_for_weights(tmp_path: Path) -> None:
    settings = read_settings(engine="transformers", cache_dir=tmp_path)
    options = Options(caption=CaptionOptions(fp8=True))

    with pytest.raises(UsageError, match="fp8 needs the engine vllm"):
        loader.load_models(settings, ("caption",), options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_a_class_that_can_be_found_without_what_it_depends_on(name: str) -> None:
    code = (
        "import sys; from clipfleet_workers.inference.loader import engine_class\n"
        "from clipfleet_workers.inference.engine import Engine\n"
        f"assert issubclass(engine_class({name!r}), Engine)\n"
        "assert not {'torch', 'vllm', 'transformers', 'openai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_engine_that_there_is_not_is_refused_with_those_there_are() -> None:
    said = "setting engine (CLIPFLEET_ENGINE): there is no engine sglang; there are vllm, "
    with pytest.raises(UsageError, match=re.escape(said)):
        read_settings(engine="sglang")


def test_an_engines_api_key_is_not_shown_with_what_it_is_loaded_with() -> None:
    config = EngineConfig(
        model=models.find("mini"), cache_dir=Path(), api_key=SecretStr("sk-something")
    )
    assert "sk-something" not in repr(config)


def test_a_model_that_is_not_loaded_in_time_ends_its_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    class Slow(Loaded):
        def __init__(self, config: EngineConfig) -> None:
            super().__init__(config)
            assert ended.wait(5)

    monkeypatch.setattr(loader, "_exit", end, raising=False)
    monkeypatch.setattr(loader, "engine_class", lambda _: Slow)
    settings = read_settings(load_timeout_s=0.05)
    loader.load_models(settings, ("caption",), Options(caption=CaptionOptions()))

    assert codes == [ExitCode.ENGINE_DEAD]
    assert "is not loaded after 0.05 s (setting load_timeout_s)" in caplog.text


def test_a_model_that_is_loaded_in_time_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(loader, "_exit", codes.append, raising=False)
    monkeypatch.setattr(loader, "engine_class", lambda _: Loaded)
    settings = read_settings(load_timeout_s=0.05)
    loader.load_models(settings, ("caption",), Options(caption=CaptionOptions()))
    time.sleep(0.1)

    assert codes == []
