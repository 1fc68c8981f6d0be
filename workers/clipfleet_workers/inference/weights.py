"""Where a model's weights are on this machine; they are downloaded on first use."""

from pathlib import Path

from clipfleet.errors import ModelUnavailable
from clipfleet.models import Model

MINI_FOLDER = Path(__file__).parent / "mini"
LOCAL_REVISION = "local folder, revision unknown"
_MODEL_DIR_FLAGS = "--captioning-model-dir (--enhance-captions-model-dir)"


def find_weights(model: Model, *, model_dir: str | None, cache_dir: Path) -> tuple[Path, str]:
    """The folder with the model's weights and their revision.

    Downloaded on first use, once per machine, unless `model_dir` is a folder that has them.
    Raises `ModelUnavailable`, naming the folder to put weights in, where they cannot be had.
    """
    folder = model.repository if model.repository and model.repository.startswith("/") else None
    folder = model_dir or folder
    if folder is not None:
        if not (Path(folder) / "config.json").is_file():
            raise ModelUnavailable(f"{folder} has no model in it: there is no config.json")
        return Path(folder), LOCAL_REVISION
    if model.repository is None:
        return MINI_FOLDER, model.revision
    return _download(model, model.repository, cache_dir / "models")


def _download(model: Model, repository: str, cache: Path) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download

    by_hand = cache / repository.replace("/", "--")
    if (by_hand / "config.json").is_file():
        return by_hand, LOCAL_REVISION
    try:  # the hub locks each file, so workers that start together download it once
        found = snapshot_download(repository, revision=model.revision, cache_dir=cache / "hub")
    except Exception as error:
        raise ModelUnavailable(
            f"the weights of {model.name} ({repository}, revision {model.revision[:8]}) "
            f"are not on this machine and cannot be downloaded ({type(error).__name__}). "
            f"Put them in {by_hand}, or name their folder with {_MODEL_DIR_FLAGS}"
        ) from None
    return Path(found), Path(found).name  # a snapshot's folder is named by its commit
