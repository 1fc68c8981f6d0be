"""What a packet's own headers say of its frame, read from the bytes and never from flags.

Containers may lie: an mp4 without a table of sync samples calls every sample one. What is read
here decides which packets need no decoding, so it must be exact; of a codec that is not known
here, nothing is ever skipped.
"""

from collections.abc import Callable

import av
from av.video.stream import VideoStream

from clipfleet_workers.media import vpx
from clipfleet_workers.media.av1 import Av1
from clipfleet_workers.media.gif import gif
from clipfleet_workers.media.h264 import H264
from clipfleet_workers.media.hevc import Hevc
from clipfleet_workers.media.jpeg import Jpeg
from clipfleet_workers.media.kind import Alone, Kind, Reader
from clipfleet_workers.media.mpeg import Mpeg2, Mpeg4

_READERS: dict[str, Callable[[], Reader]] = {
    "h264": H264,
    "hevc": Hevc,
    "av1": Av1,
    "mpeg1video": Mpeg2,
    "mpeg2video": Mpeg2,
    "mpeg4": Mpeg4,
    "vp8": lambda: Alone(vpx.vp8),
    "vp9": lambda: Alone(vpx.vp9),
    "mjpeg": Jpeg,
}
# Every packet is a picture that references nothing before it, shown by tests/integration/
# test_alone.py: not true of all codecs that FFmpeg calls intra only.
ALONE = frozenset(
    {
        "asv1",
        "asv2",
        "dnxhd",
        "dpx",
        "dvvideo",
        "ffvhuff",
        "huffyuv",
        "jpeg2000",
        "jpegls",
        "magicyuv",
        "prores",
        "r10k",
        "r210",
        "rawvideo",
        "speedhq",
        "targa",
        "tiff",
        "utvideo",
        "v210",
        "yuv4",
    }
)


def reader(codec: str, *, extradata: bytes | None, intra_only: bool) -> tuple[Reader, bool]:
    """The reader for packets of this codec, and whether it knows where decoding can start.

    `codec` is FFmpeg's name, `extradata` the stream's.
    """
    found: Reader
    if codec in _READERS:
        found = _READERS[codec]()
        found.renew(extradata or b"")
        return found, True
    if codec == "gif":
        return Alone(gif), False
    if intra_only and codec in ALONE:
        return Alone(lambda _: Kind(starts=True)), True
    return Alone(lambda _: Kind()), False


# Side data that has no effect on packets decoded later.
_HARMLESS = frozenset(
    {
        "3d_reference_displays",
        "a53_cc",
        "afd",
        "ambient_viewing_environment",
        "audio_service_type",
        "content_light_level",
        "cpb_properties",
        "dovi_conf",
        "dynamic_hdr10_plus",
        "fallback_track",
        "icc_profile",
        "jp_dual_mono",
        "mastering_display_metadata",
        "matroska_block_additional",
        "metadata_update",
        "mpegts_stream_id",
        "prft",
        "quality_stats",
        "replay_gain",
        "rtcp_sr",
        "s12m_timecode",
        "skip_samples",
        "spherical",
        "stereo_3d",
        "strings_metadata",
        "subtitle_position",
        "webvtt_identifier",
        "webvtt_settings",
    }
)


def brings_parameters(packet: "av.Packet[VideoStream]", reader: Reader) -> bool:
    """Whether anything beside its bytes may change how later packets are decoded."""
    # Asked for by name: one that the binding has no name for may come before it.
    if packet.has_sidedata("new_extradata"):
        reader.renew(bytes(packet.get_sidedata("new_extradata")))
    try:
        return any(side.data_type not in _HARMLESS for side in packet.iter_sidedata())
    except (IndexError, ValueError):
        return True
