"""What each encoder may be told: every parameter that its codec has, as far as it can be told."""

import random
from functools import partial

from tests.support.corpus.case import AV1 as _QUIET  # noqa: F401 - its encoder is told to be quiet
from tests.support.fuzz.mpeg2_headers import with_matrices
from tests.support.fuzz.parts import Encoding, Options

Chance = random.Random


def _some(chance: Chance, choices: dict[str, str], share: float = 0.6) -> Options:
    """Some of the options, each with one of its values, which blanks part."""
    return {
        name: chance.choice(values.split())
        for name, values in choices.items()
        if chance.random() < share
    }


def _joined(options: Options) -> str:
    return ":".join(f"{name}={value}" for name, value in options.items())


_X264 = {
    "keyint": "4 8 12 250",
    "scenecut": "0 40",
    "bframes": "0 1 2 3 5",
    "b-pyramid": "none strict normal",
    "b-adapt": "0 1",
    "ref": "1 2 4 8",
    "open-gop": "0 1",
    "cabac": "0 1",
    "8x8dct": "0 1",
    "cqm": "flat jvt",
    "weightp": "0 1 2",
    "weightb": "0 1",
    "deblock": "-3,-3 0,0 3,3",
    "no-deblock": "0 1",
    "slices": "1 2 3",
    "slice-max-size": "100 300",
    "chroma-qp-offset": "-8 0 5",
    "constrained-intra": "0 1",
    "direct": "none spatial temporal auto",
    "partitions": "none all",
    "aud": "0 1",
    "pic-struct": "0 1",
    "nal-hrd": "none vbr",
    "sps-id": "0 0 1 5",
    "level": "1.1 3.0 4.2",
    "fullrange": "on off",
    "colormatrix": "bt709 smpte170m",
    "subme": "0 2 7",
    "me": "dia hex umh",
}


def _x264(chance: Chance) -> Options:
    said = _some(chance, _X264)
    said["qp"] = chance.choice(["10", "18", "26", "34", "42"])
    if chance.random() < 0.15:
        said |= {chance.choice(("tff", "bff", "fake-interlaced")): "1"}
    if chance.random() < 0.15:
        said |= {"intra-refresh": "1", "keyint": "8", "open-gop": "0"}
    if chance.random() < 0.25:
        lists = chance.choice(("cqm4", "cqm8"))
        said[lists] = ",".join(
            str(chance.randint(8, 60)) for _ in range(16 if lists[-1] == "4" else 64)
        )
    if said.get("nal-hrd") == "vbr":
        said.pop("qp")
        said |= {"vbv-maxrate": "500", "vbv-bufsize": "500", "bitrate": "300"}
    return {
        "preset": "veryfast",
        "x264-params": _joined({"rc-lookahead": "4", "mbtree": "0", **said}),
    }


_X265 = {
    "keyint": "4 8 12 250",
    "min-keyint": "1 4",
    "scenecut": "0 40",
    "bframes": "0 1 2 3 4 7",
    "b-pyramid": "0 1",
    "ref": "1 2 4",
    "open-gop": "0 1",
    "weightp": "0 1",
    "weightb": "0 1",
    "sao": "0 1",
    "deblock": "-3,-3 0,0 3,3",
    "no-deblock": "0 1",
    "cbqpoffs": "-6 0 6",
    "crqpoffs": "-6 0 6",
    "scaling-list": "default off",
    "tskip": "0 1",
    "amp": "0 1",
    "rect": "0 1",
    "ctu": "32 64",
    "min-cu-size": "8 16",
    "tu-intra-depth": "1 3",
    "strong-intra-smoothing": "0 1",
    "constrained-intra": "0 1",
    "signhide": "0 1",
    "temporal-mvp": "0 1",
    "cu-lossless": "0 1",
    "aud": "0 1",
    "hrd": "0 0 1",
    "temporal-layers": "0 2 3",
    "level-idc": "30 41 51",
    "range": "limited full",
    "colormatrix": "bt709 smpte170m",
    "radl": "0 2",
    "wpp": "0 1",
}


def _x265(chance: Chance) -> Options:
    said = _some(chance, _X265)
    said[chance.choice(("qp", "crf"))] = chance.choice(["10", "20", "30", "40"])
    if "level-idc" in said and "qp" in said:
        said["crf"] = said.pop("qp")
    if said.get("radl") == "2":
        said["bframes"] = "3"
    if said.get("hrd") == "1":
        said = {name: value for name, value in said.items() if name not in ("qp", "crf")}
        said |= {"vbv-maxrate": "500", "vbv-bufsize": "500", "bitrate": "300"}
    if chance.random() < 0.1 and "radl" not in said:
        said |= {"intra-refresh": "1", "bframes": "0", "keyint": "8"}
    usual = {"log-level": "none", "pools": "none", "frame-threads": "1", "rc-lookahead": "8"}
    return {"preset": "ultrafast", "x265-params": _joined(usual | said)}


_MPEG12 = {
    "g": "1 4 8 12 100",
    "bf": "0 1 2 3",
    "mbd": "simple bits rd",
    "b_strategy": "0 1",
    "sc_threshold": "0 1000000000",
    "subq": "1 8",
    "trellis": "0 1",
}
_MPEG2 = _MPEG12 | {
    "intra_vlc": "0 1",
    "non_linear_quant": "0 1",
    "alternate_scan": "0 1",
    "dc": "0 1 2",
    "seq_disp_ext": "0 1",
    "a53cc": "0 1",
    "qmax": "8 28",
}


def _mpeg(choices: dict[str, str], flags: str, chance: Chance) -> Options:
    said = _some(chance, choices)
    chosen = [each for each in flags.split() if chance.random() < 0.3]
    if said.get("mbd") == "simple":
        said.pop("trellis", None)
    if "+cgop" in chosen:
        said["sc_threshold"] = "1000000000"
    if said.get("non_linear_quant") == "1":
        said["qmax"] = "28"
    return said | {
        "b": chance.choice(("60k", "200k", "2M")),
        "flags": "+bitexact" + "".join(chosen),
    }


_H264_IN = ("mp4", "mov", "matroska", "mpegts", "flv", "avi", "h264", "ismv")
_HEVC_IN = ("mp4", "mov", "matroska", "mpegts", "flv", "hevc", "ismv")
_MPEG2_IN = ("mpegts", "mpeg", "matroska", "mpeg2video", "avi", "mp4", "mov", "vob")

ENCODINGS: dict[str, Encoding] = {
    "H.264": Encoding(
        encoder="libx264",
        options=_x264,
        containers=_H264_IN,
        pixel_formats=("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"),
    ),
    "HEVC": Encoding(
        encoder="libx265",
        options=_x265,
        containers=_HEVC_IN,
        pixel_formats=("yuv420p", "yuv420p10le", "yuv422p", "yuv444p", "gray"),
        sizes=((64, 64), (96, 64), (64, 96)),
    ),
    "MPEG-2": Encoding(
        encoder="mpeg2video",
        options=partial(_mpeg, _MPEG2, "+ilme+ildct +cgop"),
        containers=_MPEG2_IN,
        pixel_formats=("yuv420p", "yuv422p"),
        edit=with_matrices,
    ),
    "MPEG-1": Encoding(
        encoder="mpeg1video",
        options=partial(_mpeg, _MPEG12, "+cgop"),
        containers=("mpeg", "mpegts", "mpeg1video", "matroska", "avi"),
        edit=with_matrices,
    ),
}
