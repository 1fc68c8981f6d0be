"""The model authors' own way from frames to words: transformers' processor and `generate`.

With one correction where asked for: `clipfleet_workers.inference.positions`.
"""

from pathlib import Path
from typing import Any

from clipfleet_workers.inference.engine import Video


class Reference:
    """The model in transformers, on the CPU, in `dtype` ("float32" or "bfloat16")."""

    def __init__(self, weights: Path, dtype: str) -> None:
        from clipfleet_workers.inference.vllm_engine.placeholders import install

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
