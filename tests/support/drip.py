"""A server that draws things out: it sends a byte now and then, or nothing, or does not read."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Self

EVERY_S = 0.02
_LONGEST_S = 10.0  # a client that would wait for ever is let go by then

# What is sent at once, and what is then sent a byte at a time, over and over.
_SAYS = {
    "nothing": (b"", b""),
    "a TLS handshake": (b"\x16\x03\x03\x40\x00", b"\x00"),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "patience": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


class DrippingServer:
    """Use as a context manager; it listens on 127.0.0.1. `what` is a key of `_SAYS`, or "no ear"
    for one that never reads."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._listening = socket.create_server(("127.0.0.1", 0))
        if what == "no ear":
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = int(self._listening.getsockname()[1])
        self.asked = 0  # connections there have been
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(_LONGEST_S)
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.asked += 1
            self._open.append(client)
            thread = threading.Thread(target=self._drip, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _drip(self, client: socket.socket) -> None:
        until = time.monotonic() + _LONGEST_S
        at_once, over_and_over = _SAYS.get(self._what, (b"", b""))
        try:
            if self._what not in ("no ear", "a TLS handshake"):
                client.recv(65536)
            client.sendall(at_once)
            for byte in _forever(over_and_over):
                if self._ended.wait(EVERY_S) or time.monotonic() > until:
                    return
                client.sendall(byte)
        except OSError:  # the client has had enough
            return


def _forever(text: bytes) -> Iterator[bytes]:
    while True:
        yield from (text[i : i + 1] for i in range(len(text))) if text else (b"",)
