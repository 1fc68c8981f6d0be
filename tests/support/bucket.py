"""A bucket on loopback that a test can have refuse, replace and archive objects as Amazon does."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Answer = tuple[int, str]  # status and code of an error
LAST_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"


class Bucket(ThreadingHTTPServer):
    """The objects of every bucket of a server, by key; reads and heads alone.

    `refuse` is asked before each request for an object, with its method and key. With
    `tells_etags` off, none has an etag.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.refuse: Callable[[str, str], Answer | None] = lambda method, key: None
        self.tells_etags = True
        self.asked: list[tuple[str, str]] = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.settings: dict[str, str] = {
            "s3_endpoint": self.endpoint,
            "s3_access_key": "key",
            "s3_secret_key": "very-private",
            "s3_region": "us-east-1",
        }


class _Handler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        self.server.asked.append((self.command, key))
        refused = self.server.refuse(self.command, key)
        found = self.server.objects.get(key)
        if refused or found is None:
            self._refuse(*(refused or (404, "NoSuchKey")))
            return
        etag = f'"{hashlib.md5(found, usedforsecurity=False).hexdigest()}"'
        if self.headers.get("If-Match", etag) != etag:
            self._refuse(412, "PreconditionFailed")
            return
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        body = found if self.command == "HEAD" else found[int(start) : int(end or len(found)) + 1]
        headers = {"Last-Modified": LAST_MODIFIED}
        if self.server.tells_etags:
            headers["ETag"] = etag
        self._send(206 if "Range" in self.headers else 200, body, headers)

    do_GET = do_HEAD = _answer

    def _refuse(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>as asked</Message></Error>"
        body = b"" if self.command == "HEAD" else text.encode()
        self._send(status, body, {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has enough to show."""


@contextmanager
def serving() -> Iterator[Bucket]:
    """A server with an empty bucket."""
    with Bucket() as bucket:
        thread = threading.Thread(target=bucket.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
            thread.join()
