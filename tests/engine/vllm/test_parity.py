"""vLLM, as our worker drives it, writes the tokens that the model authors' own code writes."""

import pytest

from clipfleet import prompts
from clipfleet_workers.inference.engine import Video
from clipfleet_workers.inference.positions import authors_positions
from clipfleet_workers.inference.vllm_engine.engine import VllmEngine
from clipfleet_workers.inference.weights import MINI_FOLDER
from tests.support.meaning.engine import LONGEST, our_tokens
from tests.support.meaning.reference import Reference
from tests.support.meaning.windows import cut_windows
from tests.support.samples import copy_samples

QUESTION = prompts.CAPTION["default"]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return list(cut_windows(copy_samples(tmp_path_factory.mktemp("parity"), count=12)))


def test_every_token_is_the_same_in_float32(windows: list[Video], vllm_mini: VllmEngine) -> None:
    shapes = {video.frames.shape for video in windows}
    assert len(windows) >= 50
    assert len({shape[1:3] for shape in shapes}) >= 4, "sizes"
    assert len({shape[0] for shape in shapes}) >= 8, "numbers of frames"
    ours = our_tokens(vllm_mini, windows)
    reference = Reference(MINI_FOLDER, "float32")

    with authors_positions():
        theirs = [reference.tokens(video, QUESTION, most=LONGEST) for video in windows]

    assert ours == theirs
