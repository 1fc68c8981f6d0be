"""The model authors' own way from frames to words: transformers' processor and `generate`.

With one correction, `authors_positions`. In the authors' code, and in vLLM's, the text after a
video begins one after the largest position in it. transformers 5 lets it begin after the video's
height and width, however long the video is (`get_rope_index` of Qwen2.5-VL), and goes on from the
right place only after the first token that it writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.engines.base import Video


class Reference:
    """The model in transformers, on the CPU, in `dtype` ("float32" or "bfloat16")."""

    def __init__(self, weights: Path, dtype: str) -> None:
        from workers.engines.placeholders import install

        install()
        import torch
        from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

        self.processor = AutoProcessor.from_pretrained(weights)
        self._model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            weights, dtype=getattr(torch, dtype)
        ).eval()

    def tokens(self, video: Video, prompt: str, *, most: int) -> list[int]:
        """The tokens of the likeliest answer, at most so many, the closing one included."""
        chat = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": prompt}]}]
        text = self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        inputs = self.processor(
            text=[text],
            videos=[video.frames],
            video_metadata=[video.metadata],
            do_resize=False,
            do_sample_frames=False,
            return_tensors="pt",
        )
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(self._model.dtype)
        written = self._model.generate(**inputs, max_new_tokens=most, do_sample=False)
        return [int(token) for token in written[0, inputs["input_ids"].shape[1] :]]


@contextmanager
def authors_positions() -> Iterator[None]:
    """Within it, transformers counts positions as the model's authors do."""
    import torch
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

    real = Qwen2_5_VLModel.get_rope_index

    def get_rope_index(
        self: Any, input_ids: Any, mm_token_type_ids: Any, **rest: Any
    ) -> tuple[Any, Any]:
        positions, _ = real(self, input_ids, mm_token_type_ids, **rest)
        (kinds,) = mm_token_type_ids  # one chat, one video
        end = int((kinds == 2).nonzero()[-1]) + 1
        after = positions[:, 0, :end].max() + 1
        positions[:, 0, end:] = after + torch.arange(len(kinds) - end)
        return positions, (positions.max() + 1 - len(kinds)).reshape(1, 1)

    Qwen2_5_VLModel.get_rope_index = get_rope_index
    try:
        yield
    finally:
        Qwen2_5_VLModel.get_rope_index = real
