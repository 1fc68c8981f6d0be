"""HTTP connections that keep a deadline: name, connecting, TLS, headers and body share it.

The time-outs of urllib3 begin anew with every byte, so that a server that sends one a second holds
its reader for ever, and looking up a name has none. Here every single wait is given what is left.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)

from clipfleet.clock import Deadline, within

T = TypeVar("T")

_deadline: ContextVar[Deadline] = ContextVar("deadline")
_target: ContextVar[str] = ContextVar("target")


class OutOfTime(HTTPError):
    """The deadline passed. urllib3 does not know it, and so does not try again."""


@contextmanager
def deadline(shared: Deadline) -> Iterator[None]:
    """Requests that begin within are over by then, their bodies too, whenever those are read.

    The connections are those of `Pools` and `HttpsPool`. They raise `OutOfTime`.
    """
    before = _deadline.set(shared)
    try:
        yield
    finally:
        _deadline.reset(before)


@contextmanager
def asking_for(target: str) -> Iterator[None]:
    """Requests that begin within ask for just this, whatever path they are made for.

    urllib3 writes what it is told to ask for into logs and errors, and respells its escapes, which
    some signatures do not survive: so it is not told.
    """
    before = _target.set(target)
    try:
        yield
    finally:
        _target.reset(before)


def resolve(host: str, port: int, *, within_s: float) -> list[Any]:
    """What `socket.getaddrinfo` knows of a host. Raises `TimeoutError` as well."""
    return within(within_s, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def tls_context() -> ssl.SSLContext:
    """For these connections: trusts what this machine does, and the usual authorities."""
    context = ssl.create_default_context()  # knows SSL_CERT_FILE; slim images have no more
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _TlsSocket
    return context


def left_s(shared: Deadline, own_s: float | None) -> float:
    """Seconds for the next wait, of which its own time-out allows `own_s`. Raises `OutOfTime`."""
    left = shared.left_s()
    if left <= 0:
        raise OutOfTime("the time is up")
    return left if own_s is None else min(own_s, left)


class _Socket(socket.socket):
    """Waits no longer than its deadline, whatever comes meanwhile."""

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        return self._in_time(super().recv_into, *args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._in_time(super().send, *args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._in_time(super().sendall, *args, **kwargs)

    def _in_time(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        self.settimeout(left_s(self.deadline, self.gettimeout()))
        try:
            return act(*args, **kwargs)
        except TimeoutError:
            left_s(self.deadline, None)
            raise


class _TlsSocket(_Socket, ssl.SSLSocket):
    """The same over TLS. Python counts a time-out over a whole handshake, and over a whole record,
    so that these cannot be drawn out either."""


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        shared, own_s = _deadline.get(), self.timeout
        try:
            found = resolve(self._dns_host, self.port or 0, within_s=left_s(shared, own_s))
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{self.host} is not resolved in time") from error
        failed: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in found:
            sock = _Socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(left_s(shared, own_s))
                sock.connect(address)
                return sock
            except OSError as error:
                sock.close()
                failed = error
            except OutOfTime:
                sock.close()
                raise
        if isinstance(failed, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host} does not answer") from failed
        raise NewConnectionError(self, f"no connection to {self.host}: {failed}") from failed

    def connect(self) -> None:
        super().connect()
        self._share()

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._share()  # one that is used again still has the deadline of the request before
        super().request(*args, **kwargs)

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, _target.get(url), *args, **kwargs)

    def _share(self) -> None:
        if isinstance(self.sock, _Socket):
            self.sock.deadline = _deadline.get()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class HttpPool(urllib3.HTTPConnectionPool):
    """Connections to one host and port."""

    ConnectionCls = _Connection


class HttpsPool(urllib3.HTTPSConnectionPool):
    """The same over TLS, with a `tls_context`."""

    ConnectionCls = _TlsConnection


class Pools(urllib3.PoolManager):
    """Connections to any host. A request takes at most `request_s` seconds, its tries together, and
    one more for every `bytes_per_s` that it carries there or back. Raises `OutOfTime`.
    """

    def __init__(self, *, request_s: float, bytes_per_s: float, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
        self._request_s, self._bytes_per_s = request_s, bytes_per_s

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        if _deadline.get(None) is not None:  # led on from another host, within the same time
            return super().urlopen(method, url, redirect, **options)
        body = options.get("body")
        sent_bytes = len(body) if isinstance(body, bytes) else 0
        shared = Deadline(self._request_s + sent_bytes / self._bytes_per_s)
        with deadline(shared):
            options["pool_timeout"] = self._request_s
            answer = super().urlopen(method, url, redirect, **options)
        shared.extend((answer.length_remaining or 0) / self._bytes_per_s)
        return answer
