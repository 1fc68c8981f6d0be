"""The broker's time, by which leases begin and end."""

import redis

from clipfleet.clock import Clock


class BrokerClock:
    """The broker's time; between looks at it, by a clock that does not jump."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: float | None = None

    def set(self, client: redis.Redis) -> None:
        """Look at the broker's clock."""
        seconds, microseconds = client.time()
        self._ahead_s = seconds + microseconds / 1e6 - self._clock.monotonic()

    def now(self) -> float:
        """In seconds since 1970, once it was looked at."""
        assert self._ahead_s is not None
        return self._ahead_s + self._clock.monotonic()

    def ready(self, client: redis.Redis) -> None:
        """Look at the broker's clock unless it was looked at before."""
        if self._ahead_s is None:
            self.set(client)
