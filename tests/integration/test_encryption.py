"""Encrypted clips are refused by that name, by what their containers say; others are not."""

import contextlib
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import PacketSideData, packet_sidedata_type_from_literal

from clipfleet.errors import ClipEncrypted, ClipUnreadable
from clipfleet.store import Store
from clipfleet_workers.media import headers
from tests.integration.test_media import cut
from tests.integration.test_prepare import cut as prepared
from tests.integration.test_prepare import options
from tests.support import clips, mp4_boxes, program_maps, protected
from tests.support.corpus.damage import beside

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
X264 = {"preset": "veryfast", "g": "12", "bf": "0"}
VIDEO_PID, SOUND_PID = 256, 257


@functools.cache
def clip(container: str = "mp4", *, sound: bool = False, fragmented: bool = False) -> bytes:
    kinds = {"webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"})}
    kinds |= {"vob": ("mpeg2video", {}), "asf": ("wmv2", {})}
    codec, settings = kinds.get(container, ("libx264", X264))
    how = {"webm": {"live": "1"}, "m2ts": {"mpegts_m2ts_mode": "1"}}.get(container, {})
    return clips.encode(
        48,
        codec=codec,
        container={"m2ts": "mpegts"}.get(container, container),
        options=settings,
        container_options=FRAGMENTED if fragmented else how,
        sound=sound,
    )


Make = Callable[[], bytes]
ENCRYPTED: dict[str, tuple[str, Make]] = {
    **{
        f"mp4, {scheme}": (
            f"Common Encryption, {scheme}",
            functools.partial(lambda s: protected.mp4_with_entry(clip(), s), scheme),
        )
        for scheme in ("cenc", "cens", "cbc1", "cbcs", "piff")
    },
    "mp4, of no named scheme": (
        "Common Encryption",
        lambda: protected.mp4_with_entry(clip(), "????"),
    ),
    "mp4, FairPlay": ("FairPlay", lambda: protected.mp4_with_entry(clip(), "itun", name="drmi")),
    "mp4, the one of two tracks that is taken": (
        "Common Encryption, cenc",
        lambda: protected.mp4_with_entry(beside(clip(), clip()), "cenc"),
    ),
    "fragmented mp4": (
        "Common Encryption, cenc",
        lambda: protected.mp4_with_entry(clip(fragmented=True), "cenc"),
    ),
    "mp4, clear at first by its sample entries": (
        "Common Encryption, cbcs",
        lambda: protected.mp4_with_entry(clip(), "cbcs", twice=True),
    ),
    "mp4, clear at first by its fragments": (
        "Common Encryption, cenc",
        lambda: protected.last_fragment_grouped(
            protected.mp4_with_entry(clip(fragmented=True), "cenc", protected=False)
        ),
    ),
    "webm": (
        "ContentEncryption, AES",
        lambda: protected.matroska_encoded(clip("webm"), kind=1, algorithm=5),
    ),
    "webm, by key alone": (
        "ContentEncryption, of an unnamed kind",
        lambda: protected.matroska_encoded(clip("webm"), kind=1),
    ),
    "ts": (
        "scrambled transport stream",
        lambda: protected.transport(clip("mpegts"), VIDEO_PID),
    ),
    "ts, clear at first": (
        "scrambled transport stream",
        lambda: protected.transport(clip("mpegts"), VIDEO_PID, share=0.3),
    ),
    "ts, PES packets": ("scrambled PES", lambda: protected.transport_pes(clip("mpegts"))),
    "m2ts, PES packets": ("scrambled PES", lambda: protected.transport_pes(clip("m2ts"))),
    "ts of HLS Sample-AES": (
        "HLS Sample-AES",
        lambda: program_maps.with_stream_type(clip("mpegts"), 0x1B, 0xDB),
    ),
    "vob with CSS": ("a DVD with CSS", lambda: protected.program(clip("vob"))),
    "flv": ("encrypted tags", lambda: protected.flv(clip("flv"))),
    "wmv, its stream flagged": ("Windows Media DRM", lambda: protected.asf_flagged(clip("asf"))),
    **{
        f"wmv, object {name[:8]}": (
            "Windows Media DRM",
            functools.partial(lambda n: protected.asf_with_object(clip("asf"), n), name),
        )
        for name in (
            "2211B3FB-BD23-11D2-B4B7-00A0C955FC6E",
            "298AE614-2622-4C17-B935-DAE07EE9289C",
            "43058533-6981-49E6-9B74-AD12CB86D58C",
        )
    },
}


@pytest.mark.parametrize("kind", ENCRYPTED)
def test_an_encrypted_clip_is_refused_by_what_it_is_encrypted_with(kind: str) -> None:
    named, make = ENCRYPTED[kind]

    with pytest.raises(ClipEncrypted) as refusal:
        cut(make())

    assert named in str(refusal.value)
    assert str(refusal.value).endswith("decrypt it first")


CLEAR: dict[str, Make] = {
    "mp4 whose sound alone is encrypted": lambda: protected.sound_encrypted(clip(sound=True)),
    "mp4 that was decrypted, with what asks for keys": lambda: protected.with_key_systems(clip()),
    "mp4 whose entry is encv, no sample encrypted": lambda: protected.mp4_with_entry(
        clip(), "cenc", protected=False
    ),
    "webm, stripped headers": lambda: protected.matroska_encoded(clip("webm"), kind=0),
    "webm, signed": lambda: protected.matroska_encoded(clip("webm"), kind=1, algorithm=0),
    "ts whose sound alone is scrambled": lambda: protected.transport(
        clip("mpegts", sound=True), SOUND_PID
    ),
    "ts whose sound alone is of HLS Sample-AES": lambda: program_maps.with_stream_type(
        clip("mpegts", sound=True), 0x0F, 0xCF
    ),
    "wmv whose sound alone is flagged": lambda: protected.asf_flagged(
        protected.asf_with_object(
            clips.encode(48, codec="wmv2", container="asf", sound=True),
            "2211B3FB-BD23-11D2-B4B7-00A0C955FC6E",
        ),
        sound=True,
    ),
    **{
        f"{container}, as it comes": functools.partial(clip, container)
        for container in ("mp4", "mov", "webm", "mpegts", "m2ts", "vob", "flv", "asf", "avi")
    },
}


@pytest.mark.parametrize("kind", CLEAR)
def test_what_can_be_read_is_not_called_encrypted(kind: str) -> None:
    found, (window,) = cut(CLEAR[kind]())

    assert found.source.num_frames == 48
    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices


def test_one_packet_with_a_damaged_header_does_not_make_a_stream_scrambled() -> None:
    damaged = protected.transport(clip("mpegts"), VIDEO_PID, share=0.5, most=1)

    assert [track.encryption for track in headers.read(io.BytesIO(damaged))] == [""]


def test_encryption_is_known_before_any_decoder_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: pytest.fail("it was opened"))

    with pytest.raises(ClipEncrypted):
        cut(protected.mp4_with_entry(clip(), "cbcs"))


@pytest.mark.parametrize("name", ["uuid", "udta", "sidx", "emsg", "prft", "pdin", "junk", "none"])
def test_an_mp4_is_known_whatever_box_it_begins_with(name: str) -> None:
    """FFmpeg reads past all of these."""
    data = mp4_boxes.box(name, bytes(16)) + protected.mp4_with_entry(clip(), "cbcs")

    with pytest.raises(ClipEncrypted, match="cbcs"):
        headers.read(io.BytesIO(data))


def test_its_record_says_so(folder_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(protected.mp4_with_entry(clip(), "cbcs"))

    plan = prepared(folder_store, path, options())

    assert [(error.error, plan.windows) for error in plan.errors] == [("ClipEncrypted", [])]
    assert issubclass(ClipEncrypted, ClipUnreadable)


@pytest.mark.parametrize("kind", ENCRYPTED)
def test_headers_that_end_anywhere_are_no_trouble(kind: str) -> None:
    data = ENCRYPTED[kind][1]()

    for length in range(0, min(len(data), 4096), 61):
        with contextlib.suppress(ClipEncrypted):
            headers.read(io.BytesIO(data[:length]))


def test_a_packet_that_its_demuxer_would_decrypt_is_refused() -> None:
    packet: av.Packet[Any] = av.Packet(b"sample")
    headers.refuse_encrypted_packet(packet)

    made: Any = PacketSideData  # typed as if it took nothing
    made(packet_sidedata_type_from_literal("encryption_info"), 16).to_packet(packet)

    with pytest.raises(ClipEncrypted, match="its packets are encrypted"):
        headers.refuse_encrypted_packet(packet)
