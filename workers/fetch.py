"""Clips by https: from public hosts alone, whatever their names resolve or they redirect to.

An address in a manifest must not make a worker ask machines of its own network. So the name is
resolved here, every address of it checked, and the connection made to the address that was checked.
"""

import ipaddress
import socket
import ssl
from collections.abc import Generator
from urllib.parse import urljoin, urlsplit

import certifi
import urllib3
from urllib3.exceptions import HTTPError

from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import ClipMissing, StoreUnavailable
from clipfleet.sources import AllowedSources, check_allowed

PIECE_BYTES = 1 << 20
MAX_REDIRECTS = 5
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_GONE = {401, 403, 404, 410, 451}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REDIRECTS = {301, 302, 303, 307, 308}


def read_https(
    url: str,
    *,
    private: bool,
    within_s: float,
    allowed: AllowedSources | None = None,
    clock: Clock = SYSTEM,
) -> Generator[bytes]:
    """The clip's bytes, a piece at a time.

    With `private`, hosts of this network may be asked as well. It may lead on only to what is
    `allowed` (None: anything). Raises `ClipError` for what there is not or may not be had,
    `StoreUnavailable` for what may come back.
    """
    deadline = clock.monotonic() + within_s
    for _ in range(MAX_REDIRECTS + 1):
        check_allowed(url, allowed)
        answer = _ask(url, private=private)
        try:
            if answer.status not in _REDIRECTS:
                _check_status(url, answer.status)
                yield from _pieces(url, answer, deadline, clock)
                return
            url = urljoin(url, answer.headers.get("Location", ""))
        except HTTPError as error:
            raise StoreUnavailable(f"{url} broke off ({type(error).__name__})") from None
        finally:
            answer.close()
    raise ClipMissing(f"the clip is behind more than {MAX_REDIRECTS} redirects: {url}")


def _ask(url: str, *, private: bool) -> urllib3.BaseHTTPResponse:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ClipMissing(f"the clip is not to be had by https alone: {url}")
    host, port = parts.hostname, parts.port or 443
    pool = urllib3.HTTPSConnectionPool(
        _address(host, port, private=private),
        port,
        server_hostname=host,
        assert_hostname=host,
        ssl_context=_context(),
        timeout=_TIMEOUT,
        retries=False,
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "clipfleet"}
    try:
        return pool.request("GET", target, headers=headers, preload_content=False, redirect=False)
    except HTTPError as error:
        raise StoreUnavailable(f"{url} cannot be reached ({type(error).__name__})") from None


def _address(host: str, port: int, *, private: bool) -> str:
    """One of the host's addresses, all of which may be asked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise StoreUnavailable(f"the name {host} cannot be resolved ({error.strerror})") from None
    except UnicodeError:
        raise ClipMissing(f"{host} is no host's name") from None
    addresses = [str(each[4][0]) for each in found]
    for each in addresses:
        if not private and not _is_public(each):
            raise ClipMissing(
                f"{host} is a host of the workers' own network ({each}), which clips are not "
                "fetched from (setting fetch_private)"
            )
    return addresses[0]


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):  # which may lead on to an IPv4 address within
        within = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else None
        found = found.ipv4_mapped or found.sixtofour or within or found
    return found.is_global and not found.is_multicast


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # knows SSL_CERT_FILE; slim images have no more
    context.load_verify_locations(certifi.where())
    return context


def _check_status(url: str, status: int) -> None:
    if status == 200:
        return
    if status in _GONE:
        raise ClipMissing(f"the clip is not there: {url} (status {status})")
    if status == 429 or status >= 500:
        raise StoreUnavailable(f"{url} cannot be read just now (status {status})")
    raise ClipMissing(f"the clip cannot be read: {url} (status {status})")


def _pieces(
    url: str, answer: urllib3.BaseHTTPResponse, deadline: float, clock: Clock
) -> Generator[bytes]:
    """What it sends. One that is sent too slowly ends here."""
    declared = answer.headers.get("Content-Length", "")
    left = int(declared) if declared.isascii() and declared.isdecimal() else None
    for piece in answer.stream(PIECE_BYTES, decode_content=False):
        if clock.monotonic() > deadline:
            raise ClipMissing(f"the clip is sent too slowly: {url} (setting max_decode_s)")
        left = None if left is None else left - len(piece)
        yield piece
    if left:
        raise StoreUnavailable(f"{url} broke off, {left:,} bytes before its end")
