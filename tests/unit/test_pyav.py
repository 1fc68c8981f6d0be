"""What PyAV fails at becomes the clip's reason; what others raise stays what it is."""

import av
import pytest

from clipfleet.errors import ClipTooLarge, ClipUnreadable
from clipfleet_workers.media.pyav import translate_errors


@pytest.mark.parametrize(
    "error",
    [ValueError("31 is not a valid Type"), IndexError("tuple index"), KeyError(40), TypeError("n")],
)
def test_the_bindings_own_failure_is_the_clips_reason(error: Exception) -> None:
    with (
        pytest.raises(ClipUnreadable, match=rf"PyAV cannot read it \({type(error).__name__}: "),
        translate_errors(),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ClipTooLarge(), OSError(5, "the disk"), av.InvalidDataError(1, "bad data")],
    ids=lambda error: type(error).__name__,
)
def test_what_others_raise_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translate_errors():
        raise error

    assert raised.value is error
