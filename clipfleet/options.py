"""What can be asked for: names, defaults, units, limits, and the flag that sets each.

Names and defaults are those of the reference system (NVIDIA NeMo Curator's video captioning).
The command line is generated from these models, so the two cannot differ.
"""

import enum
import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from clipfleet.errors import NewerVersion
from clipfleet.models import CAPTIONERS, SAME, TEXT_MODELS, check_captioner, check_enhancer, find

# Goes up with every option that there is or is no longer, or that means something else.
OPTIONS_VERSION = 1

PromptVariant = Literal["default", "av", "av-surveillance"]
FrameEncoding = Literal["auto", "raw", "zstd", "jpeg444"]
EnhancePromptVariant = Literal["default", "av-surveillance"]


# Products, by the names that their recipes have in records.
WINDOWS, CLIP, PREVIEW = "windows", "clip", "preview"
# The name of the caption that every window has, and of its enhanced one.
DEFAULT = "default"


def caption_of(name: str) -> str:
    """The product that is the caption of this name."""
    return f"caption:{name}"


def enhanced_of(name: str) -> str:
    """The product that is the enhanced caption of this name."""
    return f"enhanced:{name}"


class Shapes(enum.StrEnum):
    """What an option shapes."""

    WINDOWS = "windows"  # which frames are a window
    PREVIEW = "preview"  # and so on: what is made of windows
    CAPTION = "caption"
    ENHANCED = "enhanced"
    CHOICE = "choice"  # which of these are made
    NOTHING = "nothing"  # how fast they are made, and what is said of it


def option(
    default: Any, description: str, *, flag: str, shapes: Shapes | None = None, **limits: Any
) -> Any:
    """A field with its flag. It shapes what its group is about, where nothing else is said."""
    extra: dict[str, JsonValue] = {"flag": flag, "shapes": shapes}
    return Field(default, description=description, json_schema_extra=extra, **limits)


class Group(BaseModel):
    """A frozen set of options about one thing; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)

    about: ClassVar[Shapes]

    @classmethod
    def shaped_by(cls, name: str) -> Shapes:
        """What the option of this name shapes."""
        extra = cls.model_fields[name].json_schema_extra
        said = extra.get("shapes") if isinstance(extra, dict) else None
        return Shapes(str(said)) if said else cls.about

    def chosen(self) -> dict[str, JsonValue]:
        """The options that are not at their default, but those that shape nothing."""
        chosen = self.model_dump(mode="json", exclude_defaults=True)
        return {n: v for n, v in chosen.items() if self.shaped_by(n) is not Shapes.NOTHING}


class PrepareOptions(Group):
    """How a clip is cut into windows and sampled."""

    about = Shapes.CAPTION

    sampling_fps: Annotated[float, Field(gt=0, le=240)] = option(
        2.0, "Frames sampled for the model, per second.", flag="--captioning-sampling-fps"
    )
    window_size: Annotated[int, Field(ge=4, le=100_000)] = option(
        256,
        "Window length, in source frames.",
        flag="--captioning-window-size",
        shapes=Shapes.WINDOWS,
    )
    remainder_threshold: Annotated[int, Field(ge=4, le=100_000)] = option(
        128,
        "A remainder of at least this many source frames is a window of its own; "
        "a shorter one extends the last window.",
        flag="--captioning-remainder-threshold",
        shapes=Shapes.WINDOWS,
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
        "auto is zstd in a remote store and raw in a folder.",
        flag="--captioning-frame-encoding",
    )
    generate_previews: bool = option(
        True,
        "Make an animated WebP preview of each window.",
        flag="--generate-previews/--no-generate-previews",
        shapes=Shapes.CHOICE,
    )
    generate_captions: bool = option(
        True,
        "Caption each window. Without captions no model is loaded, and no GPU is needed.",
        flag="--generate-captions/--no-generate-captions",
        shapes=Shapes.CHOICE,
    )
    upload_clips: bool = option(
        False,
        "Also copy each clip to clips/ in the output.",
        flag="--upload-clips/--no-upload-clips",
        shapes=Shapes.CHOICE,
    )
    verbose: bool = option(
        False,
        "Log every step; show tracebacks.",
        flag="--verbose/--no-verbose",
        shapes=Shapes.NOTHING,
    )


class PreviewOptions(Group):
    """How previews look."""

    about = Shapes.PREVIEW

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
        shapes=Shapes.NOTHING,
    )


class CaptionOptions(Group):
    """Which model captions, and how."""

    about = Shapes.CAPTION

    model_variant: Annotated[str, AfterValidator(check_captioner)] = option(
        "qwen",
        f"Caption model: {', '.join(CAPTIONERS)}, or LIKE:WHERE for other weights of one's kind, a "
        "folder or a Hugging Face repository.",
        flag="--captioning-algorithm",
    )
    model_dir: str | None = option(
        None,
        "Folder of model weights, in place of the download cache.",
        flag="--captioning-model-dir",
        shapes=Shapes.NOTHING,
    )
    prompt_variant: PromptVariant = option(
        "default", "Built-in caption prompt.", flag="--captioning-prompt-variant"
    )
    prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None,
        "Your own caption prompt, over the variant; @FILE for a file's. See `clipfleet prompts`.",
        flag="--captioning-prompt-text",
    )
    caption_batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        16,
        "Windows that one engine works on at once.",
        flag="--captioning-batch-size",
        shapes=Shapes.NOTHING,
    )
    fp8: bool = option(
        False,
        "Quantize the caption model's weights to fp8 (GPU only).",
        flag="--captioning-fp8/--no-captioning-fp8",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=32_768)] = option(
        512, "Longest caption, in tokens.", flag="--captioning-max-output-tokens"
    )
    disable_mmcache: bool = option(
        False,
        "Turn off the engine's cache of processed frames.",
        flag="--captioning-disable-mmcache/--no-captioning-disable-mmcache",
        shapes=Shapes.NOTHING,
    )
    generate_stage2_caption: bool = option(
        False,
        "Ask a second time, with the first caption at hand.",
        flag="--captioning-stage2/--no-captioning-stage2",
    )
    stage2_prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None,
        "Your own prompt for the second pass; {caption} is where the first one goes.",
        flag="--captioning-stage2-prompt-text",
    )


class EnhanceOptions(Group):
    """Which model enhances the captions, and how."""

    about = Shapes.ENHANCED

    enabled: bool = option(
        False,
        "Enhance each caption with a language model.",
        flag="--enhance-captions/--no-enhance-captions",
        shapes=Shapes.CHOICE,
    )
    model_variant: Annotated[str, AfterValidator(check_enhancer)] = option(
        "qwen_lm",
        f"Enhancer: {', '.join(TEXT_MODELS)}, any caption model, LIKE:WHERE, or same: the model "
        "that captions, on one engine.",
        flag="--enhance-captions-algorithm",
    )
    model_dir: str | None = option(
        None,
        "Folder of its weights, in place of the download cache.",
        flag="--enhance-captions-model-dir",
        shapes=Shapes.NOTHING,
    )
    prompt_variant: EnhancePromptVariant = option(
        "default", "Built-in prompt for enhancing.", flag="--enhance-captions-prompt-variant"
    )
    prompt_text: Annotated[str, Field(max_length=32_768)] | None = option(
        None,
        "Your own prompt for enhancing, over the variant; @FILE for a file's.",
        flag="--enhance-captions-prompt-text",
    )
    model_batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        128,
        "Captions in flight on one engine.",
        flag="--enhance-captions-batch-size",
        shapes=Shapes.NOTHING,
    )
    fp8: bool = option(
        False,
        "Quantize its weights to fp8 (GPU only).",
        flag="--enhance-captions-fp8/--no-enhance-captions-fp8",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=32_768)] = option(
        512, "Longest enhanced caption, in tokens.", flag="--enhance-captions-max-output-tokens"
    )


class Options(Group):
    """Everything a run can be asked for. The hash names the output that these options give."""

    prepare: PrepareOptions = PrepareOptions()
    preview: PreviewOptions = PreviewOptions()
    caption: CaptionOptions = CaptionOptions()
    enhance: EnhanceOptions = EnhanceOptions()

    @model_validator(mode="after")
    def _can_be_done(self) -> "Options":
        if self.contradiction:
            raise ValueError(self.contradiction)
        return self

    @property
    def contradiction(self) -> str:
        """Which of the options cannot be had together; empty where all can."""
        if self.prepare.generate_captions:
            return ""
        if self.enhance.enabled:
            return (
                "--no-generate-captions leaves nothing to enhance: --enhance-captions goes with "
                "--generate-captions"
            )
        if not (self.prepare.generate_previews or self.prepare.upload_clips):
            return (
                "--no-generate-captions and --no-generate-previews leave nothing to make: leave "
                "one of them out"
            )
        return ""

    def to_json(self) -> str:
        """As they lie in the store: with the version that they are of."""
        return json.dumps({"version": OPTIONS_VERSION, **self.model_dump(mode="json")}, indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> "Options":
        """The options that lie in the store.

        Raises `NewerVersion` where a newer clipfleet wrote them, whatever else they hold, and
        pydantic's `ValidationError` where they hold unknown ones, which may shape the output.
        """
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return cls.model_validate_json(data)
        version = found.pop("version", OPTIONS_VERSION) if isinstance(found, dict) else None
        if type(version) is int and version > OPTIONS_VERSION:
            raise NewerVersion(
                f"options of version {version} are left to a newer clipfleet; this one reads up "
                f"to {OPTIONS_VERSION}"
            )
        return cls.model_validate_json(json.dumps(found))  # which takes no half letters

    @property
    def enhancer(self) -> tuple[str, bool, str | None]:
        """(model, fp8, model_dir) of the enhancer; the caption model's for "same"."""
        wanted = self.caption if self.enhance.model_variant == SAME else self.enhance
        return wanted.model_variant, wanted.fp8, wanted.model_dir

    @property
    def one_engine(self) -> bool:
        """Whether captions and enhanced captions come from the same loaded model."""
        caption = self.caption
        return (caption.model_variant, caption.fp8, caption.model_dir) == self.enhancer

    @property
    def caveats(self) -> list[str]:
        """What must be known of the models before their words are believed."""
        wanted = {self.caption.model_variant} if self.prepare.generate_captions else set()
        wanted |= {self.enhancer[0]} if self.enhance.enabled else set()
        said = (find(name).caveat for name in sorted(wanted))
        return list(dict.fromkeys(caveat for caveat in said if caveat))

    @property
    def hash(self) -> str:
        """The name of these options: 16 hex digits over those that shape the output; weights.

        Only those count that are not at their default: a new option changes no name.
        """
        groups = {name: getattr(self, name).chosen() for name in type(self).model_fields}
        chosen = {name: options for name, options in groups.items() if options}
        models = {"caption": self.caption.model_variant, "enhance": self.enhancer[0]}
        weights = {step: find(name).identity for step, name in models.items()}
        return _hash({**chosen, "weights": weights})

    @property
    def recipes(self) -> dict[str, str]:
        """The recipe of each product that is asked for, 16 hex digits, by the product's name.

        Products of one recipe are the same: it is over the options that shape the product and are
        not at their default, the recipe of what it is made from, and the model's weights.
        """
        captioner, enhancer = self.caption.model_variant, self.enhancer[0]
        windows = self._recipe(Shapes.WINDOWS)
        caption = self._recipe(Shapes.CAPTION, of=windows, weights=find(captioner).identity)
        found = {WINDOWS: windows}
        if self.prepare.upload_clips:
            found[CLIP] = _hash({})
        if self.prepare.generate_previews:
            found[PREVIEW] = self._recipe(Shapes.PREVIEW, of=windows)
        if self.prepare.generate_captions:
            found[caption_of(DEFAULT)] = caption
        if self.enhance.enabled:
            weights = find(enhancer).identity
            found[enhanced_of(DEFAULT)] = self._recipe(Shapes.ENHANCED, of=caption, weights=weights)
        return found

    def _recipe(self, shaped: Shapes, *, of: str = "", weights: str = "") -> str:
        options = {
            f"{name}.{option}": value
            for name in type(self).model_fields
            for option, value in getattr(self, name).chosen().items()
            if getattr(self, name).shaped_by(option) is shaped
        }
        return _hash({"options": options, "of": of, "weights": weights})


def _hash(what: dict[str, Any]) -> str:
    canonical = json.dumps(what, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
