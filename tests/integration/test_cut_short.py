"""Files that were cut short, or hold what was there before them: what is left of them is found."""

from typing import Any

import pytest

from tests.support import clips
from tests.support.cutting import cut_bytes

# One key frame, so that a fragment holds all.
ONE_GOP = {"preset": "ultrafast", "g": "600", "threads": "1"}
PLAIN: dict[str, Any] = {"options": ONE_GOP}
FRAGMENTED: dict[str, Any] = {
    "container_options": {"movflags": "frag_keyframe+empty_moov"},
    "sound": True,
}
FIRST_THE_INDEX: dict[str, Any] = {"container_options": {"movflags": "faststart"}}


@pytest.mark.parametrize("made", [FRAGMENTED, FIRST_THE_INDEX], ids=["fragmented", "plain"])
def test_what_is_left_of_an_mp4_is_found_and_it_is_said_to_be_cut_short(
    made: dict[str, Any],
) -> None:
    whole = clips.encode(150, **PLAIN, **made)
    content = whole.index(b"mdat")
    video_bytes = len(clips.encode(150, **PLAIN))

    found = cut_bytes(whole[: content + video_bytes * 2 // 3])

    assert found.source.num_frames >= 80
    assert "the file is cut short: it ends before the end that it states" in found.warnings


@pytest.mark.parametrize("junk", [bytes(300_000), b"\x47" + bytes(299_999)], ids=["zeros", "junk"])
@pytest.mark.parametrize("at", [0.4, 1.0], ids=["in the middle", "at the end"])
def test_a_transport_stream_goes_on_behind_what_is_none_of_it(junk: bytes, at: float) -> None:
    whole = clips.encode(60, container="mpegts", options={"preset": "ultrafast", "g": "10"})
    place = int(len(whole) // 188 * at) * 188

    found = cut_bytes(whole[:place] + junk + whole[place:])

    assert found.source.num_frames == 60
    assert found.warnings == []


@pytest.mark.parametrize("container", ["matroska", "avi", "flv", "asf"])
def test_a_file_whose_end_was_never_written_is_said_to_be_so(container: str) -> None:
    options = {"preset": "ultrafast", "g": "10", "bf": "0", "threads": "1", "b": "8M"}
    whole = clips.encode(90, container=container, options=options)
    written = len(whole) * 3 // 10

    found = cut_bytes(whole[:written] + bytes(len(whole) - written))

    assert found.source.num_frames < 45
    said = "the file was never written whole: it ends in 64 KiB or more of zeros"
    assert said in found.warnings
    assert cut_bytes(whole).warnings == []
