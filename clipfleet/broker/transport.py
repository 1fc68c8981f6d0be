"""kombu's Redis transport on connections that take a broker's passing errors for lost ones.

Under a scheme of our own, so that nothing else in the process that uses kombu is changed.
"""

from kombu import transport
from kombu.transport import redis

from clipfleet.broker.connection import Connection, SSLConnection

SCHEME = "clipfleet-redis"


class Channel(redis.Channel):  # type: ignore[misc]
    """See the module."""

    connection_class = Connection
    connection_class_ssl = SSLConnection


class Transport(redis.Transport):  # type: ignore[misc]
    """See the module."""

    Channel = Channel


def url_of(broker_url: str) -> str:
    """The broker's address as kombu is to be given it; TLS is asked for beside it."""
    scheme, _, rest = broker_url.partition("://")
    if scheme not in ("redis", "rediss"):
        return broker_url
    transport.TRANSPORT_ALIASES.setdefault(SCHEME, f"{__name__}:Transport")
    return f"{SCHEME}://{rest}"


def use(kind: type[Transport]) -> None:
    """Have this process use a transport of its own."""
    transport.TRANSPORT_ALIASES[SCHEME] = f"{kind.__module__}:{kind.__qualname__}"
    transport._transport_cache.pop(SCHEME, None)
