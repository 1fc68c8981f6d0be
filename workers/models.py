"""The registry of models: where their weights are and what they need. Adding one is one entry."""

from dataclasses import dataclass
from pathlib import Path

from clipfleet.errors import ModelUnavailable
from clipfleet.options import EnhanceVariant, ModelVariant
from workers.media.grid import QWEN2_5_VL, Grid


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model: its repository and pinned revision, the frames it takes, and its context.

    `grid` is None for models that see no frames. `repository` is None for the model that comes
    with clipfleet. `repetition_penalty` is what Qwen's own settings have.
    """

    name: str
    repository: str | None
    revision: str
    grid: Grid | None
    max_model_tokens: int
    dtype: str = "bfloat16"
    repetition_penalty: float = 1.05


MINI_FOLDER = Path(__file__).parent / "engines" / "mini"
# Few patches a frame, so that it answers in a second on two cores; it was trained at these sizes.
MINI_GRID = Grid(factor=28, min_pixels=16 * 784, max_pixels=32 * 784, max_total_pixels=1536 * 784)

_MODELS = (
    Model(
        name=ModelVariant.QWEN,
        repository="Qwen/Qwen2.5-VL-7B-Instruct",
        revision="cc594898137f460bfe9f0759e9844b3ce807cfb5",
        grid=QWEN2_5_VL,
        max_model_tokens=32_768,
    ),
    Model(
        name=EnhanceVariant.QWEN_LM,
        repository="Qwen/Qwen2.5-14B-Instruct",
        revision="cf98f3b3bbb457ad9e2bb7baf9a0125b6b88caa8",
        grid=None,
        max_model_tokens=16_384,
    ),
    Model(
        name=ModelVariant.MINI,
        repository=None,
        revision="8a6f87f453d3",  # of the weights' SHA-256
        grid=MINI_GRID,
        max_model_tokens=8192,
        dtype="float32",
        repetition_penalty=1.0,  # a rewrite repeats what it rewrites
    ),
)
_MODEL_DIR_FLAGS = "--captioning-model-dir (--enhance-captions-model-dir)"

MODELS = {model.name: model for model in _MODELS}


def find(variant: str) -> Model:
    """The model of a variant. Raises `ModelUnavailable` for one that this version has not."""
    try:
        return MODELS[variant]
    except KeyError:
        known = ", ".join(sorted(MODELS))
        raise ModelUnavailable(
            f"the model {variant} is not built into this version yet; it has: {known}"
        ) from None


LOCAL_REVISION = "local folder, revision unknown"


def weights(model: Model, *, model_dir: str | None, cache_dir: Path) -> tuple[Path, str]:
    """The folder with the model's weights and their revision.

    Downloaded on first use, once per machine. `model_dir` is a folder that holds them
    already. Raises `ModelUnavailable`, naming the folder to put weights in, where they cannot be
    had.
    """
    if model_dir is not None:
        if not (Path(model_dir) / "config.json").is_file():
            raise ModelUnavailable(f"{model_dir} holds no model: there is no config.json in it")
        return Path(model_dir), LOCAL_REVISION
    if model.repository is None:
        return MINI_FOLDER, model.revision
    return _download(model, model.repository, cache_dir / "models")


def _download(model: Model, repository: str, cache: Path) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download

    by_hand = cache / repository.replace("/", "--")
    if (by_hand / "config.json").is_file():
        return by_hand, LOCAL_REVISION
    try:  # hub files are locked one by one, so workers starting together download each once
        found = snapshot_download(repository, revision=model.revision, cache_dir=cache / "hub")
    except Exception as error:
        raise ModelUnavailable(
            f"the weights of {model.name} ({repository}, revision {model.revision[:8]}) "
            f"are not on this machine and cannot be downloaded ({type(error).__name__}). "
            f"Put them in {by_hand}, or name their folder with {_MODEL_DIR_FLAGS}"
        ) from None
    return Path(found), model.revision
