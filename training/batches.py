"""Training examples: scenes as numbers and words, many of one layout at a time. On the CPU."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipfleet import models, prompts
from clipfleet_producer.samples.files import SIZES
from clipfleet_producer.samples.scene import LONGEST_S, SHORTEST_S, Scene, draw_scene
from clipfleet_producer.samples.stage import Staged, stage
from clipfleet_producer.samples.words import caption, enhanced_caption
from clipfleet_workers.media.windows import sample_count, sample_evenly

RATES = (12, 15, 24, 24, 25, 25, 30, 30, 30, 50, 60)
MOST_FRAMES = 32
# The usual sampling rate, and the range of others.
_USUAL_FPS, _FPS = 2.0, (1.6, 4.0)
_OWN_PROMPTS = (
    "What happens here?",
    "Describe this.",
    "Tell me all that you can see in the clip, in order.",
    "Caption this video.",
)
_OWN_ENHANCE_PROMPTS = ("Make this caption longer and livelier; keep every fact.", "Rewrite this.")
_IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Examples of one layout, on the CPU.

    `tracks` (examples × 2 × frames × 10) and `ground` (examples × 9) are as in `Staged`; `size` is
    the source's (width, height), `grid` the model's in pixels. `seconds_per_pair` (examples) is
    how far apart in time two pairs of frames are. They are None for examples of text alone.
    `ids` and `labels` (examples × tokens) are padded on the right; labels are -100 for
    tokens that are not trained on.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    scenes: list[Scene]
    tracks: torch.Tensor | None = None
    ground: torch.Tensor | None = None
    seconds_per_pair: torch.Tensor | None = None
    size: tuple[int, int] = (0, 0)
    grid: tuple[int, int] = (0, 0)
    prefix: int = 0


class Examples(torch.utils.data.IterableDataset):  # type: ignore[misc]
    """Endless batches. Each worker process has its own random stream."""

    def __init__(self, tokenizer: Any, *, batch_size: int, seed: int, text_share: float) -> None:
        self._tokenizer, self._batch_size = tokenizer, batch_size
        self._seed, self._text_share = seed, text_share

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        random = Random(f"{self._seed}/{worker.id if worker else 0}")
        while True:
            if random.random() < self._text_share:
                yield text_batch(random, self._tokenizer, 2 * self._batch_size)
            else:
                yield video_batch(random, self._tokenizer, self._batch_size)


def video_batch(random: Random, tokenizer: Any, count: int, *, fps: float | None = None) -> Batch:
    """`count` windows with the same number of frames, sampled as workers do, and their captions."""
    size = random.choice(SIZES)
    frames = 2 * round(random.triangular(2, MOST_FRAMES / 2, 7))
    width, height = models.MINI_GRID.fit(width=size[0], height=size[1], num_frames=frames)
    windows = [_window(random, frames, size, fps) for _ in range(count)]
    pads = frames // 2 * (height // 28) * (width // 28)
    prefix, ids, labels = _chats(
        tokenizer,
        [_question(random, scene) for scene, _, _ in windows],
        [caption(scene) for scene, _, _ in windows],
        pads,
    )
    tracks = np.zeros((count, 2, frames, 10), np.float32)  # a thing of zeros is not visible
    for i, (_, staged, _) in enumerate(windows):
        tracks[i, : len(staged.tracks)] = staged.tracks
    return Batch(
        ids=ids,
        labels=labels,
        scenes=[scene for scene, _, _ in windows],
        tracks=torch.from_numpy(tracks),
        ground=torch.from_numpy(np.stack([staged.ground for _, staged, _ in windows])),
        seconds_per_pair=torch.tensor([seconds for _, _, seconds in windows]),
        size=size,
        grid=(width, height),
        prefix=prefix,
    )


def _window(
    random: Random, frames: int, size: tuple[int, int], fps: float | None
) -> tuple[Scene, Staged, float]:
    """A scene of which so many frames are sampled, staged at those, and its seconds a pair."""
    while True:
        wanted_fps = fps or (_USUAL_FPS if random.random() < 0.6 else random.uniform(*_FPS))
        rate = random.choice(RATES)
        num_frames = round((frames + random.uniform(-1, 1)) / wanted_fps * rate)
        num_frames = min(max(num_frames, math.ceil(SHORTEST_S * rate)), int(LONGEST_S * rate))
        if sample_count(num_frames, rate=rate, sampling_fps=wanted_fps) == frames:
            break
    indices = sample_evenly(0, num_frames - 1, frames)
    times: NDArray[np.float64] = np.asarray(indices) / rate
    scene = draw_scene(random, seconds=num_frames / rate)
    staged = stage(scene, random, times_s=times, width=size[0], height=size[1])
    return scene, staged, 2 * num_frames / rate / frames


def _question(random: Random, scene: Scene) -> str:
    """What the model is asked; now and then with a first caption, right or wrong, to correct."""
    chance = random.random()
    if chance < 0.5:
        return prompts.CAPTION["default"]
    if chance < 0.9:
        return random.choice([*prompts.CAPTION.values(), *_OWN_PROMPTS])
    first = scene
    if chance < 0.95:
        first = draw_scene(random, seconds=random.uniform(SHORTEST_S, LONGEST_S))
    return prompts.STAGE2.replace("{caption}", caption(first))


def text_batch(random: Random, tokenizer: Any, count: int) -> Batch:
    """`count` captions to be enhanced, and their enhanced captions."""
    scenes = [
        draw_scene(random, seconds=random.uniform(SHORTEST_S, LONGEST_S)) for _ in range(count)
    ]
    systems = [random.choice([*prompts.ENHANCE.values(), *_OWN_ENHANCE_PROMPTS]) for _ in scenes]
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": system}, {"role": "user", "content": caption(scene)}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for system, scene in zip(systems, scenes, strict=True)
    ]
    asked = tokenizer(texts)["input_ids"]
    answers = _answers(tokenizer, [enhanced_caption(scene) for scene in scenes])
    ids, labels = _padded(asked, answers, tokenizer.pad_token_id)
    return Batch(ids=ids, labels=labels, scenes=scenes)


def _chats(
    tokenizer: Any, questions: Sequence[str], answers: Sequence[str], pads: int
) -> tuple[int, torch.Tensor, torch.Tensor]:
    """(tokens before the video, ids, labels) of chats about a video of `pads` tokens."""
    texts = [
        tokenizer.apply_chat_template(
            [
                {
                    "role": "user",
                    "content": [{"type": "video"}, {"type": "text", "text": question}],
                }
            ],
            tokenize=False,
            add_generation_prompt=True,
        )
        for question in questions
    ]
    pad = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    asked = []
    for ids in tokenizer(texts)["input_ids"]:
        at = ids.index(pad)
        asked.append([*ids[:at], *[pad] * pads, *ids[at + 1 :]])
    prefix = asked[0].index(pad)
    padded = _padded(asked, _answers(tokenizer, answers), tokenizer.pad_token_id)
    return prefix, *padded


def _answers(tokenizer: Any, answers: Sequence[str]) -> list[list[int]]:
    return [[*ids, tokenizer.eos_token_id] for ids in tokenizer(list(answers))["input_ids"]]


def _padded(
    asked: list[list[int]], answers: list[list[int]], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(a) + len(b) for a, b in zip(asked, answers, strict=True))
    ids = torch.full((len(asked), length), pad)
    labels = torch.full((len(asked), length), _IGNORED)
    for i, (question, answer) in enumerate(zip(asked, answers, strict=True)):
        end = len(question) + len(answer)
        ids[i, :end] = torch.tensor(question + answer)
        labels[i, len(question) : end] = torch.tensor(answer)
    return ids, labels
