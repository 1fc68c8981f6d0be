"""A clip of which too little can be decoded is an error, with the share that was asked for."""

import pytest

from clipfleet.errors import ClipUnreadable
from clipfleet.settings import ClipLimits
from clipfleet_workers.media.limits import Guard
from tests.support import clips
from tests.support.corpus.damage import mjpeg, overwritten
from tests.support.cutting import cut_bytes

# Each frame for itself, in one piece: what is spoiled is one frame.
X264 = {"preset": "veryfast", "g": "1", "bf": "0", "threads": "1"}


def spoiled(good: int, *, of: int = 40) -> bytes:
    """A clip of which the first `good` frames are whole, and the rest is zeros."""
    data = bytearray(clips.encode(of, options=X264))
    content = data.index(b"mdat") + 4
    at = content
    frame = 0
    while frame < of:
        length = int.from_bytes(data[at : at + 4])
        if data[at + 4] & 0x1F == 5:
            if frame >= good:
                data[at + 5 : at + 4 + length] = bytes(length - 1)
            frame += 1
        at += 4 + length
    return bytes(data)


@pytest.mark.parametrize("good", [0, 1, 10, 19])
def test_a_clip_that_is_mostly_lost_is_an_error(good: int) -> None:
    with pytest.raises(ClipUnreadable) as refusal:
        cut_bytes(spoiled(good))

    few = f"only {good} of 40 frames can be decoded, less than a share of 0.5"
    none = "it holds no frame that can be decoded"
    few += " (setting clip_limits.min_decodable_share)"
    assert str(refusal.value) == (few if good else none)


@pytest.mark.parametrize("good", [20, 21, 39])
def test_a_clip_that_is_mostly_whole_is_cut_with_a_warning(good: int) -> None:
    found = cut_bytes(spoiled(good))

    assert found.source.num_frames == good
    assert [warning for warning in found.warnings if "damaged" in warning]


def test_stills_of_which_most_have_errors_are_shown_and_said_to_have_them() -> None:
    """As cameras write them: each fails a strict check, and shows what there is."""
    found = cut_bytes(overwritten(mjpeg(), range(20, 110)))

    assert found.source.num_frames == 120
    assert found.warnings == [
        "90 of 120 frames have errors in them, and are shown as far as they can be decoded"
    ]


def test_the_share_is_a_setting() -> None:
    assert cut_bytes(spoiled(10), min_decodable_share=0.2).source.num_frames == 10
    with pytest.raises(ClipUnreadable, match=r"less than a share of 0.9"):
        cut_bytes(spoiled(30), min_decodable_share=0.9)


def test_no_share_asked_for_still_needs_one_frame() -> None:
    with pytest.raises(ClipUnreadable, match=r"^it holds no frame that can be decoded$"):
        Guard(ClipLimits.model_construct(min_decodable_share=0.0)).decodable(0, 40)
