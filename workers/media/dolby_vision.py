"""Dolby Vision: which streams of it look right without its own processing.

After "Dolby Vision Streams within the ISO Base Media File Format", 2.2 and 3.2; the same 24 bytes
stand in Matroska, and the first five in a transport stream's descriptor.
"""

from dataclasses import dataclass

# Whose base layer no player without Dolby Vision can show (IPT-PQ-c2 in 5).
_WITHOUT_BASE = (1, 3, 5)
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
