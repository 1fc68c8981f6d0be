"""What every process of ours sets up before it does anything, for itself and those it starts."""

import os
import resource


def be_discreet() -> None:
    """Have this process and its descendants leave no memory on disk, and take no code from here.

    Their memory holds keys and clips, which a core dump would leave in the current folder or with
    whoever collects dumps. And that folder may have come with the clips: a Python that a library
    starts (vLLM, as it looks at a model; `multiprocessing`) looks for every module there first.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the hard limit, too: nobody raises it again
    os.environ["PYTHONSAFEPATH"] = "1"
    # An empty part of a search path means the current folder. OpenCV, which vLLM imports, puts its
    # own and a colon before what LD_LIBRARY_PATH says: were that nothing, it would end in one.
    os.environ["LD_LIBRARY_PATH"] = _without_gaps("LD_LIBRARY_PATH") or "/nonexistent"
    for name in ("PATH", "PYTHONPATH"):
        if name in os.environ:
            os.environ[name] = _without_gaps(name)


def _without_gaps(name: str) -> str:
    return os.pathsep.join(filter(None, os.environ.get(name, "").split(os.pathsep)))
