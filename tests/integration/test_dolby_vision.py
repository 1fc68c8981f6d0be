"""Dolby Vision that others cannot show is named, wherever it is said; what they can show is not."""

import functools

import pytest

from tests.integration.test_media import cut
from tests.support import clips, ebml, mp4_boxes, program_maps
from tests.support.corpus.remux import Packets, like, remux
from tests.support.mp4_boxes import box

X264 = {"preset": "veryfast", "bf": "0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}
VIDEO = 0x1B


def record(profile: int, compatibility: int) -> bytes:
    """The 24 bytes of a configuration: version 1.0, level 1, metadata and base layer present."""
    return bytes([1, 0, profile << 1, 1 << 3 | 0b101, compatibility << 4]) + bytes(19)


@functools.cache
def clip(container: str) -> bytes:
    how = {"matroska": {"live": "1"}}.get(container, {})
    return clips.encode(12, container=container, options=X264, container_options=how)


def with_record(container: str, profile: int, compatibility: int) -> bytes:
    said = record(profile, compatibility)
    name = "dvcC" if profile <= 7 else "dvvC"
    if container in ("mp4", "mov"):
        return mp4_boxes.with_entry(clip(container), added=box(name, said))
    if container == "matroska":
        inside = ebml.element("41e7", int.from_bytes(name.encode())) + ebml.element("41ed", said)
        return ebml.in_track(clip(container), ebml.element("41e4", inside))
    descriptor = bytes([0xB0, 5]) + said[:5]
    return program_maps.with_stream_type(clip(container), VIDEO, VIDEO, descriptor=descriptor)


CONTAINERS = ["mp4", "mov", "matroska", "mpegts"]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("profile", "compatibility"), [(5, 0), (10, 0), (20, 0), (3, 0)])
def test_what_has_no_common_base_layer_is_named(
    container: str, profile: int, compatibility: int
) -> None:
    found, _ = cut(with_record(container, profile, compatibility))

    (warning,) = found.warnings
    assert warning.startswith(f"it is Dolby Vision of profile {profile} without a base layer")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("profile", "compatibility"), [(4, 2), (7, 6), (8, 1), (8, 2), (8, 4), (9, 2), (10, 1), (10, 4)]
)
def test_what_others_can_show_is_not(container: str, profile: int, compatibility: int) -> None:
    found, _ = cut(with_record(container, profile, compatibility))

    assert found.warnings == []


@pytest.mark.parametrize("name", ["dvh1", "dvhe"])
def test_a_sample_entry_of_dolby_visions_own_is_enough(name: str) -> None:
    hevc = clips.encode(12, codec="libx265", options=X265)

    named, _ = cut(mp4_boxes.with_entry(hevc, name=name))
    compatible, _ = cut(mp4_boxes.with_entry(hevc, name=name, added=box("dvvC", record(8, 1))))

    (warning,) = named.warnings
    assert warning.startswith("it is Dolby Vision of profile 5")
    assert compatible.warnings == []


def golomb(value: int) -> str:
    """ue(v)."""
    return f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}"


def metadata(*, full_range: bool) -> bytes:
    """A picture's metadata (RPU) that leaves its three components of 10 bits as they are."""
    fields = [(25, 8), (2, 6), (18, 11), (0, 4), (5, 4), (1, 1), (0, 1), (0, 2)]
    bits = "".join(f"{value:0{length}b}" for value, length in fields)
    bits += golomb(23) + "01" + str(int(full_range))  # the coefficients' bits
    bits += golomb(2) * 3 + "0" + "000" + "0" + "1"  # 10 bits each; no residual layer
    bits += "0" + "0" + golomb(0) * 3
    bits += (golomb(0) + f"{0:010b}{1023:010b}") * 3  # from 0 to 1023
    bits += golomb(0) * 2
    line = golomb(0) + golomb(0) + "0" + golomb(0) + f"{0:023b}" + golomb(1) + f"{0:023b}"
    bits += line * 3
    bits += "0" * (-len(bits) % 8) + f"{0:032b}"
    return int(bits, 2).to_bytes(len(bits) // 8) + b"\x80"


def escaped(unit: bytes) -> bytes:
    """With a 3 after each two zeros that a small byte follows (H.265, 7.4.2)."""
    out = bytearray()
    for byte in unit:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def with_metadata(*, full_range: bool, container: str) -> bytes:
    """HEVC whose every picture carries metadata of Dolby Vision, of which no container says."""
    unit = b"\x7c\x01" + escaped(metadata(full_range=full_range))  # of type 62

    def after_each(packets: Packets) -> Packets:
        length = len(unit).to_bytes(4)
        return [like(bytes(packet) + length + unit, packet) for packet in packets]

    data = clips.encode(12, codec="libx265", options=X265)
    return remux(data, container, change=after_each)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_frames_alone_may_say_it(container: str) -> None:
    found, _ = cut(with_metadata(full_range=True, container=container))

    (warning,) = found.warnings
    assert warning.startswith("it is Dolby Vision of profile 5")


def test_metadata_of_frames_that_others_can_show_say_nothing() -> None:
    found, _ = cut(with_metadata(full_range=False, container="mp4"))

    assert found.warnings == []


@pytest.mark.parametrize("said", [bytes(24), b"\xff" * 24])
def test_what_is_no_record_says_nothing(said: bytes) -> None:
    found, _ = cut(mp4_boxes.with_entry(clip("mp4"), added=box("dvcC", said)))

    assert found.warnings == []
