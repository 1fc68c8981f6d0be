"""Clips whose frames change size: what is said of it, however many sizes there are."""

import pytest

from clipfleet.options import PrepareOptions
from tests.integration.test_media import cut
from tests.support import clips


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (2, "(192×128 and 208×128)"),
        (4, "(192×128 and 208×128 and 224×128 and 240×128)"),
        (9, "(192×128 and 208×128 and 224×128 and 240×128 and 5 more)"),
    ],
)
def test_a_few_of_a_clips_sizes_are_named(count: int, said: str) -> None:
    parts = [
        clips.encode(
            4, codec="mjpeg", container="mjpeg", pixel_format="yuvj420p", size=(192 + 16 * n, 128)
        )
        for n in range(count)
    ]

    found, _ = cut(b"".join(parts), prepare=PrepareOptions(sampling_fps=25))

    assert found.warnings == [f"its frames change size {said}: all are shown at the first's"]
