"""The engine `openai`: a model server that speaks OpenAI's protocol, such as `vllm serve`.

A fleet with model servers of its own needs no GPU in its workers. Frames travel as lossless PNG, in
the form that vLLM reads ("video/jpeg" is its name for a list of images), with their true times.
"""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from clipfleet.clock import SYSTEM, Clock, Deadline
from clipfleet.errors import (
    ClipfleetError,
    EngineDead,
    EngineFailed,
    ModelUnavailable,
    RequestRefused,
    RequestTimedOut,
    UsageError,
    WindowTooLong,
)
from clipfleet_workers.inference.chat import frame_times, processor_arguments, system_prompt
from clipfleet_workers.inference.engine import Answer, Engine, EngineConfig, Prompt, Video
from clipfleet_workers.inference.loop import Loop

PATIENCE_S = 300.0
LIST_S = 30.0
TRY_S = 120.0
TRIES = 4  # the client's own retries, with back-off, of a server that is away or overloaded


class OpenAIEngine(Engine):
    """A model behind a URL. The server is asked for the model by the registry's repository.

    The server batches and queues requests itself, so it is not given more than a batch.
    """

    revision = "as its server has it"

    def __init__(
        self,
        config: EngineConfig,
        *,
        patience_s: float = PATIENCE_S,
        clock: Clock = SYSTEM,
    ) -> None:
        """Connect, waiting up to `patience_s` for a server that is still starting.

        Raises `UsageError` without a URL, `ModelUnavailable` where the server does not answer or
        does not serve the model.
        """
        if not config.url:
            raise UsageError("the engine openai needs engine_url (CLIPFLEET_ENGINE_URL)")
        import openai

        self._model, self._clock = config.model, clock
        key = config.api_key.get_secret_value() if config.api_key else ""
        # The client's own time-outs restart with every byte and every retry; the loop's do not.
        self._loop = Loop()
        self._client = openai.AsyncOpenAI(
            base_url=config.url, api_key=key or "none", max_retries=TRIES
        )
        self.name = f"openai {config.url}"
        self._served = self._served_name(config.url, Deadline(patience_s, clock))
        if self._model.grid is not None:
            self._try_frames(config.url)

    def _served_name(self, url: str, deadline: Deadline) -> str:
        """The name that the server has the model under. Raises `ModelUnavailable` without one."""
        served, model = self._served_models(url, deadline), self._model
        wanted = model.repository or model.name
        if wanted not in served:
            raise ModelUnavailable(
                f"the server at {url} has {', '.join(served) or 'no model'}, not {wanted}; have it "
                f"serve {model.name} under that name (vllm serve … --served-model-name {wanted})"
            )
        return wanted

    def _try_frames(self, url: str) -> None:
        """Caption a grey clip. Raises `ModelUnavailable` where the server rejects our frames."""
        grey = np.full((4, 224, 224, 3), 128, np.uint8)
        video = Video(frames=grey, indices=[0, 10, 20, 30], num_frames=31, fps=30.0)
        prompt = Prompt(request_id="", user="What is this?", video=video, max_output_tokens=1)
        try:
            self.generate(prompt, timeout_s=TRY_S)
        except RequestRefused as error:
            raise ModelUnavailable(
                f"the server at {url} does not accept frames with their times, and would get them "
                f"wrong; start it with --trust-request-mm-kwargs ({error})"
            ) from error
        except ClipfleetError as error:
            raise ModelUnavailable(f"the server at {url} does not answer: {error}") from error

    def _served_models(self, url: str, deadline: Deadline) -> list[str]:
        import openai

        while True:
            try:
                return self._loop.run(self._listed(), timeout_s=LIST_S)
            except (openai.OpenAIError, TimeoutError) as error:
                away = (openai.APIConnectionError, openai.InternalServerError, TimeoutError)
                if not isinstance(error, away) or deadline.left_s() <= 0:
                    why = str(error) or f"not within {LIST_S:g} s"
                    said = f"the server at {url} does not answer: {why}"
                    raise ModelUnavailable(said) from error
            self._clock.sleep(2.0)

    async def _listed(self) -> list[str]:
        return [found.id async for found in self._client.models.list()]

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        import openai

        request = self._client.chat.completions.create(
            model=self._served,
            messages=self._messages(prompt),
            max_tokens=prompt.max_output_tokens,
            temperature=0.0,
            seed=0,
            extra_body=self._extra(prompt.video),
            timeout=timeout_s,
        )
        try:
            done = self._loop.run(request, timeout_s=timeout_s)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise RequestTimedOut(
                f"{self._model.name} gave no answer within {timeout_s:g} s"
            ) from error
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if "context length" in str(error) or "maximum model length" in str(error):
                raise WindowTooLong(f"the server says: {error}") from error
            raise RequestRefused(f"the server refused this request: {error}") from error
        except openai.InternalServerError as error:
            raise EngineFailed(f"the server failed: {error}") from error
        except openai.OpenAIError as error:
            raise EngineDead(f"the server is gone: {error}") from error
        choice = done.choices[0]
        return Answer(
            text=(choice.message.content or "").strip(),
            finish_reason=choice.finish_reason,
            prompt_tokens=done.usage.prompt_tokens if done.usage else 0,
            output_tokens=done.usage.completion_tokens if done.usage else 0,
        )

    def _messages(self, prompt: Prompt) -> Any:
        system = system_prompt(self._model, prompt)
        content: Any = prompt.user
        if prompt.video is not None:
            images = ",".join(_png(frame) for frame in prompt.video.frames)
            url = f"data:video/jpeg;base64,{images}"
            content = [
                {"type": "video_url", "video_url": {"url": url}},
                {"type": "text", "text": prompt.user},
            ]
        turns = [{"role": "user", "content": content}]
        return [{"role": "system", "content": system}, *turns] if system else turns

    def _extra(self, video: Video | None) -> dict[str, Any]:
        """vLLM's extensions of OpenAI's protocol."""
        extra: dict[str, Any] = {"repetition_penalty": self._model.repetition_penalty}
        if template := self._model.family.template:
            extra["chat_template_kwargs"] = dict(template)
        if video is not None:
            times = frame_times(self._model, video)
            extra["media_io_kwargs"] = {"video": {**times, "num_frames": -1}}
            if arguments := processor_arguments(self._model, video):
                extra["mm_processor_kwargs"] = arguments
        return extra

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._loop.interrupt()

    def close(self) -> None:
        """Close the connections; the server is not ours."""
        self._loop.close(self._client.close())


def _png(frame: Any) -> str:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame, np.uint8)).save(out, "PNG", compress_level=1)
    return base64.b64encode(out.getvalue()).decode()
