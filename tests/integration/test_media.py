"""From a clip's bytes to its windows' frames: real videos, whose frames carry their numbers."""

import functools
import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from safetensors.numpy import save

from clipfleet.errors import ClipfleetError, ClipTooShort, ClipUnreadable, PackInvalid
from clipfleet.options import PrepareOptions, PreviewOptions
from tests.integration import clips
from workers.media import decode, onepass, webp
from workers.media.grid import QWEN2_5_VL
from workers.media.packs import Pack

pytestmark = pytest.mark.integration

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


def shown(data: bytes) -> tuple[decode.ClipIndex, list[clips.Image]]:
    """The clip's index, and every frame upright at its own size."""
    index = decode.index(data)
    try:
        return index, list(_images(data, index))
    except decode.FramesDiffer as differ:
        return differ.index, list(_images(data, differ.index))


def _images(data: bytes, index: decode.ClipIndex) -> Any:
    scaler = decode.Scaler(width=index.width, height=index.height)
    for expected, (number, frame) in enumerate(decode.frames(data, index)):
        assert number == expected
        out = np.empty((index.height, index.width, 3), np.uint8)
        scaler.into(frame, out)
        yield out


def cut(
    data: bytes,
    *,
    prepare: PrepareOptions | None = None,
    preview: PreviewOptions | None = None,
) -> list[onepass.Window]:
    """The clip's windows, as `prepare` cuts them."""
    how: dict[str, Any] = {
        "prepare": prepare or PrepareOptions(),
        "preview": preview or PreviewOptions(),
        "grid": QWEN2_5_VL,
    }
    index = decode.index(data)
    try:
        return list(onepass.cut(data, index, **how))
    except decode.FramesDiffer as differ:
        return list(onepass.cut(data, differ.index, **how))


KINDS: dict[str, dict[str, Any]] = {
    "H.264 in mp4": {},
    "H.264 in mp4, fragmented": {"container_options": (("movflags", "frag_keyframe+empty_moov"),)},
    "H.264 in mkv": {"container": "matroska"},
    "H.264 in mpeg-ts": {"container": "mpegts"},
    "H.264 in avi": {"container": "avi"},
    "H.264 in flv": {"container": "flv"},
    "H.264 with sound": {"sound": True},
    "H.264 in 10 bits": {"pixel_format": "yuv420p10le"},
    "H.264 of odd size": {"pixel_format": "yuv444p", "size": (191, 127)},
    "H.265 in mp4": {"codec": "libx265"},
    "VP9 in webm": {"codec": "libvpx-vp9", "container": "webm"},
    "VP9 of odd size": {"codec": "libvpx-vp9", "container": "webm", "size": (191, 127)},
    "MPEG-4 in avi": {"codec": "mpeg4", "container": "avi"},
    "MPEG-2 in mpeg-ps": {"codec": "mpeg2video", "container": "mpeg"},
    "motion JPEG in mov": {"codec": "mjpeg", "container": "mov", "pixel_format": "yuvj420p"},
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How to encode a clip, for each kind in turn; passed over where PyAV has no encoder for it."""
    how = KINDS[request.param]
    codec = how.get("codec", "libx264")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    return how


def test_every_frame_has_the_number_that_it_carries(kind: dict[str, Any]) -> None:
    _, images = shown(clip(**kind))

    assert [clips.number_in(image) for image in images] == list(range(60))


def test_the_index_has_the_clips_count_rate_size_and_length(kind: dict[str, Any]) -> None:
    index, _ = shown(clip(**kind))

    assert (index.num_frames, index.rate, index.uneven) == (60, 30.0, False)
    assert (index.width, index.height) == kind.get("size", (192, 128))
    assert index.end_time_s == pytest.approx(2.0, abs=0.002)


def test_a_whole_clip_has_no_warnings(kind: dict[str, Any]) -> None:
    assert shown(clip(**kind))[0].warnings == ()


def test_frame_times_are_those_of_the_rate(kind: dict[str, Any]) -> None:
    index, _ = shown(clip(**kind))

    assert index.times_s == pytest.approx([n / 30 for n in range(60)], abs=0.001)


def test_the_sampled_frames_of_a_window_are_those_that_its_plan_names(
    kind: dict[str, Any],
) -> None:
    (window,) = cut(clip(**kind))

    assert window.plan.frame_indices == [0, 20, 39, 59]
    assert clips.numbers_in(window.frames.frames) == [0, 20, 39, 59]


def test_the_rate_of_ntsc_is_exact_though_its_container_rounds_times() -> None:
    index = decode.index(clip(rate=Fraction(30_000, 1001), container="matroska"))

    assert index.rate == pytest.approx(30_000 / 1001)
    assert not index.uneven


WINDOWS = {
    60: [(0, 59)],
    300: [(0, 299)],  # the remainder of 44 frames extends the window
    400: [(0, 255), (256, 399)],
}


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_a_clip_has_the_windows_of_the_rule(num_frames: int) -> None:
    found = cut(clip(num_frames))

    assert [(w.plan.start_frame, w.plan.end_frame) for w in found] == WINDOWS[num_frames]


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_each_windows_pixels_are_of_the_frames_that_its_plan_names(num_frames: int) -> None:
    for window in cut(clip(num_frames)):
        assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_each_windows_samples_go_from_its_first_frame_to_its_last(num_frames: int) -> None:
    for window in cut(clip(num_frames)):
        indices = window.plan.frame_indices
        assert (indices[0], indices[-1]) == (window.plan.start_frame, window.plan.end_frame)


def test_a_window_is_sampled_at_2_frames_a_second() -> None:
    first, second = cut(clip(400))

    assert len(first.plan.frame_indices) == 18  # 17.07 made even
    assert len(second.plan.frame_indices) == 10  # 9.6


def test_the_plans_times_are_those_of_its_frames() -> None:
    _, second = cut(clip(400))

    assert second.plan.frame_times_s == pytest.approx([n / 30 for n in second.plan.frame_indices])


def test_frames_have_the_size_of_the_models_grid() -> None:
    (window,) = cut(clip(size=(320, 180)))

    assert (window.plan.grid_width, window.plan.grid_height) == (448, 252)
    assert window.frames.frames.shape == (4, 252, 448, 3)


def test_frames_have_the_clips_size_where_the_model_resizes_them() -> None:
    (window,) = cut(clip(), prepare=PrepareOptions(model_does_preprocess=True))

    assert window.frames.frames.shape == (4, 128, 192, 3)


def test_the_pack_says_the_clips_rate() -> None:
    (window,) = cut(clip(rate=24))

    assert window.frames.source_fps == 24.0


@pytest.mark.parametrize("num_frames", WINDOWS)
def test_a_previews_pixels_are_of_the_frames_that_it_names(num_frames: int) -> None:
    for window in cut(clip(num_frames)):
        assert window.preview is not None
        assert clips.numbers_in(window.preview.frames) == window.preview.indices


def test_the_previews_of_all_windows_last_as_long_as_the_clip() -> None:
    durations = [w.preview.durations_ms for w in cut(clip(400)) if w.preview is not None]

    assert sum(ms for each in durations for ms in each or []) == round(400 / 30 * 1000)


def test_a_preview_has_the_target_height() -> None:
    (window,) = cut(clip(), preview=PreviewOptions(target_height=64))

    assert window.preview is not None
    assert window.preview.frames.shape[1:] == (64, 96, 3)


def test_a_clip_lower_than_the_target_height_keeps_its_height() -> None:
    (window,) = cut(clip(), preview=PreviewOptions(target_height=240))

    assert window.preview is not None
    assert window.preview.frames.shape[1:] == (128, 192, 3)


def test_a_preview_that_was_not_asked_for_is_not_made() -> None:
    (window,) = cut(clip(), prepare=PrepareOptions(generate_previews=False))

    assert window.preview is None


COLOURS: dict[str, dict[str, Any]] = {
    "untagged": {},
    "BT.601": {"matrix": 5},
    "BT.709": {"matrix": 1},
    "full range": {"full_range": True},
    "10 bits": {"pixel_format": "yuv420p10le"},
    "4:4:4": {"pixel_format": "yuv444p"},
    "VP9": {"codec": "libvpx-vp9", "container": "webm"},
}


@pytest.mark.parametrize("how", COLOURS)
def test_flat_colours_come_out_within_4_levels(how: str) -> None:
    _, images = shown(clip(10, **COLOURS[how]))

    found = np.array(clips.colours_in(images[5]))

    assert np.abs(found - np.array(clips.COLOURS)).max() <= 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_clip_filmed_on_its_side_is_shown_upright(degrees: int) -> None:
    index, images = shown(clip(10, turn_clockwise=degrees))

    assert (index.width, index.height) == (192, 128)
    assert [clips.number_in(image) for image in images] == list(range(10))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_windows_of_a_clip_filmed_on_its_side_are_upright(degrees: int) -> None:
    (window,) = cut(clip(60, turn_clockwise=degrees))

    assert window.frames.frames.shape[1:] == (280, 392, 3)
    assert clips.numbers_in(window.frames.frames) == [0, 20, 39, 59]


# 30 frames a second, with a pause of 3 s after frame 29.
PAUSED_MS = tuple(n * 33 + (3000 if n >= 30 else 0) for n in range(60))


@pytest.fixture(params=["mp4", "matroska"])
def paused(request: pytest.FixtureRequest) -> bytes:
    """A clip that stands still for 3 s in its middle."""
    return clip(container=request.param, times_ms=PAUSED_MS)


def test_a_clip_with_a_pause_has_uneven_times(paused: bytes) -> None:
    index = decode.index(paused)

    assert index.uneven
    assert index.times_s == pytest.approx([ms / 1000 for ms in PAUSED_MS], abs=0.001)


def test_a_clip_with_a_pause_is_sampled_at_even_times(paused: bytes) -> None:
    (window,) = cut(paused)

    # 10 samples, 0.55 s apart. The nearest frames are 0, 17, 29, 29, 29, 30, 30, 30, 42 and 59;
    # where a pause leaves too few, the next free ones are taken.
    assert window.plan.frame_indices == [0, 17, 29, 30, 31, 32, 33, 34, 42, 59]


def test_a_clip_with_a_pause_gives_the_frames_that_its_plan_names(paused: bytes) -> None:
    (window,) = cut(paused)

    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    assert window.plan.frame_times_s == pytest.approx(
        [PAUSED_MS[n] / 1000 for n in window.plan.frame_indices], abs=0.001
    )


def test_the_preview_of_a_clip_with_a_pause_lasts_as_long_as_the_clip(paused: bytes) -> None:
    (window,) = cut(paused)
    index = decode.index(paused)

    assert window.preview is not None
    assert sum(window.preview.durations_ms or []) == round(index.end_time_s * 1000)


TRUNCATED: dict[str, dict[str, Any]] = {
    "mp4": {"container_options": (("movflags", "+faststart"),)},
    "mp4, fragmented": {"container_options": (("movflags", "frag_keyframe+empty_moov"),)},
    "avi": {"container": "avi", "options": (("preset", "veryfast"), ("bf", "0"))},
    "flv": {"container": "flv"},
}


def truncated(share: float = 0.75, **how: Any) -> bytes:
    """The first part of a clip of 60 frames."""
    whole = clip(**how)
    return whole[: int(len(whole) * share)]


@pytest.mark.parametrize("kind", [*TRUNCATED, "mkv", "mpeg-ts"])
def test_a_clip_whose_tail_is_missing_keeps_what_decodes(kind: str) -> None:
    others = {"mkv": {"container": "matroska"}, "mpeg-ts": {"container": "mpegts"}}
    index, images = shown(truncated(**{**TRUNCATED, **others}[kind]))

    numbers = [clips.number_in(image) for image in images]

    assert 10 <= index.num_frames == len(images) < 60
    # What the decoder makes of the one packet that was cut is not asked.
    assert [round(time * 30) for time in index.times_s][:-1] == numbers[:-1]


@pytest.mark.parametrize("kind", TRUNCATED)
def test_a_clip_whose_tail_is_missing_says_so(kind: str) -> None:
    index, _ = shown(truncated(**TRUNCATED[kind]))

    assert index.warnings
    assert all(warning.isprintable() for warning in index.warnings)


@pytest.mark.parametrize("kind", TRUNCATED)
def test_the_windows_of_a_clip_whose_tail_is_missing_are_of_the_frames_there_are(
    kind: str,
) -> None:
    data = truncated(**TRUNCATED[kind])
    index, images = shown(data)

    (window,) = cut(data)

    assert window.plan.end_frame == index.num_frames - 1
    assert clips.number_in(window.frames.frames[-1]) == clips.number_in(images[-1])


def test_a_clip_damaged_in_its_middle_keeps_what_decodes() -> None:
    whole = clip(120, container="mpegts", options=(("preset", "veryfast"), ("g", "30")))
    middle = len(whole) // 2
    index, images = shown(whole[:middle] + b"\xff" * 4000 + whole[middle + 4000 :])

    assert 60 <= index.num_frames == len(images) <= 120
    assert clips.number_in(images[-1]) == 119


def test_only_as_many_frames_as_there_are_come_from_a_clip_of_4() -> None:
    (window,) = cut(clip(4))

    assert clips.numbers_in(window.frames.frames) == [0, 1, 2, 3]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_clip_of_fewer_than_4_frames_is_too_short(num_frames: int) -> None:
    with pytest.raises(ClipTooShort, match=f"it has {num_frames} frames, .* at least 4"):
        cut(clip(num_frames))


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


def animation(num_frames: int = 5, *, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Frames with edges, slopes and noise."""
    frames = np.stack([clips.picture(n * 7, width=width, height=height) for n in range(num_frames)])
    noise = np.random.default_rng(7).integers(-20, 20, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def webp_of(
    frames: NDArray[np.uint8], durations_ms: list[int], *, level: int = 6, quality: int = 50
) -> Image.Image:
    """The animation as Pillow opens it."""
    data = webp.encode(frames, durations_ms, compression_level=level, quality=quality, threads=1)
    return Image.open(io.BytesIO(data))


DURATIONS_MS = [1000, 1, 333, 16_000, 40]


@pytest.mark.parametrize("level", range(7))
def test_a_preview_shows_each_frame_for_its_duration_at_every_level(level: int) -> None:
    opened = webp_of(animation(), DURATIONS_MS, level=level)

    found = []
    for i in range(5):
        opened.seek(i)
        opened.load()
        found.append(opened.info["duration"])

    assert found == DURATIONS_MS


@pytest.mark.parametrize("level", [0, 6])
def test_a_preview_is_a_webp_of_all_frames_that_loops_forever(level: int) -> None:
    opened: Any = webp_of(animation(), DURATIONS_MS, level=level)

    assert (opened.format, opened.n_frames, opened.info["loop"]) == ("WEBP", 5, 0)


@pytest.mark.parametrize("size", [(96, 64), (95, 63), (2, 2), (1, 1)])
@pytest.mark.parametrize("level", [0, 6])
def test_a_preview_has_its_frames_size(size: tuple[int, int], level: int) -> None:
    width, height = size

    assert webp_of(animation(width=width, height=height), DURATIONS_MS, level=level).size == size


@pytest.mark.parametrize("size", [(96, 64), (95, 63)])
def test_a_preview_at_level_0_is_bit_exact(size: tuple[int, int]) -> None:
    frames = animation(width=size[0], height=size[1])

    opened = webp_of(frames, DURATIONS_MS, level=0)

    found = [np.asarray(image.convert("RGB")) for image in ImageSequence.Iterator(opened)]
    assert np.array_equal(np.stack(found), frames)


def test_a_preview_at_level_6_is_near_to_its_frames() -> None:
    frames = animation()

    opened = webp_of(frames, DURATIONS_MS, level=6, quality=90)

    found = np.stack([np.asarray(im.convert("RGB")) for im in ImageSequence.Iterator(opened)])
    assert clips.numbers_in(found) == [0, 7, 14, 21, 28]
    for image in found:
        assert np.abs(np.array(clips.colours_in(image)) - np.array(clips.COLOURS)).max() <= 6


def test_a_preview_of_higher_quality_is_larger() -> None:
    sizes = [
        len(webp.encode(animation(), DURATIONS_MS, compression_level=4, quality=q, threads=1))
        for q in (0, 50, 100)
    ]

    assert sizes == sorted(set(sizes))


def test_frames_that_are_alike_are_all_kept() -> None:
    opened: Any = webp_of(np.repeat(animation(1), 4, axis=0), [100, 200, 300, 400])

    assert opened.n_frames == 4


def test_a_preview_of_one_frame_is_a_webp_of_one_frame() -> None:
    opened: Any = webp_of(animation(1), [2000])

    assert (opened.format, opened.n_frames) == ("WEBP", 1)


def test_a_preview_is_the_same_bytes_each_time() -> None:
    one, other = (
        webp.encode(animation(), DURATIONS_MS, compression_level=6, quality=50, threads=threads)
        for threads in (1, 4)
    )

    assert one == other


PACK = Pack(
    frames=animation(4, width=28, height=56),
    indices=[0, 20, 39, 59],
    times_s=[0.0, 2 / 3, 1.3, 59 / 30],
    source_fps=30_000 / 1001,
)
PREVIEW_PACK = Pack(
    frames=animation(2),
    indices=[15, 45],
    times_s=[0.5, 1.5],
    source_fps=30.0,
    durations_ms=[1000, 1000],
)


@pytest.mark.parametrize("pack", [PACK, PREVIEW_PACK], ids=["frames", "preview"])
def test_a_packs_pixels_read_back_bit_for_bit(pack: Pack) -> None:
    read = Pack.from_bytes(pack.to_bytes(), key="k")

    assert read.frames.dtype == np.uint8
    assert np.array_equal(read.frames, pack.frames)


@pytest.mark.parametrize("pack", [PACK, PREVIEW_PACK], ids=["frames", "preview"])
def test_a_packs_numbers_read_back_exactly(pack: Pack) -> None:
    read = Pack.from_bytes(pack.to_bytes(), key="k")

    assert (read.indices, read.times_s) == (pack.indices, pack.times_s)
    assert (read.source_fps, read.durations_ms) == (pack.source_fps, pack.durations_ms)


def test_a_pack_is_hardly_larger_than_its_pixels() -> None:
    assert len(PACK.to_bytes()) < PACK.frames.nbytes + 1000


WHOLE = PACK.to_bytes()
HEADER_END = 8 + struct.unpack_from("<Q", WHOLE)[0]
CUTS = [
    *(0, 1, 7, 8, 9),  # in the header's length, and at its end
    *(HEADER_END // 2, HEADER_END - 1, HEADER_END),  # in the header, and at its end
    *(HEADER_END + 1, (HEADER_END + len(WHOLE)) // 2, len(WHOLE) - 1),  # in the pixels
]


@pytest.mark.parametrize("length", CUTS)
def test_a_pack_that_is_cut_short_is_refused_with_its_key(length: int) -> None:
    with pytest.raises(PackInvalid, match=r"^scratch/x is "):
        Pack.from_bytes(WHOLE[:length], key="scratch/x")


def foreign(about: str | None, *, frames: NDArray[Any] = PACK.frames) -> bytes:
    """A safetensors object that is no pack."""
    metadata = None if about is None else {"clipfleet": about}
    data: bytes = save({"frames": frames}, metadata=metadata)
    return data


GOOD = '{"version": 1, "indices": [0, 20, 39, 59], "times_s": [0, 1, 2, 3], "source_fps": 30'
FOREIGN = {
    "text": b"hello " * 100,
    "zeros": bytes(1000),
    "a header longer than the object": struct.pack("<Q", 2**63) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"{]}[",
    "a header that is no object": struct.pack("<Q", 2) + b"[]",
    "bytes after the pixels": WHOLE + b"\0",
    "an mp4": struct.pack(">I", 24) + b"ftypisom" + bytes(1000),
    "no metadata": foreign(None),
    "metadata that is no JSON": foreign("{"),
    "metadata that is no object": foreign("[]"),
    "metadata that lacks a field": foreign('{"version": 1}'),
    "another version": foreign(GOOD.replace("1", "2", 1) + ', "durations_ms": null}'),
    "frames in float": foreign(
        GOOD + ', "durations_ms": null}', frames=PACK.frames.astype(np.float32)
    ),
    "frames without colour": foreign(GOOD + ', "durations_ms": null}', frames=PACK.frames[..., 0]),
    "frames with four colours": foreign(
        GOOD + ', "durations_ms": null}', frames=np.zeros((4, 8, 8, 4), np.uint8)
    ),
    "fewer frames than indices": foreign(GOOD + ', "durations_ms": null}', frames=PACK.frames[:3]),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_pack_is_refused_with_its_key(kind: str) -> None:
    with pytest.raises(PackInvalid, match=r"^scratch/x "):
        Pack.from_bytes(FOREIGN[kind], key="scratch/x")


def test_a_pack_that_the_tests_build_by_hand_is_read() -> None:
    read = Pack.from_bytes(foreign(GOOD + ', "durations_ms": null}'), key="k")

    assert np.array_equal(read.frames, PACK.frames)
