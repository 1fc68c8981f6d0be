"""What mutations write: numbers at the edge, other formats' beginnings, codecs' names."""

NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 16, 64, 100, 127, 128, 255, 256, 1000, 4096, 65535, 65536),
    *(2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**53, 2**56 - 1),
    *(2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
LENGTHS = (
    0,
    1,
    2,
    4,
    7,
    8,
    9,
    15,
    16,
    255,
    65536,
    2**31 - 1,
    2**32 - 1,
    2**56 - 1,
    2**63,
    2**64 - 1,
)

# How other formats begin, playlists first.
STARTS = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 1 RTP/AVP 96\n",
    b"ID3\4\0\0\0\0\x0f\x76",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    *(b"RIFF\xff\xff\xff\x7fAVI ", b"RIFF\0\1\0\0WEBP", b"OggS\0\2", b"FLV\1\5\0\0\0\x09"),
    *(b"\x1a\x45\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"G@\0\x10", b"\0\0\1\xba", b"DKIF\0\0\x20\0"),
    *(b"GIF89a\xff\xff\xff\xff", b"\x06\x0e\x2b\x34\2\5\1\1", b"nut/multimedia container\0"),
    *(b"PK\3\4", b"%PDF-1.7", b"\x7fELF", b"\x1f\x8b\x08", b"\0" * 4096, b"\xff" * 4096),
)

# What names a codec, in a container's words: another one's decoder is then given the packets.
CODECS = (
    *(b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp08", b"vp09", b"mp4v", b"s263", b"jpeg"),
    *(b"apcn", b"ap4h", b"png ", b"cvid", b"rle ", b"SVQ1", b"SVQ3", b"rpza", b"smc ", b"dvc "),
    *(b"mjp2", b"raw ", b"v210", b"r210", b"AVdn", b"CFHD", b"Hap1", b"icod", b"qdrw", b"8BPS"),
    *(b"H264", b"HEVC", b"VP80", b"VP90", b"AV01", b"XVID", b"DIV3", b"MJPG", b"WMV3", b"WVC1"),
    *(b"MP42", b"CRAM", b"MSS2", b"TSCC", b"FFV1", b"HFYU", b"LAGS", b"IV50", b"DXSB", b"VP6F"),
    *(b"V_MPEG4/ISO/AVC", b"V_MPEGH/ISO/HEVC", b"V_AV1", b"V_VP8", b"V_VP9", b"V_MPEG2", b"V_FFV1"),
    *(b"V_MPEG4/ISO/ASP", b"V_THEORA", b"V_PRORES", b"V_MJPEG", b"V_UNCOMPRESSED", b"V_SNOW"),
)
