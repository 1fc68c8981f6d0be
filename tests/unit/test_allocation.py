"""That C code ran out of memory is known by what malloc leaves behind."""

import ctypes
import sys

import pytest

from clipfleet.settings import ClipLimits
from clipfleet_workers.media import allocation
from clipfleet_workers.media.limits import Guard, held
from clipfleet_workers.media.pyav import translate_errors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="known on Linux alone")


def run_out() -> None:
    """Ask for more than there is, as C code would that does not look at what it gets."""
    libc = ctypes.PyDLL(None)
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    assert libc.malloc(1 << 62) is None


def test_it_is_said_once() -> None:
    allocation.failed()
    run_out()
    assert [allocation.failed(), allocation.failed()] == [True, False]


def test_pyav_s_own_failure_for_lack_of_memory_is_no_reason_against_the_clip() -> None:
    run_out()
    with pytest.raises(MemoryError), translate_errors():
        raise RuntimeError("no filter")


def test_running_out_near_the_limit_is_told_though_nothing_failed() -> None:
    guard = Guard(ClipLimits.model_construct(max_decode_bytes=1))
    guard.memory_before = 0
    run_out()
    with pytest.raises(MemoryError):
        guard.memory()


def test_a_nonsense_size_with_most_of_the_memory_left_is_let_pass() -> None:
    guard = Guard(ClipLimits.model_construct(max_decode_bytes=1 << 40))
    with held(guard):
        run_out()
        guard.memory()


def test_what_ran_out_before_a_clip_does_not_count_against_it() -> None:
    guard = Guard(ClipLimits.model_construct(max_decode_bytes=1 << 20))
    run_out()
    with held(guard):
        guard.memory()
