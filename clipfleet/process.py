"""What every process of ours sets up before it does anything, for itself and those it starts."""

import os
import resource


def be_discreet() -> None:
    """Have this process and its descendants leave no memory on disk, and take no code from here.

    Their memory holds keys and clips, which a core dump would leave in the current folder or with
    whoever collects dumps. And where a library starts another Python (`multiprocessing`'s spawn),
    that looks for every module in the current folder first, which may have come with the clips.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the hard limit, too: nobody raises it again
    os.environ["PYTHONSAFEPATH"] = "1"
