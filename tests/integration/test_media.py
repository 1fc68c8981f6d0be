"""From a clip's bytes to its windows' frames: real videos, whose frames carry their numbers."""

import functools
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from clipfleet.errors import ClipfleetError, ClipUnreadable
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import onepass, opening
from clipfleet_workers.media.limits import Guard
from tests.support import clips

X264 = {"preset": "veryfast", "bf": "3", "g": "48"}  # with B-frames: shown in another order
VP9 = {"deadline": "realtime", "cpu-used": "8"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}


@functools.cache
def clip(num_frames: int = 60, **how: Any) -> bytes:
    """An encoded clip, in H.264 with B-frames unless `how` says otherwise."""
    codec = how.setdefault("codec", "libx264")
    for kind in ("options", "container_options"):
        how[kind] = dict(how.get(kind) or ())
    how["options"] = how["options"] or {"libx264": X264, "libvpx-vp9": VP9, "libx265": X265}.get(
        codec, {}
    )
    return clips.encode(num_frames, **how)


def cut(
    data: bytes,
    *,
    prepare: PrepareOptions | None = None,
    preview: PreviewOptions | None = None,
) -> tuple[onepass.CutClip, list[onepass.Window]]:
    """The clip and its windows, as `prepare` cuts them."""
    found: dict[tuple[int, int], onepass.Window] = {}

    def write(window: onepass.Window) -> None:
        found[window.plan.start_frame, window.plan.end_frame] = window

    clip = onepass.cut(
        io.BytesIO(data),
        prepare=prepare or PrepareOptions(),
        preview=preview or PreviewOptions(),
        grid=QWEN2_5_VL,
        write=write,
    )
    return clip, [found[plan.start_frame, plan.end_frame] for plan in clip.windows]


def windows_of(data: bytes, **options: Any) -> list[onepass.Window]:
    return cut(data, **options)[1]


WINDOWS = {
    60: [(0, 59)],
    300: [(0, 299)],  # the remainder of 44 frames extends the window
    400: [(0, 255), (256, 399)],
}


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_a_clip_has_the_windows_of_the_rule(num_frames: int) -> None:
    found = windows_of(clip(num_frames))

    assert [(w.plan.start_frame, w.plan.end_frame) for w in found] == WINDOWS[num_frames]


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_each_windows_pixels_are_of_the_frames_that_its_plan_names(num_frames: int) -> None:
    for window in windows_of(clip(num_frames)):
        assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_each_windows_samples_go_from_its_first_frame_to_its_last(num_frames: int) -> None:
    for window in windows_of(clip(num_frames)):
        indices = window.plan.frame_indices
        assert (indices[0], indices[-1]) == (window.plan.start_frame, window.plan.end_frame)


def test_a_window_is_sampled_at_2_frames_a_second() -> None:
    first, second = windows_of(clip(400))

    assert len(first.plan.frame_indices) == 18  # 17.07 made even
    assert len(second.plan.frame_indices) == 10  # 9.6


def test_the_plans_times_are_those_of_its_frames() -> None:
    _, second = windows_of(clip(400))

    assert second.plan.frame_times_s == pytest.approx([n / 30 for n in second.plan.frame_indices])


def test_frames_have_the_size_of_the_models_grid() -> None:
    (window,) = windows_of(clip(size=(320, 180)))

    assert (window.plan.grid_width, window.plan.grid_height) == (448, 252)
    assert window.frames.frames.shape == (4, 252, 448, 3)


def test_frames_have_the_clips_size_where_the_model_resizes_them() -> None:
    (window,) = windows_of(clip(), prepare=PrepareOptions(model_does_preprocess=True))

    assert window.frames.frames.shape == (4, 128, 192, 3)


def test_the_pack_says_the_clips_rate() -> None:
    (window,) = windows_of(clip(rate=24))

    assert window.frames.source_fps == 24.0


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_a_previews_pixels_are_of_the_frames_that_it_names(num_frames: int) -> None:
    for window in windows_of(clip(num_frames)):
        assert window.preview is not None
        assert clips.numbers_in(window.preview.frames) == window.preview.indices


def test_the_previews_of_all_windows_last_as_long_as_the_clip() -> None:
    durations = [w.preview.durations_ms for w in windows_of(clip(400)) if w.preview is not None]

    assert sum(ms for each in durations for ms in each or []) == round(400 / 30 * 1000)


def test_a_preview_has_the_target_height() -> None:
    (window,) = windows_of(clip(), preview=PreviewOptions(target_height=64))

    assert window.preview is not None
    assert window.preview.frames.shape[1:] == (64, 96, 3)


def test_a_clip_lower_than_the_target_height_keeps_its_height() -> None:
    (window,) = windows_of(clip(), preview=PreviewOptions(target_height=240))

    assert window.preview is not None
    assert window.preview.frames.shape[1:] == (128, 192, 3)


def test_a_preview_that_was_not_asked_for_is_not_made() -> None:
    (window,) = windows_of(clip(), prepare=PrepareOptions(generate_previews=False))

    assert window.preview is None


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_windows_of_a_clip_filmed_on_its_side_are_upright(degrees: int) -> None:
    (window,) = windows_of(clip(60, turn_clockwise=degrees))

    assert window.frames.frames.shape[1:] == (280, 392, 3)
    assert clips.numbers_in(window.frames.frames) == [0, 20, 39, 59]


# 30 frames a second, with a pause of 3 s after frame 29.
PAUSED_MS = tuple(n * 33 + (3000 if n >= 30 else 0) for n in range(60))


@pytest.fixture(params=["mp4", "matroska"])
def paused(request: pytest.FixtureRequest) -> bytes:
    """A clip that stands still for 3 s in its middle."""
    return clip(container=request.param, times_ms=PAUSED_MS)


def test_a_clip_with_a_pause_is_sampled_at_even_times(paused: bytes) -> None:
    (window,) = windows_of(paused)

    # 10 samples, 0.55 s apart. The nearest frames are 0, 17, 29, 29, 29, 30, 30, 30, 42 and 59;
    # where a pause leaves too few, the next free ones are taken.
    assert window.plan.frame_indices == [0, 17, 29, 30, 31, 32, 33, 34, 42, 59]


def test_a_clip_with_a_pause_gives_the_frames_that_its_plan_names(paused: bytes) -> None:
    (window,) = windows_of(paused)

    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    assert window.plan.frame_times_s == pytest.approx(
        [PAUSED_MS[n] / 1000 for n in window.plan.frame_indices], abs=0.001
    )


def test_the_preview_of_a_clip_with_a_pause_lasts_as_long_as_the_clip(paused: bytes) -> None:
    found, (window,) = cut(paused)

    assert window.preview is not None
    assert sum(window.preview.durations_ms or []) == round(found.source.duration_s * 1000)


def test_only_as_many_frames_as_there_are_come_from_a_clip_of_4() -> None:
    (window,) = windows_of(clip(4))

    assert clips.numbers_in(window.frames.frames) == [0, 1, 2, 3]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_clip_of_fewer_than_4_frames_has_no_windows_but_is_described(num_frames: int) -> None:
    found, windows = cut(clip(num_frames))

    assert windows == []
    assert (found.source.num_frames, found.source.width, found.source.height) == (
        num_frames,
        192,
        128,
    )


UNREADABLE = {
    "nothing": b"",
    "one byte": b"\0",
    "text": b"These are not the bytes you are looking for.\n" * 100,
    "zeros": bytes(100_000),
    "noise": bytes(np.random.default_rng(0).integers(0, 256, 100_000, np.uint8)),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "an mp4's first box": struct.pack(">I", 24) + b"ftypisom" + bytes(12),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_video_is_unreadable(kind: str) -> None:
    with pytest.raises(
        ClipUnreadable, match=r"it is not a video file that can be read|it holds no"
    ):
        cut(UNREADABLE[kind])


def test_an_mp4_whose_index_is_missing_is_unreadable() -> None:
    (start,) = (start for name, start, _ in clips.boxes(clip()) if name == "moov")

    with pytest.raises(ClipUnreadable, match="it is not a video file that can be read"):
        cut(clip()[:start])


def test_a_file_with_sound_alone_is_unreadable_and_says_what_it_holds() -> None:
    with pytest.raises(ClipUnreadable, match=r"it has no video stream \(it holds: audio\)"):
        cut(clips.encode_sound())


@pytest.fixture
def pointers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files that hold no media, but point to a clip in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "secret.ts"
    path.write_bytes(clip(container="mpegts"))
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "HLS, a path": hls.format(path).encode(),
        "HLS, a URL": hls.format(path.as_uri()).encode(),
        "ffconcat": b"ffconcat version 1.0\nfile secret.ts\n",
    }


@pytest.mark.parametrize("kind", ["HLS, a path", "HLS, a URL", "ffconcat"])
def test_a_playlist_named_mp4_does_not_open_what_it_points_to(
    pointers: dict[str, bytes], kind: str
) -> None:
    with pytest.raises(ClipUnreadable, match="it is not a video file that can be read"):
        cut(pointers[kind])


def test_such_a_playlist_would_be_followed_if_it_were_allowed(pointers: dict[str, bytes]) -> None:
    with av.open(io.BytesIO(pointers["ffconcat"]), "r") as followed:
        assert next(followed.decode(video=0)).width == 192


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_clips_reason_is_one_line(kind: str) -> None:
    with pytest.raises(ClipfleetError) as refusal:
        cut(UNREADABLE[kind])

    assert str(refusal.value).isprintable()


def test_streams_that_come_up_after_the_file_was_opened_end_nothing() -> None:
    """PyAV does this once in 300 damaged transport streams, by what happens to lie in memory."""

    class Container:
        def demux(self, _: object) -> Iterator[object]:
            yield SimpleNamespace(size=3)
            yield SimpleNamespace(size=0)
            raise IndexError("list index out of range")

    container: Any = Container()
    stream: Any = None

    assert [packet.size for packet in opening.packets_of(container, stream, Guard())] == [3]


def test_every_window_asks_for_the_same_room_so_that_memory_does_not_grow() -> None:
    """Of 256, 256 and 383 frames: else a longer one's room would come on top of a shorter one's."""
    found = windows_of(clip(895))
    packs = [pack for window in found for pack in (window.frames, window.preview) if pack]

    assert [len(window.plan.frame_indices) for window in found] == [18, 18, 26]
    assert {_buffer_bytes(pack.frames) for pack in packs[::2]} == {found[-1].frames.frames.nbytes}
    assert len({_buffer_bytes(pack.frames) for pack in packs[1::2]}) == 1


def _buffer_bytes(images: Any) -> int:
    while images.base is not None:
        images = images.base
    return int(images.nbytes)
