"""A clip that is a part of its file."""

import io

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import onepass
from tests.support import clips


def cut(span_s: tuple[float, float] | None, *, frames: int = 300) -> onepass.CutClip:
    """Of a clip of 30 frames a second; `windows` are kept in `made`."""
    made.clear()
    data = clips.encode(frames, options={"preset": "ultrafast", "g": "30"})
    return onepass.cut(
        io.BytesIO(data),
        prepare=PrepareOptions(window_size=60, remainder_threshold=30),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=made.append,
        span_s=span_s,
    )


made: list[onepass.Window] = []


def test_frames_are_numbered_from_the_spans_first_and_are_those_of_the_whole() -> None:
    cut(None)
    whole = {n: f for w in made for n, f in zip(w.frames.indices, w.frames.frames, strict=True)}
    clip = cut((2.0, 6.0))
    assert clip.span is not None
    assert (clip.span.start_s, clip.span.end_s, clip.span.num_frames) == (2.0, 6.0, 120)
    assert [(w.start_frame, w.end_frame) for w in clip.windows] == [(0, 59), (60, 119)]
    assert clip.source.num_frames == 300
    for window in made:
        for number, time_s, frame in zip(
            window.frames.indices, window.frames.times_s, window.frames.frames, strict=True
        ):
            assert time_s == pytest.approx(number / 30)
            if number + 60 in whole:
                assert np.array_equal(frame, whole[number + 60]), number


@pytest.mark.parametrize(
    ("span_s", "frames"), [((9.9, 60.0), 3), ((20.0, 30.0), 0), ((1.0, 1.05), 2)]
)
def test_a_span_of_too_few_frames_has_no_window(span_s: tuple[float, float], frames: int) -> None:
    clip = cut(span_s)
    assert clip.windows == []
    assert clip.span is not None
    assert clip.span.num_frames == frames


def test_a_span_to_beyond_the_end_ends_with_the_file() -> None:
    clip = cut((8.0, 60.0))
    assert clip.span is not None
    assert clip.span.num_frames == 60
    assert clip.span.end_s == pytest.approx(10.0)


@pytest.mark.parametrize("codec", ["h264", "mov"])
def test_a_span_lies_as_what_was_said_before_it_has_it(codec: str) -> None:
    data = turned_in_band() if codec == "h264" else clips.encode(90, turn_clockwise=90)

    whole, part = (shape(data, span_s) for span_s in (None, (1.0, 2.5)))

    assert part == whole
    assert part[2] in (90, 270)


def shape(data: bytes, span_s: tuple[float, float] | None) -> tuple[int, int, int]:
    clip = onepass.cut(
        io.BytesIO(data),
        prepare=PrepareOptions(),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=lambda _: None,
        span_s=span_s,
    )
    return clip.source.width, clip.source.height, clip.source.rotation_degrees


def turned_in_band() -> bytes:
    """One key frame, whose own message says how all lie (H.264, D.2.27)."""
    options = {"preset": "ultrafast", "g": "600", "threads": "1"}
    with av.open(io.BytesIO(clips.encode(90, options=options)), "r") as source:
        stream = source.streams.video[0]
        turn = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", stream)
        out = io.BytesIO()
        with av.open(out, "w", format="mp4") as target:
            taken = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                for turned in turn.filter(packet if packet.size else None):
                    turned.stream = taken
                    target.mux(turned)
    return out.getvalue()
