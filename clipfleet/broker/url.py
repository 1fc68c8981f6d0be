"""Which addresses of brokers are taken: those that all who read one read alike.

That is our own client, kombu (queues) and Celery (chords): beyond host, port, password and database
each has schemes and queries of its own, and fails on those of the others in its own way, late.
"""

import re
from urllib.parse import urlsplit

from clipfleet.errors import UsageError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_DATABASE = re.compile(r"/?|/[0-9]{1,5}")
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?", re.IGNORECASE)


def check_broker_url(url: str) -> None:
    """Raises `UsageError`, in words without the address, unless it is one of a broker."""
    scheme = _SCHEME.match(url)
    if scheme and scheme[0] not in ("redis://", "rediss://"):
        raise UsageError(
            f"a broker is not reached by {scheme[0]}; "
            "give redis://:PASSWORD@HOST:PORT, or rediss:// for TLS"
        )
    if not _is_address(url):
        raise UsageError(
            "this is no broker's address; give redis://:PASSWORD@HOST:PORT/DB, and in the "
            "password write / as %2F, # as %23, ? as %3F, ; as %3B, @ as %40, % as %25"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # what a look-up does with a name, and fails on labels without letters
        port = parts.port
    except ValueError:
        return False
    return (
        url.startswith(("redis://", "rediss://"))
        and url.isprintable()
        and " " not in url
        and port != 0
        and bool(_HOST.fullmatch(host))
        and bool(_DATABASE.fullmatch(parts.path))
        and not set("?#;") & set(url)  # kombu takes what follows a ; for a second address
    )
