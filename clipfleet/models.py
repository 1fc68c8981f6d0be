"""The registry of models: where their weights are and what they need. Adding one is one entry.

Data alone: producers read it to check what is asked for, workers to load it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clipfleet.grid import QWEN2_5_VL, QWEN3_VL, TILE_512, Grid
from clipfleet.suggestions import did_you_mean


@dataclass(frozen=True, kw_only=True)
class Family:
    """What models of one architecture share: how frames become tokens, and the form of a chat.

    Each step of `frames_per_step` frames is a token for each square of `token_side_px` pixels, and
    `tokens_around` more that say its time. `whole_ms`: its processor truncates the time between
    frames to whole milliseconds. `resizes`: its processor has an argument that leaves frames at
    their size. `prefix_caching`: vLLM can reuse the KV cache of a common beginning of prompts.

    `system` is put before every system prompt; `template` are arguments of the chat template.
    `remote_code`: its repository has model code of its own. `fix_positions`: transformers numbers
    its positions differently from its authors (see `clipfleet_workers.inference.positions`).
    `reference_name` is what the reference system calls its models in records, where that is not
    their own name.
    `vllm_classes` are ours, which read frames as bytes, in place of vLLM's: by architecture, as
    "MODULE:CLASS" in `clipfleet_workers.inference.vllm_engine`.
    """

    name: str
    frames_per_step: int = 1
    token_side_px: int = 1
    tokens_around: int = 0
    whole_ms: bool = False
    resizes: bool = True
    prefix_caching: bool = True
    system: str | None = None
    template: Mapping[str, bool] = field(default_factory=dict)
    remote_code: bool = False
    fix_positions: bool = False
    reference_name: str | None = None
    vllm_classes: Mapping[str, str] = field(default_factory=dict)

    def count_tokens(self, *, num_frames: int, height_px: int, width_px: int) -> int:
        """How many tokens of a prompt the frames of a window are."""
        steps = -(-num_frames // self.frames_per_step)
        squares = (height_px // self.token_side_px) * (width_px // self.token_side_px)
        return steps * (squares + self.tokens_around)


QWEN2_5_VL_FAMILY = Family(
    name="qwen2.5-vl",
    frames_per_step=2,
    token_side_px=28,
    fix_positions=True,
    vllm_classes={"Qwen2_5_VLForConditionalGeneration": "raw_frames:RawQwen2_5VL"},
)
# Each step begins with its time, "<12.3 seconds>", between two special tokens.
QWEN3_VL_FAMILY = Family(
    name="qwen3-vl",
    frames_per_step=2,
    token_side_px=32,
    tokens_around=16,
    vllm_classes={"Qwen3VLForConditionalGeneration": "raw_frames:RawQwen3VL"},
)
# A frame is one tile of 512 × 512, which is 256 tokens; its number and time are text. As a hybrid
# Mamba model it crashed vLLM 0.32 on a CPU with prefix caching.
NEMOTRON_VL_FAMILY = Family(
    name="nemotron-vl",
    token_side_px=32,
    tokens_around=32,
    whole_ms=True,
    resizes=False,
    prefix_caching=False,
    system="/no_think",
    remote_code=True,
    reference_name="nemotron",
)
QWEN2_5_FAMILY = Family(name="qwen2.5")
QWEN3_FAMILY = Family(name="qwen3", template={"enable_thinking": False})


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model: its repository and pinned revision, the sizes of its frames, and how it is run.

    `grid` is None for models that see no frames. `repository` is None for the model that comes
    with clipfleet; where it begins with "/" it is a folder. `max_model_tokens` limits prompt and
    answer together. `repetition_penalty` is the model's own default. `needs_capability` is the
    lowest CUDA compute capability that runs it, and `instead` the model to use on an older GPU.
    `caveat` is a warning about what it writes: runs print it first, and records keep it.
    """

    name: str
    family: Family
    repository: str | None
    revision: str
    grid: Grid | None = None
    max_model_tokens: int
    dtype: str = "bfloat16"
    repetition_penalty: float = 1.0
    needs_capability: tuple[int, int] | None = None
    instead: str | None = None
    caveat: str = ""

    @property
    def identity(self) -> str:
        """The name of its weights: models of one identity write the same captions."""
        return f"{self.repository or self.name}@{self.revision}"


# Few patches a frame, so that `mini` answers in a second on two cores; the sizes it was trained at.
MINI_GRID = Grid(factor=28, min_pixels=16 * 784, max_pixels=32 * 784, max_total_pixels=1536 * 784)

_NEMOTRON = Model(
    name="nemotron",
    family=NEMOTRON_VL_FAMILY,
    repository="nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16",
    revision="5d250e2e111dc5e1434131bdf3d590c27a878ade",
    grid=TILE_512,
    max_model_tokens=32_768,
)

_MODELS = (
    Model(
        name="qwen",
        family=QWEN2_5_VL_FAMILY,
        repository="Qwen/Qwen2.5-VL-7B-Instruct",
        revision="cc594898137f460bfe9f0759e9844b3ce807cfb5",
        grid=QWEN2_5_VL,
        max_model_tokens=32_768,
        repetition_penalty=1.05,
    ),
    Model(
        name="qwen3",
        family=QWEN3_VL_FAMILY,
        repository="Qwen/Qwen3-VL-8B-Instruct",
        revision="0c351dd01ed87e9c1b53cbc748cba10e6187ff3b",
        grid=QWEN3_VL,
        max_model_tokens=32_768,
    ),
    _NEMOTRON,
    replace(_NEMOTRON, name="nemotron-bf16"),
    replace(
        _NEMOTRON,
        name="nemotron-fp8",
        repository="nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-FP8",
        revision="7394488badb786e1decc0e00e308de1cab9560e6",
        needs_capability=(8, 9),
        instead="nemotron-bf16",
    ),
    replace(
        _NEMOTRON,
        name="nemotron-nvfp4",
        repository="nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-NVFP4-QAD",
        revision="b8d3c170d9ee3a078917ef9bfd508eff988d6de7",
        needs_capability=(10, 0),
        instead="nemotron-fp8",
    ),
    Model(
        name="qwen_lm",
        family=QWEN2_5_FAMILY,
        repository="Qwen/Qwen2.5-14B-Instruct",
        revision="cf98f3b3bbb457ad9e2bb7baf9a0125b6b88caa8",
        max_model_tokens=16_384,
        repetition_penalty=1.05,
    ),
    Model(
        name="qwen3_lm",
        family=QWEN3_FAMILY,
        repository="Qwen/Qwen3-14B",
        revision="40c069824f4251a91eefaf281ebe4c544efd3e18",
        max_model_tokens=16_384,
    ),
    Model(
        name="mini",
        family=QWEN2_5_VL_FAMILY,
        repository=None,
        revision="8a6f87f453d3",  # of the weights' SHA-256
        grid=MINI_GRID,
        max_model_tokens=8192,
        dtype="float32",
        caveat=(
            "mini understands only the sample clips that `clipfleet samples` writes: what it says "
            "of any other clip means nothing. For real captions, on a machine with a GPU: "
            "--captioning-algorithm qwen --enhance-captions-algorithm qwen_lm"
        ),
    ),
)

MODELS = {model.name: model for model in _MODELS}
CAPTIONERS = tuple(model.name for model in _MODELS if model.grid is not None)
TEXT_MODELS = tuple(model.name for model in _MODELS if model.grid is None)

# In place of an enhancer's name: the model that captions.
SAME = "same"

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def find(name: str) -> Model:
    """The model called `name`: one of the registry, or LIKE:WHERE, other weights of a known kind.

    LIKE is the model in the registry whose settings apply; WHERE is the absolute path of a folder,
    or OWNER/NAME[@REVISION] on Hugging Face. Raises `ValueError`, naming the models there are.
    """
    if name in MODELS:
        return MODELS[name]
    like, colon, where = name.partition(":")
    if not colon or like not in MODELS:
        known = ", ".join(MODELS)
        raise ValueError(
            f"there is no model {name}"
            + did_you_mean(like, MODELS)
            + f"; there are {known}, and LIKE:WHERE for other weights of one's kind, such as "
            "qwen3:Qwen/Qwen3-VL-4B-Instruct or qwen:/models/ours"
        )
    if where.startswith("/"):
        return replace(MODELS[like], name=name, repository=where, revision="folder")
    if not _REPOSITORY.fullmatch(where):
        raise ValueError(
            f"{where} is neither a folder by its absolute path nor OWNER/NAME[@REVISION]"
        )
    repository, _, revision = where.partition("@")
    return replace(MODELS[like], name=name, repository=repository, revision=revision or "main")


def reference_name(key: str) -> str:
    """The model's name in the reference system's fields of records, such as {qwen}_caption.

    `key` is its key in a record's `models`: its name, with a number behind "#" where it is not the
    only one of that name.
    """
    name = re.split("[:#]", key, maxsplit=1)[0]
    model = MODELS.get(name)
    return (model.family.reference_name if model else None) or name


def check_captioner(name: str) -> str:
    """`name`, if that model sees frames. Raises `ValueError`."""
    if find(name).grid is None:
        captioners = ", ".join(CAPTIONERS)
        raise ValueError(f"{name} sees no frames and cannot caption; these can: {captioners}")
    return name


def check_enhancer(name: str) -> str:
    """`name`, if it is a model or "same". Raises `ValueError`."""
    return name if name == SAME else find(name).name
