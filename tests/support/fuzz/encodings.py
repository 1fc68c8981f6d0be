"""The encoders whose streams are cut and joined, and the containers in which those may lie."""

from tests.support.corpus.case import AV1 as _QUIET  # noqa: F401  # its encoder is told to be quiet
from tests.support.fuzz import parameters
from tests.support.fuzz.jpeg_tables import with_tables_at_times
from tests.support.fuzz.mpeg2_headers import with_matrices
from tests.support.fuzz.mpeg4_headers import with_matrices as with_mpeg4_matrices
from tests.support.fuzz.parts import Encoding

_YUV = ("yuv420p", "yuv422p", "yuv444p")

_H264_IN = ("mp4", "mov", "matroska", "mpegts", "flv", "avi", "h264", "ismv")
_HEVC_IN = ("mp4", "mov", "matroska", "mpegts", "flv", "hevc", "ismv")
_MPEG2_IN = ("mpegts", "mpeg", "matroska", "mpeg2video", "avi", "mp4", "mov", "vob")

ENCODINGS: dict[str, Encoding] = {
    "H.264": Encoding(
        encoder="libx264",
        options=parameters.x264,
        in_band=True,
        containers=_H264_IN,
        pixel_formats=("yuv420p", "yuv422p", "yuv444p", "yuv420p10le"),  # its grey crashes
    ),
    "HEVC": Encoding(
        encoder="libx265",
        options=parameters.x265,
        in_band=True,
        containers=_HEVC_IN,
        pixel_formats=("yuv420p", "yuv420p10le", "yuv422p", "yuv444p", "gray"),
        sizes=((64, 64), (96, 64), (64, 96)),
    ),
    "MPEG-2": Encoding(
        encoder="mpeg2video",
        options=parameters.mpeg2,
        containers=_MPEG2_IN,
        pixel_formats=("yuv420p", "yuv422p"),
        edit=with_matrices,
    ),
    "MPEG-1": Encoding(
        encoder="mpeg1video",
        options=parameters.mpeg1,
        containers=("mpeg", "mpegts", "mpeg1video", "matroska", "avi"),
        edit=with_matrices,
    ),
    "MPEG-4": Encoding(
        encoder="mpeg4",
        options=parameters.mpeg4,
        in_band=True,
        containers=("mp4", "mov", "avi", "matroska", "m4v", "3gp", "mpegts"),
        edit=with_mpeg4_matrices,
    ),
    "H.263": Encoding(
        encoder="h263p",
        options=parameters.h263,
        containers=("avi", "nut"),
    ),
    "FLV1": Encoding(
        encoder="flv",
        options=parameters.flv1,
        containers=("flv", "avi", "nut"),
    ),
    "WMV": Encoding(
        encoder="wmv2",
        options=parameters.microsoft,
        containers=("asf", "avi"),
        wrapped="avi",
    ),
    "MS MPEG-4": Encoding(
        encoder="msmpeg4",
        options=parameters.microsoft,
        containers=("asf", "avi", "matroska"),
        wrapped="avi",
    ),
    "VP8": Encoding(
        encoder="libvpx",
        options=parameters.vp8,
        containers=("webm", "matroska", "ivf", "avi", "ogg"),
    ),
    "VP9": Encoding(
        encoder="libvpx-vp9",
        options=parameters.vp9,
        containers=("webm", "matroska", "ivf", "mp4", "avi"),
        pixel_formats=("yuv420p", "yuv422p", "yuv444p", "yuv440p", "gbrp"),
    ),
    "AV1": Encoding(
        encoder="libsvtav1",
        options=parameters.av1,
        containers=("mp4", "matroska", "webm", "ivf", "obu", "flv"),
        pixel_formats=("yuv420p", "yuv420p10le"),
        sizes=((64, 64), (96, 64), (128, 64)),
    ),
    "motion JPEG": Encoding(
        encoder="mjpeg",
        options=parameters.choosing(
            huffman="default optimal", b="100k 1M 8M", qmin="1 10", qmax="4 31", slices="1 2"
        ),
        containers=("avi", "mov", "matroska", "mjpeg", "mp4", "nut"),
        pixel_formats=("yuvj420p", "yuvj422p", "yuvj444p"),
        edit=with_tables_at_times,
    ),
    "ProRes": Encoding(
        encoder="prores_ks",
        options=parameters.choosing(
            profile="0 2 3", quant_mat="auto proxy hq", bits_per_mb="200 2000"
        ),
        containers=("mov", "matroska"),
        pixel_formats=("yuv422p10le",),
        wrapped="mov",
    ),
    "FFV1": Encoding(
        encoder="ffv1",
        options=parameters.choosing(
            g="1 4 100", level="1 3", coder="rice ac range_tab", context="0 1", slicecrc="0 1"
        ),
        containers=("matroska", "avi", "nut"),
        pixel_formats=("yuv420p", "yuv444p", "bgr0", "gray"),
    ),
    "HuffYUV": Encoding(
        encoder="ffvhuff",
        options=parameters.choosing(context="0 1", pred="left plane median"),
        containers=("avi",),
        pixel_formats=_YUV,
        wrapped="avi",
    ),
    "Ut Video": Encoding(
        encoder="utvideo",
        options=parameters.choosing(pred="none left median"),
        containers=("avi",),
        pixel_formats=_YUV,
        wrapped="avi",
    ),
    "PNG": Encoding(
        encoder="png",
        options=parameters.choosing(pred="none sub mixed", compression_level="1 9"),
        containers=("mov", "avi", "nut"),
        pixel_formats=("pal8", "rgb24", "rgba", "gray", "rgb48be"),
    ),
    "raw with a palette": Encoding(
        encoder="rawvideo",
        options=parameters.choosing(),
        containers=("avi",),
        pixel_formats=("pal8",),
        wrapped="avi",
    ),
    "MS RLE": Encoding(
        encoder="msrle",
        options=parameters.choosing(g="1 4 100"),
        containers=("avi",),
        pixel_formats=("pal8",),
        wrapped="avi",
    ),
    "SMC": Encoding(
        encoder="smc",
        options=parameters.choosing(g="1 4 100"),
        containers=("mov",),
        pixel_formats=("pal8",),
        wrapped="mov",
    ),
    "ZMBV": Encoding(
        encoder="zmbv",
        options=parameters.choosing(g="1 4 100"),
        containers=("nut",),
        pixel_formats=("pal8", "bgr0", "rgb555le", "bgr24"),
    ),
    "QuickTime Animation": Encoding(
        encoder="qtrle",
        options=parameters.choosing(g="1 4 100"),
        containers=("mov",),
        pixel_formats=("rgb24", "gray", "argb", "rgb555be"),
        wrapped="mov",
    ),
    "GIF": Encoding(
        encoder="gif",
        options=parameters.choosing(gifflags="offsetting transdiff 0", g="1 4 100"),
        containers=("gif",),
        pixel_formats=("rgb8", "pal8", "gray"),
        wrapped="gif",
    ),
    "Cinepak": Encoding(
        encoder="cinepak",
        options=parameters.choosing(g="1 4 100", max_strips="1 3"),
        containers=("mov", "avi"),
        pixel_formats=("rgb24", "gray"),
        wrapped="avi",
    ),
    "MS Video 1": Encoding(
        encoder="msvideo1",
        options=parameters.choosing(g="1 4 100"),
        containers=("avi",),
        pixel_formats=("rgb555le",),
        wrapped="avi",
    ),
    "Flash Screen": Encoding(
        encoder="flashsv",
        options=parameters.choosing(g="1 4 100"),
        containers=("flv",),
        pixel_formats=("bgr24",),
        wrapped="flv",
    ),
    "Snow": Encoding(
        encoder="snow",
        options=parameters.choosing(g="1 4 100", qmax="8 31"),
        containers=("avi", "nut", "matroska"),
    ),
}
