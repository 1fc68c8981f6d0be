"""A model server that never answers, or a byte at a time: a time limit is for the whole answer."""

import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet import models
from clipfleet.errors import Interrupted, ModelUnavailable, RequestTimedOut
from clipfleet_workers.inference import openai_engine as engines
from clipfleet_workers.inference.engine import EngineConfig, Prompt
from clipfleet_workers.inference.openai_engine import OpenAIEngine
from tests.support.drip import EVERY_S

MODEL = dataclasses.replace(models.find("mini"), repository="mini", grid=None)
PROMPT = Prompt(request_id="1", user="What is this?", max_output_tokens=1)
TIMEOUT_S = 0.4
ANSWER_S = 3.0  # by then it must have been given up


class _Handler(http.server.BaseHTTPRequestHandler):
    """Lists its model, and does to requests what `does` says."""

    server: "_Server"

    def do_GET(self) -> None:
        if self.server.does_to_lists:
            self._do(self.server.does_to_lists)
            return
        listed = [{"id": "mini", "object": "model", "created": 1, "owned_by": "x"}]
        self._answer(200, json.dumps({"object": "list", "data": listed}).encode())

    def do_POST(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self._do(self.server.does)

    def _do(self, what: str) -> None:
        if what == "asks for patience":
            self._answer(503, b"{}", **{"Retry-After": "5"})
            return
        if what == "drips headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        elif what == "drips":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000000")
            self.end_headers()
        while not self.server.ended.wait(EVERY_S):
            if what != "is silent":
                self.wfile.write(b" ")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.does = self.does_to_lists = ""
        self.asked = 0
        self.ended = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that has had enough closes its connection."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield serving
        serving.ended.set()
        serving.shutdown()
        thread.join(5)


def config(server: _Server) -> EngineConfig:
    return EngineConfig(model=MODEL, cache_dir=Path(), url=server.url)


@pytest.fixture
def engine(server: _Server) -> Iterator[OpenAIEngine]:
    engine = OpenAIEngine(config(server))
    yield engine
    engine.close()


@pytest.mark.parametrize("does", ["is silent", "drips headers", "drips", "asks for patience"])
def test_the_time_limit_is_for_the_whole_answer_tries_included(
    server: _Server, engine: OpenAIEngine, does: str
) -> None:
    server.does = does
    began = time.monotonic()
    with pytest.raises(RequestTimedOut, match=r"no answer within 0\.4 s"):
        engine.generate(PROMPT, timeout_s=TIMEOUT_S)

    assert time.monotonic() - began < ANSWER_S
    assert server.asked == 1


@pytest.mark.parametrize("does", ["is silent", "drips headers", "drips"])
def test_a_server_that_draws_its_list_of_models_out_is_given_up(
    server: _Server, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(engines, "LIST_S", TIMEOUT_S, raising=False)
    server.does_to_lists = does
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"does not answer: not within 0\.4 s"):
        OpenAIEngine(config(server), patience_s=0)

    assert time.monotonic() - began < ANSWER_S


def test_interrupted_while_a_server_draws_its_answer_out_a_request_ends(
    server: _Server, engine: OpenAIEngine
) -> None:
    server.does = "drips"
    timer = threading.Timer(0.2, engine.interrupt)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        engine.generate(PROMPT, timeout_s=60)

    timer.join(5)
    assert time.monotonic() - began < ANSWER_S
