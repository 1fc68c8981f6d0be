"""The time, and waiting for it, handed to whatever looks at it or waits: a test moves its own."""

import time


class Clock:
    """This machine's clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        time.sleep(seconds)


SYSTEM = Clock()
