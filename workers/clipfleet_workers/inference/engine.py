"""The interface of an engine: a prompt, with or without frames, in; a text out."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from clipfleet.models import Model


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What an engine is loaded with; each engine reads the fields that apply to it.

    `model_dir` is a folder with the model's weights; without one they come from `cache_dir`, where
    engines also keep what they compile. `batch_size` is how many prompts are computed at once,
    however many are submitted, and `windows` how many with frames are submitted at once (0: as
    many as `batch_size`). `fp8` quantizes the weights. `gpu_memory_utilization` is the share of a
    GPU's memory to use; the model is split over `gpus` of them. `url` and `api_key` are those of
    a server that runs the model. `arguments` are the engine's own and override ours.
    """

    model: Model
    model_dir: str | None = None
    cache_dir: Path
    batch_size: int = 16
    windows: int = 0
    fp8: bool = False
    disable_mmcache: bool = False
    gpu_memory_utilization: float = 0.9
    gpus: int = 1
    url: str | None = None
    api_key: SecretStr | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Video:
    """Frames of one window for the model: RGB, time × height × width × 3.

    `indices` are the frames' numbers counted from the window's first frame, `num_frames` how many
    the window has at `fps` frames a second: the model is told the truth about time.
    `resize` lets the model's own processor choose the size. `name` identifies exactly these pixels:
    engines may cache what they compute from them under it.
    """

    frames: NDArray[np.generic]
    indices: list[int]
    num_frames: int
    fps: float
    resize: bool = False
    name: str | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What the model's processor is told about time: the rate and the frames' true numbers.

        Engines round times down to whole positions, vLLM in float64 and transformers in float32
        from the same float32: where a time is a whole number, such as 6 × 1.0416667 s × 4, they
        disagreed by one position. A rate that is too low by less than a millionth lifts such times
        over the edge in both.
        """
        return {
            "fps": self.fps * (1 - 2**-21),
            "frames_indices": self.indices,
            "total_num_frames": self.num_frames,
            "duration": self.num_frames / self.fps,
        }

    @property
    def metadata_in_ms(self) -> dict[str, Any]:
        """The same at 1,000 frames a second, for processors that truncate times to milliseconds."""
        return {
            "fps": 1000.0,
            "frames_indices": [round(index * 1000 / self.fps) for index in self.indices],
            "total_num_frames": round(self.num_frames * 1000 / self.fps),
            "duration": self.num_frames / self.fps,
        }


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request. `request_id` is unique among those in flight."""

    request_id: str
    user: str
    system: str | None = None
    video: Video | None = None
    max_output_tokens: int = 512


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model wrote. `finish_reason` is "stop", or "length" where it was truncated."""

    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int


class Engine(abc.ABC):
    """One loaded model. `generate` may be called from many threads at once.

    Decoding is greedy: the same prompt gives the same answer, except where rounding in 16 bits
    differs with the mix of requests in flight.

    Each class declares `queues_ahead`, whether it is given more prompts than its batch so that one
    is always ready to start, and `loggers`, the libraries that set up logging of their own. A
    loaded engine has a `name` with its version, and the `revision` of its model's weights.
    """

    queues_ahead: ClassVar[bool] = False
    loggers: ClassVar[tuple[str, ...]] = ("transformers", "huggingface_hub")
    name: str
    revision: str

    @abc.abstractmethod
    def __init__(self, config: EngineConfig) -> None:
        """Load the model.

        Raises `UsageError` where this engine cannot do what the configuration asks for, and
        `ModelUnavailable`, with the reason, where the model cannot be loaded: before weights are
        downloaded wherever that is known by then.
        """

    @abc.abstractmethod
    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """Answer one prompt; blocks until it is done.

        Raises `WindowTooLong` before the model sees a prompt that exceeds its context,
        `RequestTimedOut` after `timeout_s`, with the request aborted, `RequestRefused` for a
        prompt that this engine never accepts, `EngineFailed` where only this request failed,
        `EngineDead` when no further prompt can be answered, and `Interrupted` after `interrupt`.
        """

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Abort every request in flight, and every later one."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the model."""
