"""Whether C code was refused memory, whatever it says of it itself."""

import ctypes
import errno
import sys


def failed() -> bool:
    """Whether malloc has failed in this thread since this was last asked: it leaves so in errno.

    To be asked right after the C code: Python's own reading of files sets errno anew. Where it is
    not Linux, the answer is no.
    """
    if _errno_of_thread is None:
        return False
    number = _errno_of_thread().contents
    ran_out: bool = number.value == errno.ENOMEM
    number.value = 0
    return ran_out


_errno_of_thread = None
if sys.platform == "linux":
    _errno_of_thread = ctypes.PyDLL(None).__errno_location  # ctypes.get_errno knows its own calls
    _errno_of_thread.restype = ctypes.POINTER(ctypes.c_int)
