"""How often the model is right, on scenes that it has not seen, by the words it writes."""

import dataclasses
from random import Random
from typing import Any

import torch

from clipfleet_producer.samples.scene import facts
from clipfleet_producer.samples.words import caption
from tests.support.meaning.tally import Score
from training.batches import Batch, text_batch, video_batch
from training.network import logits
from training.render import draw_patches

_KINDS = ("captions", "enhanced")


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(
    model: Any, tokenizer: Any, device: torch.device, *, batches: int, batch_size: int, longest: int
) -> dict[str, Any]:
    """Shares right of single facts and of whole captions, and of each kind of fact.

    The scenes come from a stream of their own, half of them at 2 frames a second. Answers are cut
    at `longest` tokens.
    """
    random, scores = Random("evaluation"), {}
    generator = torch.Generator(device).manual_seed(0)
    for kind in _KINDS:
        score = Score()
        for number in range(batches):
            if kind == "captions":
                fps = 2.0 if number % 2 else None
                batch = video_batch(random, tokenizer, batch_size, fps=fps)
                patches = draw_patches(batch, device, generator)
            else:
                batch, patches = text_batch(random, tokenizer, batch_size), None
            written = _write(model, tokenizer, batch, patches, device, longest)
            for scene, text in zip(batch.scenes, written, strict=True):
                score.count(text, facts(scene), where=caption(scene))
        scores[kind] = {
            "facts_right": round(score.facts_right, 4),
            "wholly_right": round(score.wholly_right, 4),
            "by_fact": {name: round(share, 4) for name, share in score.by_kind().items()},
        }
    return scores


def _write(
    model: Any,
    tokenizer: Any,
    batch: Batch,
    patches: torch.Tensor | None,
    device: torch.device,
    longest: int,
) -> list[str]:
    """The likeliest answers, a token at a time, each step from the start: short and plain."""
    labels = batch.labels
    starts = (labels != -100).int().argmax(1)  # where each answer begins
    length = int(starts.max()) + longest
    ids = torch.full((len(labels), length), tokenizer.pad_token_id)
    for row, start in enumerate(starts.tolist()):
        ids[row, :start] = batch.ids[row, :start]
    ends, open_rows = starts.clone(), torch.ones(len(labels), dtype=torch.bool)
    rows = torch.arange(len(labels))
    for _ in range(longest):
        filled = dataclasses.replace(batch, ids=ids[:, : int(ends.max())])
        found = logits(model, filled, patches)
        skipped = filled.ids.shape[1] - found.shape[1]
        token = found[rows.to(device), (ends - 1 - skipped).to(device)].argmax(-1).cpu()
        open_rows &= token != tokenizer.eos_token_id
        if not open_rows.any():
            break
        ids[rows[open_rows], ends[open_rows]] = token[open_rows]
        ends += open_rows.int()
    return [
        tokenizer.decode(ids[row, start:end], skip_special_tokens=True)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
    ]
