"""What a file is that FFmpeg cannot read as a video, and what to do about it."""

from typing import BinaryIO

from clipfleet_workers.media import boxes

_AGAIN = "download the clip again"
_UNPACK = "unpack it, and give the videos in it"
_EXPORT = "export it as mp4 or mkv"
# By how text begins, after leading spaces, in lower case.
_TEXT = {
    b"<!doctype html": f"a web page, as servers send for a missing file; {_AGAIN}",
    b"<html": f"a web page, as servers send for a missing file; {_AGAIN}",
    b"<mpd": "a DASH manifest; join its segments into one file",
    b"<error": f"an error response of a store; {_AGAIN}",
    b"<": f"XML, as servers send with an error; {_AGAIN}",
    b"#extm3u": "a playlist; join its segments into one file (ffmpeg -i … -c copy clip.mp4)",
    b"version https://git-lfs": "a Git LFS pointer; fetch the clip itself (git lfs pull)",
    b'{"': f"JSON, as servers send with an error; {_AGAIN}",
}
_BYTES = {
    b"PK\x03\x04": f"a ZIP archive; {_UNPACK}",
    b"\x1f\x8b": f"packed with gzip; {_UNPACK}",
    b"Rar!": f"a RAR archive; {_UNPACK}",
    b"7z\xbc\xaf": f"a 7-Zip archive; {_UNPACK}",
    b"%PDF": "a PDF",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"\x89PNG": "a picture (PNG)",
    b"ID3": "sound (MP3)",
    b"fLaC": "sound (FLAC)",
    b".RMF": f"RealMedia, which is not supported; {_EXPORT}",
    b"FWS": f"Flash, which is not supported; {_EXPORT}",
    b"CWS": f"Flash, which is not supported; {_EXPORT}",
    b"IMKH": f"a Hikvision recorder's own format; {_EXPORT}",
    b"DHAV": f"a Dahua recorder's own format; {_EXPORT}",
    b"\x00\x05\x16\x07": "macOS's metadata of a file (._NAME); give the file itself",
}
_RIFF = {
    b"WEBP": f"a WebP picture; if it is animated, {_EXPORT}",
    b"WAVE": "sound (WAV)",
}
_LOOKED_AT_BYTES = 4096


def what(file: BinaryIO) -> str:
    """Such as `a web page …; download the clip again`; empty if it is not recognised."""
    file.seek(0)
    head = file.read(_LOOKED_AT_BYTES)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):
        text = text.partition(b"?>")[2].lstrip() or text
    for start, found in _TEXT.items():
        if text.startswith(start):
            return found
    for start, found in _BYTES.items():
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head and not any(head):
        return f"all zeros: its content was never written; {_AGAIN}"
    return _mp4(file)


def _mp4(file: BinaryIO) -> str:
    names = []
    for box in boxes.children(file):
        names.append(box.name)
        if len(names) > 64 or box.name == b"moov":
            return ""
    if names[:1] in ([b"styp"], [b"moof"], [b"sidx"]):
        return "a fragment of an mp4 without its beginning; join it to that (init segment)"
    if names[:1] == [b"ftyp"] or names[:2] == [b"wide", b"mdat"]:
        return f"an mp4 without its index (moov): recording or copying it never finished; {_AGAIN}"
    return ""
