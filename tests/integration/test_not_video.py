"""A file that is no video is refused by what it is, with what to do about it."""

import gzip
import io

import pytest

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import decode
from tests.support import clips, mp4_boxes


def without_index() -> bytes:
    return mp4_boxes.edited(clips.encode(10), "moov", lambda _: None)


def fragment() -> bytes:
    data = clips.encode(10, container_options={"movflags": "frag_keyframe+empty_moov"})
    return data[data.index(b"moof") - 4 :]


FILES = {
    "a web page": (b"<!DOCTYPE html>\n<html>gone</html>", "a web page"),
    "a web page behind a mark": (b"\xef\xbb\xbf\r\n<HTML>gone</HTML>", "a web page"),
    "what S3 answers": (
        b'<?xml version="1.0"?>\n<Error><Code>x</Code></Error>',
        "an error response",
    ),
    "a playlist": (b"#EXTM3U\n#EXTINF:6,\nseg0.ts\n", "a playlist; join its segments"),
    "DASH": (b'<?xml version="1.0"?>\n<MPD></MPD>', "a DASH manifest"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "JSON": (b'{"error": "not found"}', "JSON, as servers send"),
    "gzip": (gzip.compress(bytes(100)), "packed with gzip; unpack it"),
    "WebP": (b"RIFF\x10\0\0\0WEBPVP8X", "a WebP picture"),
    "RealMedia": (b".RMF\0\0\0\x12" + bytes(100), "RealMedia, which is not supported"),
    "AppleDouble": (b"\0\x05\x16\x07\0\x02\0\0" + bytes(100), "macOS's metadata of a file"),
    "zeros": (bytes(100_000), "it is all zeros"),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_video_is_refused_by_what_it_is(kind: str) -> None:
    data, said = FILES[kind]

    with pytest.raises(ClipUnreadable) as refusal:
        decode.index(io.BytesIO(data))

    assert str(refusal.value).startswith("it is not a video file that can be read (it is ")
    assert said in str(refusal.value)


def test_an_mp4_that_lacks_its_index_is_refused_by_that() -> None:
    with pytest.raises(ClipUnreadable, match=r"an mp4 without its index \(moov\)"):
        decode.index(io.BytesIO(without_index()))


def test_a_fragment_alone_is_refused_by_that() -> None:
    with pytest.raises(ClipUnreadable, match="a fragment of an mp4 without its beginning"):
        decode.index(io.BytesIO(fragment()))


def test_what_nothing_is_known_of_is_refused_by_ffmpegs_reason() -> None:
    with pytest.raises(ClipUnreadable, match="Invalid data found"):
        decode.index(io.BytesIO(b"hello world\n" * 100))
