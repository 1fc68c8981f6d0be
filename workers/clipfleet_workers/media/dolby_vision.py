"""Dolby Vision: which streams of it look right without its own processing.

After "Dolby Vision Streams within the ISO Base Media File Format", 2.2 and 3.2; the same 24 bytes
stand in Matroska, and the first five in a transport stream's descriptor.
"""

from dataclasses import dataclass

from clipfleet_workers.media.bits import Bits, Unknown, unescaped

# Whose base layer no player without Dolby Vision can show (IPT-PQ-c2 in 5).
_WITHOUT_BASE = (1, 3, 5)
_PREFIX, _RPU_TYPE = 25, 2
_NEW_CODINGS = (9, 10, 20)  # AVC, AV1, MV-HEVC: their compatibility tells


@dataclass(frozen=True, kw_only=True)
class DolbyVision:
    """One configuration record. `compatibility` 0: the base layer is of no common kind."""

    profile: int
    compatibility: int

    @classmethod
    def of(cls, record: bytes) -> "DolbyVision | None":
        """What a `dvcC`, `dvvC` or `dvwC` record says; None where it is no such record."""
        if len(record) < 5 or record[0] not in (1, 2, 3):
            return None
        return cls(profile=record[2] >> 1, compatibility=record[4] >> 4)

    @classmethod
    def of_frame(cls, metadata: bytes) -> "DolbyVision | None":
        """What one frame's metadata (RPU, ETSI GS CCM 001, annex C) says: profile 5, or nothing.

        Of all the profiles it alone has a base layer of full range whose RPU is of profile 0.
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
        """What people should know of how it is shown."""
        compatible = self.profile not in _WITHOUT_BASE and (
            self.compatibility or self.profile not in _NEW_CODINGS
        )
        if compatible:
            return []
        return [
            f"it is Dolby Vision of profile {self.profile} without a base layer that others can "
            "show: its colours are not YCbCr, and look wrong (green and violet)"
        ]
