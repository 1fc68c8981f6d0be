"""From a prompt to the text that a model reads: chat template, control tokens, context length."""

import functools
from pathlib import Path
from typing import Any

from clipfleet.errors import WindowTooLong
from clipfleet.models import Model
from clipfleet_workers.inference.engine import Prompt, Video


def system_prompt(model: Model, prompt: Prompt) -> str:
    """What goes before the user's turn: the family's own, then the prompt's; empty for neither."""
    return "\n".join(filter(None, (model.family.system, prompt.system)))


def frame_times(model: Model, video: Video) -> dict[str, Any]:
    """A video's times for vLLM, in the form that the model's processor does not round."""
    times = video.metadata_in_ms if model.family.whole_ms else video.metadata
    return {**times, "do_sample_frames": False}


def processor_arguments(model: Model, video: Video) -> dict[str, Any]:
    """Further arguments for the model's processor; empty where it takes none."""
    if not model.family.resizes:
        return {}
    return {"do_resize": video.resize, "do_sample_frames": False}


class Chat:
    """A model's chat form, from the folder of its weights."""

    def __init__(self, model: Model, weights: Path) -> None:
        from transformers import AutoProcessor, AutoTokenizer

        self._model, remote_code = model, model.family.remote_code
        # The text needs no processor, which here is code from the model's repository.
        self.processor: Any = None if remote_code else AutoProcessor.from_pretrained(weights)
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        if self.tokenizer is None:
            self.tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=remote_code)

    def messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """The chat as templates take it; text that looks like a control token is broken up."""
        system = system_prompt(self._model, prompt)
        user = self._plain(prompt.user)
        content = [{"type": "video"}, {"type": "text", "text": user}] if prompt.video else user
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        return [{"role": "system", "content": self._plain(system)}, *turns] if system else turns

    def render(self, prompt: Prompt) -> str:
        """The text that the model reads. Raises `WindowTooLong` if it exceeds the context."""
        template = self.processor if self.processor is not None else self.tokenizer
        text: str = template.apply_chat_template(
            self.messages(prompt),
            tokenize=False,
            add_generation_prompt=True,
            **self._model.family.template,
        )
        self._check_length(prompt, text)
        return text

    def _plain(self, text: str) -> str:
        for token in self._control_tokens:
            text = text.replace(token, token[:1] + " " + token[1:])
        return text

    @functools.cached_property
    def _control_tokens(self) -> list[str]:
        added = (token for token in self.tokenizer.get_added_vocab() if token.startswith("<"))
        return sorted({*self.tokenizer.all_special_tokens, *added}, key=len, reverse=True)

    def _check_length(self, prompt: Prompt, text: str) -> None:
        written, frames = len(self.tokenizer(text)["input_ids"]), 0
        if prompt.video:
            num_frames, height, width = prompt.video.frames.shape[:3]
            if prompt.video.resize and self._model.grid:
                width, height = self._model.grid.fit(
                    width=width, height=height, num_frames=num_frames
                )
            frames = self._model.family.count_tokens(
                num_frames=num_frames, height_px=height, width_px=width
            )
        most = self._model.max_model_tokens
        total = written + frames + prompt.max_output_tokens
        if total > most:
            raise WindowTooLong(
                f"the window needs {total:,} tokens "
                f"({frames:,} of frames, {written:,} of text, {prompt.max_output_tokens:,} for the "
                f"answer) and {self._model.name} takes {most:,}; sample fewer frames "
                "(--captioning-sampling-fps) or cut shorter windows (--captioning-window-size)"
            )
