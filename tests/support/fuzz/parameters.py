"""What encoders are told, by chance: every parameter of their codecs that they take."""

import random
from collections.abc import Callable
from functools import partial

from tests.support.fuzz.parts import Options, joined

Chance = random.Random


def some(chance: Chance, choices: dict[str, str], share: float = 0.6) -> Options:
    """Some of the options, each with one of its values, which blanks part."""
    return {
        name: chance.choice(values.split())
        for name, values in choices.items()
        if chance.random() < share
    }


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


def x264(chance: Chance) -> Options:
    said = some(chance, _X264)
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
        "x264-params": joined({"rc-lookahead": "4", "mbtree": "0", **said}),
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


def x265(chance: Chance) -> Options:
    said = some(chance, _X265)
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
    return {"preset": "ultrafast", "x265-params": joined(usual | said)}


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


def _mpeg12(choices: dict[str, str], flags: str, chance: Chance) -> Options:
    said = some(chance, choices)
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


mpeg1 = partial(_mpeg12, _MPEG12, "+cgop")
mpeg2 = partial(_mpeg12, _MPEG2, "+ilme+ildct +cgop")

_MPEG4 = _MPEG12 | {
    "mpeg_quant": "0 1 1",
    "alternate_scan": "0 1",
    "ps": "0 100",
    "qmax": "8 31",
}
mpeg4 = partial(_mpeg12, _MPEG4, "+ilme+ildct +cgop +qpel +mv4 +aic")

_H263 = {"g": "1 4 8 100", "mbd": "simple bits rd", "qmax": "8 31", "trellis": "0 1"}
h263 = partial(_mpeg12, _H263, "+mv4 +aic +loop")
flv1 = partial(_mpeg12, _H263, "+mv4")
microsoft = partial(_mpeg12, _H263, "+mv4")

_VP8 = {
    "g": "4 8 100",
    "deadline": "realtime good",
    "auto-alt-ref": "0 1",
    "lag-in-frames": "0 4 16",
    "arnr-maxframes": "0 7",
    "error-resilient": "0 default",
    "noise-sensitivity": "0 3",
    "sharpness": "0 7",
    "static-thresh": "0 100",
    "profile": "0 1 2 3",
    "undershoot-pct": "0 100",
    "max-intra-rate": "0 300",
}
_VP9 = {
    "g": "4 8 100",
    "deadline": "realtime good",
    "auto-alt-ref": "0 1 2",
    "lag-in-frames": "0 8 16",
    "arnr-maxframes": "0 7",
    "error-resilient": "0 default",
    "aq-mode": "0 1 2 3",
    "tile-columns": "0 1",
    "frame-parallel": "0 1",
    "tune-content": "default screen film",
    "lossless": "0 0 1",
    "min-gf-interval": "0 4",
    "sharpness": "0 7",
    "enable-tpl": "0 1",
    "colorspace": "bt709 smpte170m",
    "color_range": "tv pc",
}


def _vpx(choices: dict[str, str], chance: Chance) -> Options:
    said = {"deadline": "realtime", "cpu-used": "8"} | some(chance, choices)
    if said["deadline"] == "good":
        said["cpu-used"] = "5"
    return said | chance.choice(({"b": "60k"}, {"b": "400k"}, {"crf": "30", "b": "0"}))


vp8, vp9 = partial(_vpx, _VP8), partial(_vpx, _VP9)

_SVT = {
    "hierarchical-levels": "2 3 4",
    "irefresh-type": "1 2",
    "pred-struct": "1 2",
    "film-grain": "0 0 20",
    "scm": "0 1 2",
    "enable-tf": "0 1",
    "enable-cdef": "0 1",
    "enable-restoration": "0 1",
    "enable-dlf": "0 1",
    "enable-overlays": "0 0 1",
    "tile-columns": "0 1",
    "lookahead": "0 16",
    "aq-mode": "0 2",
    "resize-mode": "0 0 1",
    "superres-mode": "0 0 1",
    "enable-qm": "0 1",
    "fast-decode": "0 1",
    "tune": "0 1",
}


def av1(chance: Chance) -> Options:
    """SVT-AV1's, one thread."""
    said = {"lp": "1"} | some(chance, _SVT, 0.4)
    return {
        "preset": chance.choice(("10", "12", "13")),
        "g": chance.choice(("4", "8", "16", "100")),
        "crf": chance.choice(("15", "35", "55")),
        "svtav1-params": joined(said),
    }


def choosing(**choices: str) -> Callable[[Chance], Options]:
    """Some of these, each with one of its values, which blanks part."""
    return lambda chance: some(chance, choices)
