"""Clips by https: from public hosts alone, whatever their names resolve or they redirect to.

An address in a manifest must not make a worker ask machines of its own network. So the name is
resolved here, every address of it checked, and the connection made to the address that was checked.
Redirects, names, connections, headers and bodies share one deadline.
"""

import ipaddress
import re
import socket
import string
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from clipfleet.clock import SYSTEM, Clock, Deadline
from clipfleet.connections import (
    HttpsPool,
    OutOfTime,
    asking_for,
    deadline,
    left_s,
    resolve,
    tls_context,
)
from clipfleet.errors import AddressRefused, ClipMissing, StoreUnavailable
from clipfleet.presigned import expiry, is_signed, shown
from clipfleet.sources import AllowedSources, check_allowed
from clipfleet_workers.sources.public_addresses import is_public as _is_public

PIECE_BYTES = 1 << 20
MAX_REDIRECTS = 5
RESOLVE_S = 10.0
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_GONE = {404, 410, 451}
_REFUSED = {401, 403}
_WORDS_BYTES, _MOST_ETAG = 4096, 255
_CODE = re.compile(r"<Code>([A-Za-z.]{1,64})</Code>")
_EXPIRED = re.compile(r"expired", re.IGNORECASE)
_FRESH = "run it again with a fresh one"
_REDIRECTS = {301, 302, 303, 307, 308}
_NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*", re.ASCII)


def read_https(
    url: str,
    *,
    private: bool,
    within_s: float,
    allowed: AllowedSources | None = None,
    on_etag: Callable[[str | None], None] = lambda etag: None,
    clock: Clock = SYSTEM,
) -> Generator[bytes]:
    """The clip's bytes, a piece at a time, all of them within `within_s` seconds.

    With `private`, hosts of this network may be asked as well. It may lead on only to what is
    `allowed` (None: anything). `on_etag` is told the file's ETag, if it has one. Raises `ClipError`
    for what there is not, may not be had or is sent too slowly, `AddressRefused` for what another
    signature may open, `StoreUnavailable` for what may come back. None of them says a signature
    (`presigned.shown`).
    """
    shared, start = Deadline(within_s, clock), url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            check_allowed(url, allowed)
            answer = _ask(url, shared, private=private)
            try:
                if answer.status not in _REDIRECTS:
                    _check_status(url, answer, start)
                    on_etag(answer.headers.get("ETag", "")[:_MOST_ETAG] or None)
                    yield from _pieces(url, answer)
                    return
                url = _led_to(url, answer)
            except OutOfTime:
                raise
            except HTTPError as error:
                raise StoreUnavailable(f"{shown(url)} broke off ({type(error).__name__})") from None
            finally:
                answer.close()
    except OutOfTime:
        raise ClipMissing(
            f"the clip is sent too slowly: {shown(url)} (setting clip_limits.max_decode_s)"
        ) from None
    raise ClipMissing(f"the clip is behind more than {MAX_REDIRECTS} redirects: {shown(url)}")


def _ask(url: str, shared: Deadline, *, private: bool) -> urllib3.BaseHTTPResponse:
    parts, host, port = _parts(url)
    pool = HttpsPool(
        _address(host, port, private=private, within_s=left_s(shared, RESOLVE_S)),
        port,
        server_hostname=host,
        assert_hostname=host,
        ssl_context=tls_context(),
        timeout=_TIMEOUT,
        retries=False,
    )
    path = parts.path or "/"
    target = quote(path + (f"?{parts.query}" if parts.query else ""), safe=string.punctuation)
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "clipfleet"}
    try:
        with deadline(shared), asking_for(target):
            return pool.request("GET", path, headers=headers, preload_content=False, redirect=False)
    except OutOfTime:
        raise
    except HTTPError as error:
        raise StoreUnavailable(f"{shown(url)} cannot be reached ({type(error).__name__})") from None


def _led_to(url: str, answer: urllib3.BaseHTTPResponse) -> str:
    try:
        return urljoin(url, answer.headers.get("Location", ""))
    except ValueError:
        raise ClipMissing(f"the clip is behind a redirect to nowhere: {shown(url)}") from None


def _parts(url: str) -> tuple[SplitResult, str, int]:
    """The URL's parts, its host and its port. Raises `ClipMissing`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # such as port 99999, or half an IPv6 address
        raise ClipMissing(f"the clip has no address that can be asked: {shown(url)}") from None
    if parts.scheme != "https" or not host:
        raise ClipMissing(f"the clip is not to be had by https alone: {shown(url)}")
    return parts, host, port or 443


def _address(host: str, port: int, *, private: bool, within_s: float = RESOLVE_S) -> str:
    """One of the host's addresses, all of which may be asked."""
    _check_spelling(host)
    try:
        found = resolve(host, port, within_s=within_s)
    except socket.gaierror as error:
        raise StoreUnavailable(f"the name {host} cannot be resolved ({error.strerror})") from None
    except TimeoutError:
        raise StoreUnavailable(f"the name {host} is not resolved in time") from None
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


def _check_spelling(host: str) -> None:
    """Raises `ClipMissing` for an IPv4 address in any but the usual form.

    Resolvers take 127.1, 0x7f.1 and 2130706433 for 127.0.0.1, and full-width digits for others; no
    name of the internet ends in a number.
    """
    try:
        written = host if ":" in host else host.encode("idna").decode()
        if _NUMBER.fullmatch(written.rstrip(".").rpartition(".")[2]):
            ipaddress.IPv4Address(host)
    except ValueError:  # which UnicodeError is, too
        raise ClipMissing(f"{host} is no host's name; write an address as 192.0.2.1") from None


def _check_status(url: str, answer: urllib3.BaseHTTPResponse, start: str) -> None:
    """Raises unless the answer is the clip. `start` is the clip's address, which led to `url`."""
    status, said = answer.status, shown(url)
    if status == 200:
        return
    # To a signature that expired Google answers 400. Those of redirects are the servers' own.
    if is_signed(start) and status in {400, *_REFUSED}:
        raise AddressRefused(_signature_refused(start, answer))
    if status in _REFUSED:
        raise AddressRefused(
            f"the clip may not be read: {said} (status {status}); if its address was presigned, "
            "that is no longer at hand: run it again with a fresh one"
        )
    if status in _GONE:
        raise ClipMissing(f"the clip is not there: {said} (status {status})")
    if status == 429 or status >= 500:
        raise StoreUnavailable(f"{said} cannot be read just now (status {status})")
    raise ClipMissing(f"the clip cannot be read: {said} (status {status})")


def _signature_refused(url: str, answer: urllib3.BaseHTTPResponse) -> str:
    """What there is to say of a presigned URL that a server does not take, without a signature.

    Servers repeat signatures as they say what is wrong: of their words only the error's code is.
    """
    until, words = expiry(url), _words(answer)
    code = _CODE.search(words)
    why = f"status {answer.status}" + (f", {code[1]}" if code else "")
    if (until is not None and until <= datetime.now(UTC)) or _EXPIRED.search(words):
        when = f" (at {until:%Y-%m-%d %H:%M:%S} UTC)" if until is not None else ""
        return f"its presigned URL has expired{when}: {shown(url)} ({why}); {_FRESH}"
    return f"its presigned URL is refused: {shown(url)} ({why}); {_FRESH}"


def _words(answer: urllib3.BaseHTTPResponse) -> str:
    """The beginning of what an error's answer says."""
    try:
        return answer.read(_WORDS_BYTES, decode_content=False).decode(errors="replace")
    except OutOfTime:
        raise
    except HTTPError:
        return ""


def _pieces(url: str, answer: urllib3.BaseHTTPResponse) -> Generator[bytes]:
    """What it sends."""
    left = answer.length_remaining
    for piece in answer.stream(PIECE_BYTES, decode_content=False):
        left = None if left is None else left - len(piece)
        yield piece
    if left:
        raise StoreUnavailable(f"{shown(url)} broke off, {left:,} bytes before its end")
