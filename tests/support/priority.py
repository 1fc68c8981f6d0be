"""Takes back what an encoder does to the process that it runs in."""

import os


def be_ordinary() -> None:
    """Take back the real-time priority that SVT-AV1 gives to whoever encodes with it as root.

    Every thread and process started later inherits it. Threads that spin as they wait for each
    other, as PyTorch's do, then wait for ever, and whatever else the machine does stands still.
    """
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
