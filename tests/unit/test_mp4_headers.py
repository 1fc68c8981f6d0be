"""What an mp4's headers say of its tracks, and how much of a file is read for it."""

import io

import pytest

from clipfleet_workers.media import mp4_headers
from tests.support.mp4_boxes import ENTRY_BYTES, box


class Counted(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def entry() -> bytes:
    """One whose samples are encrypted if they say so for themselves."""
    scheme = box("schm", b"\0\0\0\0cenc\0\1\0\0")
    return box(
        "encv", bytes(ENTRY_BYTES) + box("sinf", scheme + box("schi", box("tenc", bytes(24))))
    )


def track(number: int, *, entries: int) -> bytes:
    described = box("stsd", bytes(8) + entry() * entries)
    media = box("hdlr", b"\0" * 8 + b"vide") + box("minf", box("stbl", described))
    return box("trak", box("tkhd", bytes(12) + number.to_bytes(4)) + box("mdia", media))


def fragment(number: int, marks: bytes = b"") -> bytes:
    return box("moof", box("traf", box("tfhd", bytes(4) + number.to_bytes(4)) + marks))


def movie(tracks: int, entries: int, fragments: int) -> Counted:
    moov = box("moov", b"".join(track(n + 1, entries=entries) for n in range(tracks)))
    return Counted(box("ftyp", b"isom") + moov + fragment(99) * fragments)


@pytest.mark.parametrize(("tracks", "entries"), [(1, 40), (20, 1), (20, 40)])
def test_fragments_are_looked_through_once_whatever_there_is_of_tracks_and_entries(
    tracks: int, entries: int
) -> None:
    without, with_fragments = movie(tracks, entries, 0), movie(tracks, entries, 500)

    assert [each.encryption for each in mp4_headers.tracks(without)] == [""] * tracks
    assert [each.encryption for each in mp4_headers.tracks(with_fragments)] == [""] * tracks
    assert with_fragments.reads - without.reads < 10 * 500


def test_a_track_is_encrypted_by_its_own_fragments_alone() -> None:
    moov = box("moov", track(1, entries=1) + track(2, entries=1))
    file = io.BytesIO(moov + fragment(1) + fragment(2, box("senc", bytes(8))))

    first, second = mp4_headers.tracks(file)

    assert (first.encryption, second.encryption) == ("", "Common Encryption, cenc")
