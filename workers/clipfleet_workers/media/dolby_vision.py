"""Dolby Vision: which of its streams look right without its own processing.

After "Dolby Vision Streams within the ISO Base Media File Format", 2.2 and 3.2; Matroska has the
same 24 bytes, and a transport stream's descriptor the first five.
"""

from dataclasses import dataclass

from clipfleet_workers.media.bits import Bits, Unknown, unescaped

# Whose base layer no player without Dolby Vision can show (IPT-PQ-c2 in 5).
_WITHOUT_BASE = (1, 3, 5)
_PREFIX, _RPU_TYPE = 25, 2
_NEW_CODINGS = (9, 10, 20)  # AVC, AV1, MV-HEVC: their compatibility tells


@dataclass(frozen=True, kw_only=True)
class DolbyVision:
    """One configuration record. `compatibility` 0: the base layer is in no common format."""

    profile: int
    compatibility: int

    @classmethod
    def of(cls, record: bytes) -> "DolbyVision | None":
        """What a `dvcC`, `dvvC` or `dvwC` record says; None if it is no such record."""
        if len(record) < 5 or record[0] not in (1, 2, 3):
            return None
        return cls(profile=record[2] >> 1, compatibility=record[4] >> 4)

    @classmethod
    def of_frame(cls, metadata: bytes) -> "DolbyVision | None":
        """What one frame's metadata (RPU, ETSI GS CCM 001, annex C) says: profile 5, or nothing.

        It is the only profile with a full-range base layer whose RPU says profile 0.
        """
        bits = Bits(unescaped(metadata[:24]))
        try:
            if bits.take(8) != _PREFIX or bits.take(6) != _RPU_TYPE or bits.take(11) & 0x700:
                return None
            profile, _level, has_sequence = bits.take(4), bits.take(4), bits.take()
            if profile or not has_sequence:
                return None
            bits.take(1)
            if bits.take(2) == 0:
                bits.golomb()
            bits.take(2)
            return cls(profile=5, compatibility=0) if bits.take() else None
        except Unknown:
            return None

    @property
    def warnings(self) -> list[str]:
        """Warnings about how it is shown."""
        compatible = self.profile not in _WITHOUT_BASE and (
            self.compatibility or self.profile not in _NEW_CODINGS
        )
        if compatible:
            return []
        return [
            f"it is Dolby Vision of profile {self.profile} without a base layer that others can "
            "show: its colours are not YCbCr, and look wrong (green and violet)"
        ]
