"""Which workers an embedded run starts, on which GPU, and when it gives a dying one up."""

import time
from pathlib import Path

import pytest

from clipfleet.errors import ExitCode, UsageError, WorkersFailing
from clipfleet.options import Options
from clipfleet.settings import read_settings
from producer.children import Child
from producer.embedded import SHARED_GPU, Stack, worker_kinds


def options(caption: str, enhance: str | None = None, *, previews: bool = True) -> Options:
    return Options.model_validate(
        {
            "prepare": {"generate_previews": previews},
            "caption": {"model_variant": caption, "caption_batch_size": 16},
            "enhance": {
                "enabled": enhance is not None,
                "model_variant": enhance or "qwen_lm",
                "model_batch_size": 128,
            },
        }
    )


def queues(asked: Options) -> set[tuple[str, ...]]:
    return {queue for queue, _ in worker_kinds(asked, 2)}


def test_one_worker_of_each_kind_is_started() -> None:
    assert queues(options("qwen")) == {("prepare",), ("assemble",), ("preview",), ("caption",)}


def test_no_preview_worker_without_previews() -> None:
    assert ("preview",) not in queues(options("qwen", previews=False))


def test_the_same_model_for_both_is_loaded_once() -> None:
    assert ("caption", "enhance") in queues(options("mini", "mini"))
    assert ("enhance",) not in queues(options("mini", "mini"))


def test_a_worker_with_a_model_knows_itself_how_much_to_take() -> None:
    kinds = dict(worker_kinds(options("qwen", "qwen_lm"), 2))
    assert kinds[("caption",)] is None
    assert kinds[("enhance",)] is None
    assert kinds[("prepare",)] == 1


def test_two_models_get_a_worker_each() -> None:
    assert {("caption",), ("enhance",)} <= queues(options("qwen", "qwen_lm"))


@pytest.mark.parametrize(
    ("asked", "gpus", "caption", "enhance"),
    [
        (options("qwen", "qwen_lm"), 0, {}, {}),
        (
            options("qwen", "qwen_lm"),
            1,
            {"CLIPFLEET_GPU_MEMORY_SHARE": str(SHARED_GPU)},
            {"CLIPFLEET_GPU_MEMORY_SHARE": str(SHARED_GPU)},
        ),
        (
            options("qwen", "qwen_lm"),
            2,
            {"CUDA_VISIBLE_DEVICES": "0"},
            {"CUDA_VISIBLE_DEVICES": "1"},
        ),
        (options("qwen"), 2, {}, {}),
        (options("mini", "mini"), 1, {}, {}),
    ],
)
def test_two_engines_share_the_gpus_there_are(
    asked: Options, gpus: int, caption: dict[str, str], enhance: dict[str, str], tmp_path: Path
) -> None:
    stack = Stack(read_settings(store=str(tmp_path)), asked, log_dir=tmp_path, gpus=gpus)
    assert stack._gpu_environment(("caption",)) == caption
    assert stack._gpu_environment(("enhance",)) == enhance
    assert stack._gpu_environment(("prepare",)) == {}


class Dying:
    """A stack with one child that ends at once with an exit code."""

    def __init__(self, folder: Path, script: str) -> None:
        self.stack = Stack(read_settings(store=str(folder)), options("mini"), log_dir=folder)
        self.child = Child("caption", ["/bin/sh", "-c", script], {}, folder / "log")
        self.child.start()
        self.stack._children = [self.child]

    def check(self, progress: int) -> list[str]:
        """What `check` says once the child has ended."""
        while self.child.exit_code() is None:
            time.sleep(0.01)
        return self.stack.check(progress)


def test_a_worker_that_dies_is_started_again_and_given_up_after_three_times(
    tmp_path: Path,
) -> None:
    dying = Dying(tmp_path, "echo no memory; exit 1")
    for _ in range(3):
        assert dying.check(0) == ["the caption process died (exit code 1, bug); starting another"]
    with pytest.raises(WorkersFailing, match=r"died 4 times in a row .* last words: no memory"):
        dying.check(0)


def test_deaths_with_progress_in_between_are_forgiven(tmp_path: Path) -> None:
    dying = Dying(tmp_path, "exit 1")
    for progress in range(10):
        assert len(dying.check(progress)) == 1


def test_an_error_that_a_new_start_would_meet_again_ends_the_run_with_its_words(
    tmp_path: Path,
) -> None:
    dying = Dying(tmp_path, "echo 'clipfleet-worker: no such option'; echo bye; exit 2")
    with pytest.raises(Exception, match=r"^no such option$") as refused:
        dying.check(0)
    assert getattr(refused.value, "exit_code", None) == ExitCode.USAGE == UsageError.exit_code
