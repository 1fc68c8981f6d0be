"""Which names of files are those of videos, by what they end in."""

import os

# By FFmpeg's name of the demuxer that reads them, which workers must have (`media/demux.py`).
ENDINGS = {
    "mov": "mp4 m4v mov qt f4v mp4v 3gp 3gpp 3gp2 3g2 3gpp2 ismv cmfv mqv mj2 mjp2 insv lrv 360",
    "matroska": "mkv mk3d webm",
    "avi": "avi divx xvid",
    "mpegts": "ts mts m2ts m2t mpegts trp tp tod",
    "mpeg": "mpg mpeg mpe vob mod m2p evo vro dat",
    "mpegvideo": "m1v m2v mpv mpv1 mpv2 mpgv",
    "flv": "flv",
    "asf": "asf wmv wm dvr-ms",
    "ogg": "ogv ogm ogx ogg",
    "mxf": "mxf",
    "gif": "gif",
    "nut": "nut",
    "ivf": "ivf",
    "obu": "obu",
    "h264": "264 h264 avc 26l jvt h26l",
    "hevc": "265 h265 hevc",
    "mjpeg": "mjpg mjpeg",
    "dv": "dv",
    "yuv4mpegpipe": "y4m",
}
DEMUXERS = {f".{each}": demuxer for demuxer, all_ in ENDINGS.items() for each in all_.split()}

# Of these many are no videos: TypeScript, music, Go modules, sound, stills, data of any kind.
AMBIGUOUS = frozenset({".ts", ".mts", ".mod", ".tp", ".dat", ".ogg", ".ogx", ".gif"})


def ending(name: str) -> str:
    """What a name ends in, from its last dot on, in small letters; empty where it has none."""
    # `os.path`, as it is asked of each of millions.
    return os.path.splitext(name.rstrip())[1].lower()  # noqa: PTH122


def is_video(name: str) -> bool:
    """Whether files of such a name are videos, or, where it is ambiguous, may be."""
    return ending(name) in DEMUXERS
