"""What an engine does: a prompt and perhaps frames in, a text out."""

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Video:
    """Frames of one window for the model: RGB, time × height × width × 3.

    `indices` are the frames' numbers counted from the window's first frame, `num_frames` how many
    the window has at `fps` frames a second: the model is told the truth about time.
    `resize` lets the model's own processor choose the size.
    """

    frames: NDArray[np.generic]
    indices: list[int]
    num_frames: int
    fps: float
    resize: bool = False

    @property
    def metadata(self) -> dict[str, Any]:
        """What the model's processor is told about time: the rate and the frames' true numbers.

        Engines round times down to whole positions, vLLM in float64 and transformers in float32
        from the same float32: a time that is a whole number, such as 6 × 1.0416667 s × 4, came out
        one position apart. A rate that is too low by less than a millionth lifts such times over
        the edge in both.
        """
        return {
            "fps": self.fps * (1 - 2**-21),
            "frames_indices": self.indices,
            "total_num_frames": self.num_frames,
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
    """What the model wrote. `finish_reason` is "stop", or "length" where it was cut."""

    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int


class Engine(abc.ABC):
    """One loaded model. `generate` may be called from many threads at once."""

    name: str

    @abc.abstractmethod
    def generate(self, prompt: Prompt) -> Answer:
        """Answer one prompt; blocks until it is done.

        Raises `WindowTooLong` before the model sees a prompt that its context cannot hold, and
        `EngineDead` when no further prompt can be answered.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let the model go."""
