"""The time, and waiting for it, handed to whatever looks at it or waits: a test moves its own."""

import threading
import time


class Clock:
    """This machine's clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most so long; whether it came."""
        return event.wait(seconds)


SYSTEM = Clock()
