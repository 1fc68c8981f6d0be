"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def wait_for(what: str, condition: Callable[[], object], within_s: float) -> None:
    """Return once the condition holds; fail, naming `what`, where it does not within the time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {within_s} s"
        time.sleep(0.05)
