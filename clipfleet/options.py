"""What can be asked for: names, defaults, units, limits, and the flag that sets each.

Names and defaults are those of the reference system (NVIDIA NeMo Curator's video captioning).
The command line is generated from these models, so the two cannot differ.
"""

import enum
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class ModelVariant(enum.StrEnum):
    """Models that write captions."""

    QWEN = "qwen"  # Qwen2.5-VL-7B-Instruct
    QWEN3 = "qwen3"  # Qwen3-VL-8B-Instruct
    NEMOTRON = "nemotron"  # Nemotron-Nano-12B-v2-VL, bfloat16
    NEMOTRON_BF16 = "nemotron-bf16"  # the same
    NEMOTRON_FP8 = "nemotron-fp8"  # the same, quantized to 8 bits
    NEMOTRON_NVFP4 = "nemotron-nvfp4"  # the same, quantized to 4 bits
    MINI = "mini"  # a small model of a small world; runs on any CPU


class EnhanceVariant(enum.StrEnum):
    """Models that rewrite captions."""

    QWEN_LM = "qwen_lm"  # Qwen2.5-14B-Instruct
    MINI = "mini"  # the same small model that captions


# The models that this version can load; the others are known by name only.
BUILT = frozenset(map(str, (ModelVariant.QWEN, ModelVariant.MINI, EnhanceVariant.QWEN_LM)))

# What must be known of a model before its words are believed. Runs say it first, records keep it.
CAVEATS = {
    "mini": "mini understands only the sample clips that `clipfleet samples` writes: what it says "
    "of any other clip means nothing. For real captions, on a machine with a GPU: "
    "--captioning-algorithm qwen --enhance-captions-algorithm qwen_lm"
}

PromptVariant = Literal["default", "av", "av-surveillance"]
FrameEncoding = Literal["auto", "raw", "zstd", "jpeg444"]
EnhancePromptVariant = Literal["default", "av-surveillance"]


def option(
    default: Any, description: str, *, flag: str, shapes_output: bool = True, **limits: Any
) -> Any:
    """A field with its flag. `shapes_output=False` keeps it out of the options hash."""
    extra: dict[str, JsonValue] = {"flag": flag, "shapes_output": shapes_output}
    return Field(default, description=description, json_schema_extra=extra, **limits)


class Group(BaseModel):
    """A frozen set of options; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class PrepareOptions(Group):
    """How a clip is cut into windows and sampled."""

    sampling_fps: Annotated[float, Field(gt=0, le=240)] = option(
        2.0, "Frames sampled for the model, per second.", flag="--captioning-sampling-fps"
    )
    window_size: Annotated[int, Field(ge=4, le=100_000)] = option(
        256, "Window length, in source frames.", flag="--captioning-window-size"
    )
    remainder_threshold: Annotated[int, Field(ge=4, le=100_000)] = option(
        128,
        "A remainder of at least this many source frames is a window of its own; "
        "a shorter one extends the last window.",
        flag="--captioning-remainder-threshold",
    )
    model_does_preprocess: bool = option(
        False,
        "Send frames at source size and let the model's own processor resize them.",
        flag="--captioning-model-does-preprocess/--no-captioning-model-does-preprocess",
    )
    preprocess_dtype: Literal["uint8", "float16", "float32"] = option(
        "uint8",
        "Number type of the frames handed to the model's processor.",
        flag="--captioning-preprocess-dtype",
    )
    frame_encoding: FrameEncoding = option(
        "auto",
        "How frames lie in scratch between workers: raw, zstd, or jpeg444 (small, but with loss). "
        "auto is zstd in S3 and raw in a folder.",
        flag="--captioning-frame-encoding",
    )
    generate_previews: bool = option(
        True,
        "Make an animated WebP preview of each window.",
        flag="--generate-previews/--no-generate-previews",
    )
    upload_clips: bool = option(
        False,
        "Also copy each clip to clips/ in the output.",
        flag="--upload-clips/--no-upload-clips",
    )
    verbose: bool = option(
        False,
        "Log every step; show tracebacks.",
        flag="--verbose/--no-verbose",
        shapes_output=False,
    )


class PreviewOptions(Group):
    """How previews look."""

    target_fps: Annotated[float, Field(gt=0, le=60)] = option(
        1.0, "Preview frames per second of clip.", flag="--preview-target-fps"
    )
    target_height: Annotated[int, Field(ge=16, le=2160)] = option(
        240,
        "Preview height, in pixels; the width keeps the aspect ratio. Never upscaled.",
        flag="--preview-target-height",
    )
    compression_level: Annotated[int, Field(ge=0, le=6)] = option(
        6,
        "WebP effort: 0 is lossless, 1 (fast) to 6 (small) are lossy.",
        flag="--preview-compression-level",
    )
    quality: Annotated[int, Field(ge=0, le=100)] = option(
        50, "WebP quality, 0 (small) to 100 (good).", flag="--preview-quality"
    )
    num_cpus_per_worker: Annotated[float, Field(gt=0, le=256)] = option(
        4.0,
        "CPU threads a preview worker may use to encode one preview.",
        flag="--preview-num-cpus-per-worker",
        shapes_output=False,
    )


class CaptionOptions(Group):
    """Which model captions, and how."""

    model_variant: ModelVariant = option(
        ModelVariant.QWEN, "Caption model.", flag="--captioning-algorithm"
    )
    model_dir: str | None = option(
        None,
        "Folder of model weights, in place of the download cache.",
        flag="--captioning-model-dir",
        shapes_output=False,
    )
    prompt_variant: PromptVariant = option(
        "default", "Built-in caption prompt.", flag="--captioning-prompt-variant"
    )
    prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None, "Your own caption prompt, over the variant.", flag="--captioning-prompt-text"
    )
    caption_batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        16,
        "Windows in flight on one engine.",
        flag="--captioning-batch-size",
        shapes_output=False,
    )
    fp8: bool = option(
        False,
        "Quantize the caption model's weights to 8 bits (GPU only).",
        flag="--captioning-fp8/--no-captioning-fp8",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=32_768)] = option(
        512, "Longest caption, in tokens.", flag="--captioning-max-output-tokens"
    )
    disable_mmcache: bool = option(
        False,
        "Turn off the engine's cache of processed frames.",
        flag="--captioning-disable-mmcache/--no-captioning-disable-mmcache",
        shapes_output=False,
    )
    generate_stage2_caption: bool = option(
        False,
        "Ask a second time, with the first caption at hand.",
        flag="--captioning-stage2/--no-captioning-stage2",
    )
    stage2_prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None, "Your own prompt for the second pass.", flag="--captioning-stage2-prompt-text"
    )


class EnhanceOptions(Group):
    """Which model rewrites the captions, and how."""

    enabled: bool = option(
        False,
        "Rewrite each caption with a language model.",
        flag="--enhance-captions/--no-enhance-captions",
    )
    model_variant: EnhanceVariant = option(
        EnhanceVariant.QWEN_LM, "Model that rewrites.", flag="--enhance-captions-algorithm"
    )
    model_dir: str | None = option(
        None,
        "Folder of its weights, in place of the download cache.",
        flag="--enhance-captions-model-dir",
        shapes_output=False,
    )
    prompt_variant: EnhancePromptVariant = option(
        "default", "Built-in rewriting prompt.", flag="--enhance-captions-prompt-variant"
    )
    prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None, "Your own rewriting prompt.", flag="--enhance-captions-prompt-text"
    )
    model_batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        128,
        "Captions in flight on one engine.",
        flag="--enhance-captions-batch-size",
        shapes_output=False,
    )
    fp8: bool = option(
        False,
        "Quantize its weights to 8 bits (GPU only).",
        flag="--enhance-captions-fp8/--no-enhance-captions-fp8",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=32_768)] = option(
        512, "Longest rewritten caption, in tokens.", flag="--enhance-captions-max-output-tokens"
    )


class Options(Group):
    """Everything a run can be asked for. The hash names the output that these options give."""

    prepare: PrepareOptions = PrepareOptions()
    preview: PreviewOptions = PreviewOptions()
    caption: CaptionOptions = CaptionOptions()
    enhance: EnhanceOptions = EnhanceOptions()

    @property
    def one_engine(self) -> bool:
        """Whether captions and enhanced captions come from the same loaded model."""
        caption, enhance = self.caption, self.enhance
        return (str(caption.model_variant), caption.fp8, caption.model_dir) == (
            str(enhance.model_variant),
            enhance.fp8,
            enhance.model_dir,
        )

    @property
    def caveats(self) -> list[str]:
        """What must be known of the models before their words are believed."""
        wanted = {str(self.caption.model_variant)}
        wanted |= {str(self.enhance.model_variant)} if self.enhance.enabled else set()
        return [CAVEATS[name] for name in sorted(wanted) if name in CAVEATS]

    @property
    def hash(self) -> str:
        """16 hex digits over the options that shape the output; batch sizes and such do not."""
        shaping = {
            group: {
                name: value
                for name, value in getattr(self, group).model_dump(mode="json").items()
                if _shapes_output(type(getattr(self, group)), name)
            }
            for group in type(self).model_fields
        }
        canonical = json.dumps(shaping, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _shapes_output(group: type[BaseModel], name: str) -> bool:
    extra = group.model_fields[name].json_schema_extra
    return bool(extra["shapes_output"]) if isinstance(extra, dict) else True
