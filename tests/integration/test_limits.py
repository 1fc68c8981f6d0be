"""What a clip may ask for: each limit crossed, its one line, and the process that outlives it."""

import io
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipfleet.errors import ClipMissing, ClipTooLarge, ClipUnreadable
from clipfleet.settings import ClipLimits
from clipfleet.store import Store
from clipfleet_workers.media import demux
from clipfleet_workers.media.limits import Guard
from tests.integration.test_prepare import context_on, cut, job_for, options
from tests.support import clips, ebml, mp4_boxes
from tests.support.clock import ManualClock
from tests.support.cutting import cut_bytes

FRAMES = 60
FAST = {"preset": "ultrafast"}


@pytest.fixture(scope="module")
def data() -> bytes:
    return clips.encode(FRAMES, options=FAST)


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({"max_frames": 59}, "it has more than 59 frames (setting clip_limits.max_frames)"),
        (
            {"max_duration_s": 1.0},
            "it lasts 2 s, longer than 1 s (setting clip_limits.max_duration_s)",
        ),
        (
            {"max_frame_pixels": 192 * 128 - 1},
            "its frames are 192×128, more than 24,575 pixels "
            "(setting clip_limits.max_frame_pixels)",
        ),
        (
            {"max_decode_s": 0.0},
            "reading it takes more than 0 s (setting clip_limits.max_decode_s)",
        ),
    ],
)
def test_a_clip_beyond_a_limit_is_refused_in_one_line(
    data: bytes, limits: dict[str, Any], line: str
) -> None:
    with pytest.raises(ClipTooLarge) as refusal:
        cut_bytes(data, **limits)
    assert str(refusal.value) == line


def test_a_clip_at_its_limits_is_taken(data: bytes) -> None:
    found = cut_bytes(
        data, max_frames=FRAMES, max_duration_s=2.01, max_frame_pixels=192 * 128, max_streams=1
    )
    assert found.source.num_frames == FRAMES


def many_streams(count: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        streams = [container.add_stream("mjpeg", rate=30) for _ in range(count)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for stream in streams:
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return file.getvalue()


def test_a_file_of_many_streams_is_refused() -> None:
    with pytest.raises(ClipTooLarge, match=r"^it has more than 8 streams \(setting clip_lim"):
        cut_bytes(many_streams(9), max_streams=8)


def test_a_clip_whose_clock_is_stretched_is_refused_by_what_it_says() -> None:
    slow = clips.encode(8, container="matroska", rate=1, options=FAST)
    at = slow.index(b"\x2a\xd7\xb1") + 4  # TimestampScale: nanoseconds, in 3 bytes (RFC 9559)
    assert slow[at - 1] == 0x83
    stretched = slow[:at] + b"\xff\xff\xff" + slow[at + 3 :]
    with pytest.raises(ClipTooLarge, match=r"^it lasts 134 s, longer than 60 s"):
        cut_bytes(stretched, max_duration_s=60.0)


def test_frames_that_grow_on_the_way_are_lost_not_decoded() -> None:
    small = clips.encode(30, container="mpegts", size=(192, 128), options=FAST)
    large = clips.encode(30, container="mpegts", size=(640, 480), options=FAST)
    found = cut_bytes(small + large, max_frame_pixels=192 * 128)
    assert (found.source.width, found.source.height) == (192, 128)
    assert found.source.num_frames <= 31
    assert any("lost" in warning for warning in found.warnings)


def test_the_worker_s_settings_reach_the_clip_and_the_record_names_them(
    folder_store: Store, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    plan = cut(folder_store, path, options(), clip_limits={"max_frames": 10})
    (error,) = plan.errors
    assert (error.error, plan.windows) == ("ClipTooLarge", [])
    assert error.message == "it has more than 10 frames (setting clip_limits.max_frames)"


def test_a_pipe_in_a_clip_s_place_is_not_waited_for(folder_store: Store, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    job = job_for(pipe.as_uri(), options())
    with (
        pytest.raises(ClipMissing, match="the clip is not a file"),
        context_on(folder_store).open_clip(job),
    ):
        pass


def in_a_process(script: str) -> "subprocess.CompletedProcess[str]":
    """Limits on a process need one of their own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="held on Linux alone")
@pytest.mark.parametrize("mebibytes", [5, 10])  # too little to decode, and to scale
def test_a_clip_that_takes_too_much_memory_is_refused_and_the_process_goes_on(
    tmp_path: Path, mebibytes: int
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.encode(60, size=(1280, 720), options=FAST))
    done = in_a_process(f"""
        from clipfleet.errors import ClipTooLarge
        from clipfleet.grid import QWEN2_5_VL
        from clipfleet.options import PrepareOptions, PreviewOptions
        from clipfleet_workers.media import onepass
        from clipfleet.settings import ClipLimits
        from clipfleet_workers.media.limits import Guard, held

        def cut(memory_bytes):
            guard = Guard(ClipLimits.model_construct(max_decode_bytes=memory_bytes))
            with open({str(path)!r}, "rb") as file, held(guard):
                return onepass.cut(file, prepare=PrepareOptions(), preview=PreviewOptions(),
                                   grid=QWEN2_5_VL, write=lambda _: None, guard=guard)
        try:
            cut({mebibytes} << 20)
        except ClipTooLarge as error:
            print(error)
        print(cut(1 << 30).source.num_frames)
    """)
    assert done.stdout.splitlines() == [
        f"cutting it takes more than {mebibytes} MiB of memory "
        "(setting clip_limits.max_decode_bytes)",
        "60",
    ], done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="held on Linux alone")
def test_a_decoder_that_calls_data_invalid_for_lack_of_room_for_a_frame_meets_no_damage(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.encode(12, size=(3840, 2160), options=FAST))  # 12 MB a frame
    done = in_a_process(f"""
        from clipfleet.errors import ClipTooLarge
        from clipfleet_workers.media.decoder import Decoder
        from clipfleet_workers.media.demux import contents
        from clipfleet.settings import ClipLimits
        from clipfleet_workers.media.limits import Guard, held

        guard = Guard(ClipLimits.model_construct(max_decode_bytes=100 << 20))
        with open({str(path)!r}, "rb") as file:
            found = contents(file, guard)
            kept = []
            try:
                with held(guard):
                    decoder = Decoder(file, found, [True] * 12, guard, strict=False)
                    for place, frame in decoder.frames():
                        kept.append(frame)  # its room is not had again
                print("damaged:", sorted(decoder.failures))
            except ClipTooLarge as error:
                print(error)
    """)
    assert done.stdout.splitlines() == [
        "cutting it takes more than 100 MiB of memory (setting clip_limits.max_decode_bytes)"
    ], done.stderr


def test_a_decoder_that_hangs_ends_its_process_after_twice_the_time() -> None:
    done = in_a_process("""
        import time
        from clipfleet.settings import ClipLimits
        from clipfleet_workers.media.limits import Guard, held
        began = time.monotonic()
        with held(Guard(ClipLimits.model_construct(max_decode_s=1.0))):
            print("begun", flush=True)
            time.sleep(50)
    """)
    assert (done.stdout, done.returncode) == ("begun\n", 1)


def test_time_that_the_store_takes_is_not_the_clip_s() -> None:
    guard = Guard(ClipLimits.model_construct(max_decode_s=0.2))
    with guard.not_counted():
        threading.Event().wait(0.4)
    guard.frames(1)
    threading.Event().wait(0.4)
    with pytest.raises(ClipTooLarge):
        guard.frames(1)


@contextmanager
def listening() -> Iterator[tuple[int, list[object]]]:
    """A port, and who came."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    connection, who = server.accept()
                except TimeoutError:
                    continue
                came.append(who)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            done.set()
            thread.join()


# None of these holds media: they say where it is.
POINTERS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{}/a.ts\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile http://127.0.0.1:{}/a.ts\n",
    "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<BaseURL>http://127.0.0.1:{}/</BaseURL></MPD>",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("kind", POINTERS)
def test_a_clip_reaches_no_network(kind: str) -> None:
    with listening() as (port, came):
        with pytest.raises(ClipUnreadable, match="not a video file"):
            cut_bytes(POINTERS[kind].format(port).encode())
        threading.Event().wait(0.3)
    assert came == []


def test_such_a_playlist_would_reach_it_if_it_were_allowed() -> None:
    with listening() as (port, came):
        playlist = io.BytesIO(POINTERS["ffconcat"].format(port).encode())
        with pytest.raises(av.FFmpegError):
            av.open(playlist, "r", options={"safe": "0", "protocol_whitelist": "http,tcp,file"})
        threading.Event().wait(0.3)
    assert came


HEADERS = {
    "mp4": mp4_boxes.box("ftyp", b"isom") + mp4_boxes.box("free", b"") * 1000,
    "matroska": ebml.element("1a45dfa3", b"")
    + ebml.element("18538067", ebml.element("ec", b"") * 1000),
    "flv": b"FLV\1\1\0\0\0\x09\0\0\0\0" + (b"\x09" + bytes(10) + b"\0\0\0\x0b") * 1000,
    "program stream": b"\0\0\1\xba\x44" + bytes(8) + b"\xf8" + b"\0\0\1\xe0\0\0" * 1000,
}


class Slow(io.BytesIO):
    """A file of which every read takes a second."""

    def __init__(self, data: bytes, clock: ManualClock) -> None:
        super().__init__(data)
        self._clock, self.reads = clock, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        self._clock.sleep(1.0)
        return super().read(size)


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_without_end_are_read_while_there_is_time(kind: str) -> None:
    clock = ManualClock()
    file = Slow(HEADERS[kind], clock)

    with pytest.raises(ClipTooLarge, match="takes more than 10 s"):
        demux.contents(file, Guard(ClipLimits.model_construct(max_decode_s=10.0), clock=clock))

    assert file.reads <= 12
