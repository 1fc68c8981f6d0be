"""Faults that leave every process, file and count as it should be, and make captions untrue."""

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from clipfleet_workers.inference.chat import Chat
from clipfleet_workers.inference.engine import Answer, Prompt
from clipfleet_workers.inference.vllm_engine.engine import VllmEngine
from clipfleet_workers.media import onepass
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.steps import caption, prepare, scratch

# By how much each must bring down the share right of which kinds of fact; no kinds: of all facts.
# About half of what was measured when the weights were made.
FAULTS: dict[str, tuple[tuple[str, ...], float]] = {
    "red and blue swapped": (("colour", "ground"), 0.30),
    "frames reversed": (("motion", "event time"), 0.35),
    "window 0 everywhere": ((), 0.12),
    "half the frames lost": (("event", "event time"), 0.20),
    "timestamps doubled": (("event time",), 0.50),
    "another chat form": ((), 0.35),
    "captions mixed up": ((), 0.40),
}


def plant(path: str) -> None:
    """Put the faults into this process's modules."""
    faults: dict[str, str] = json.loads(Path(path).read_text())
    _plant_in_frames(faults)
    _plant_in_times(faults)
    _plant_in_engine(faults)


def _plant_in_frames(faults: dict[str, str]) -> None:
    real_write, real_cut = prepare._write_packs, onepass.cut
    current: list[str | None] = [None]

    def write_packs(context: Any, job: Any, *rest: Any) -> Any:
        current[0] = faults.get(job.clip_uuid)
        return real_write(context, job, *rest)

    def cut(file: Any, *, write: Any, **rest: Any) -> Any:
        first: list[Pack] = []

        def write_faulty(window: onepass.Window) -> None:
            first.append(window.frames)
            frames = _faulty(current[0], window.frames, first[0])
            write(dataclasses.replace(window, frames=frames))

        return real_cut(file, write=write_faulty, **rest)

    vars(prepare)["_write_packs"], vars(onepass)["cut"] = write_packs, cut


def _faulty(fault: str | None, pack: Pack, first: Pack) -> Pack:
    frames, count = pack.frames, len(pack.frames)
    if fault == "red and blue swapped":
        return dataclasses.replace(pack, frames=frames[..., ::-1])
    if fault == "frames reversed":
        return dataclasses.replace(pack, frames=frames[::-1])
    if fault == "window 0 everywhere":
        places = np.linspace(0, len(first.frames) - 1, count).round().astype(int)
        return dataclasses.replace(pack, frames=first.frames[places])
    if fault == "half the frames lost":
        kept = count // 4 * 2
        indices, times_s = pack.indices[:kept], pack.times_s[:kept]
        return dataclasses.replace(pack, frames=frames[:kept], indices=indices, times_s=times_s)
    return pack


def _plant_in_times(faults: dict[str, str]) -> None:
    real_read = scratch.read_pack

    def read_pack(context: Any, key: str) -> Pack:
        pack = real_read(context, key)
        if faults.get(key.split("/")[-3]) == "timestamps doubled":
            return dataclasses.replace(pack, source_fps=pack.source_fps / 2, checksum=None)
        return pack

    vars(caption)["read_pack"] = read_pack


def _plant_in_engine(faults: dict[str, str]) -> None:
    real_render, real_generate = Chat.render, VllmEngine.generate
    before: list[Answer] = []
    lock = threading.Lock()

    def fault_of(prompt: Prompt) -> str | None:
        return faults.get(prompt.request_id.partition(".")[0])

    def render(chat: Chat, prompt: Prompt) -> str:
        if fault_of(prompt) == "another chat form":
            return f"[INST] <|vision_start|><|video_pad|><|vision_end|>{prompt.user} [/INST]"
        return real_render(chat, prompt)

    def generate(engine: VllmEngine, prompt: Prompt, *, timeout_s: float) -> Answer:
        answer = real_generate(engine, prompt, timeout_s=timeout_s)
        if fault_of(prompt) == "captions mixed up":
            with lock:
                before.append(answer)
                return before.pop(0) if len(before) > 1 else answer
        return answer

    Chat.render = render  # type: ignore[method-assign,assignment]
    VllmEngine.generate = generate  # type: ignore[method-assign,assignment]
