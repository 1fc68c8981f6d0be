"""Dolby Vision that others cannot show is named, wherever it is said; what they can show is not."""

import functools

import pytest

from tests.integration.test_media import cut
from tests.support import clips, ebml, mp4_boxes, program_maps
from tests.support.mp4_boxes import box

X264 = {"preset": "veryfast", "bf": "0"}
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


@pytest.mark.parametrize("said", [bytes(24), b"\xff" * 24])
def test_what_is_no_record_says_nothing(said: bytes) -> None:
    found, _ = cut(mp4_boxes.with_entry(clip("mp4"), added=box("dvcC", said)))

    assert found.warnings == []
