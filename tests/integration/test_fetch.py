"""Clips by https: what is fetched, and who is not even asked."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipfleet.errors import ClipMissing, ClipTooLarge, StoreUnavailable
from clipfleet.messages import ClipJob
from clipfleet.settings import read_settings
from clipfleet.sources import SourceNotAllowed
from tests.support.records import CLIP, HASH
from workers import fetch
from workers.context import Context

CLIP_BYTES = b"a clip " * 500_000


class _Handler(http.server.BaseHTTPRequestHandler):
    """/clip.mp4; /far/N, N redirects before it; /to?URL; /status/N; /short, which breaks off."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "far":
            self._redirect("/clip.mp4" if rest == "1" else f"/far/{int(rest) - 1}")
        elif self.path.startswith("/to?"):
            self._redirect(self.path[4:])
        elif kind == "status":
            self.send_error(int(rest))
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CLIP_BYTES)))
            self.end_headers()
            self.wfile.write(CLIP_BYTES if kind == "clip.mp4" else CLIP_BYTES[:100_000])

    def _redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who reads only a part of an answer leaves it with an error."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """(URL, certificate, what was asked) of a server on this machine, known as localhost."""
    folder = tmp_path_factory.mktemp("https")
    certificate, key = folder / "crt", folder / "key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    listening = _Server(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{listening.server_port}", certificate, asked
    listening.shutdown()
    listening.server_close()
    thread.join()


Read = Callable[..., bytes]


@pytest.fixture
def read(server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Read:
    """What a worker has of a clip whose address is this path of the server, or another."""
    url, certificate, asked = server
    asked.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def do(path: str, *, private: bool = True, **settings: object) -> bytes:
        context = Context(read_settings(fetch_private=private, **settings))
        source = path if path.startswith("https:") else url + path
        job = ClipJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH, source=source)
        with context.open_clip(job) as file:
            return file.read()

    return do


@pytest.mark.parametrize("path", ["/clip.mp4", "/far/5"])
def test_a_clip_is_fetched_redirects_and_all(read: Read, path: str) -> None:
    assert read(path) == CLIP_BYTES


def test_a_query_in_an_address_is_asked_for(
    read: Read, server: tuple[str, Path, list[str]]
) -> None:
    with pytest.raises(StoreUnavailable):
        read("/short?token=1")
    assert server[2] == ["/short?token=1"]


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("/far/6", ClipMissing, "more than 5 redirects"),
        ("/status/404", ClipMissing, r"is not there: .* \(status 404\)"),
        ("/status/400", ClipMissing, "status 400"),
        ("/status/503", StoreUnavailable, "just now"),
        ("/status/429", StoreUnavailable, "just now"),
        ("/short", StoreUnavailable, "broke off"),
        ("/to?http://localhost/a.mp4", ClipMissing, "by https alone"),
        ("/to?file:///etc/passwd", ClipMissing, "by https alone"),
        ("https://localhost:1/a.mp4", StoreUnavailable, "cannot be reached"),
        ("https://no-such-host.invalid/a.mp4", StoreUnavailable, "cannot be resolved"),
    ],
)
def test_what_cannot_be_had_is_named(
    read: Read, path: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(path)


def test_a_clip_beyond_the_limit_is_left_off(read: Read) -> None:
    with pytest.raises(ClipTooLarge, match="max_clip_bytes"):
        read("/clip.mp4", max_clip_bytes=2_000_000)


def test_a_clip_that_is_sent_too_slowly_is_left_off(read: Read) -> None:
    with pytest.raises(ClipMissing, match="too slowly"):
        read("/clip.mp4", max_decode_s=1e-9)


def test_an_address_leads_to_what_the_worker_allows(
    read: Read, server: tuple[str, Path, list[str]]
) -> None:
    assert read("/far/2", allowed_sources=[server[0]]) == CLIP_BYTES


def test_an_address_does_not_lead_out_of_what_the_worker_allows(
    read: Read, server: tuple[str, Path, list[str]]
) -> None:
    path = f"/to?{server[0]}/clip.mp4"

    with pytest.raises(SourceNotAllowed, match=r"clip\.mp4 \(setting allowed_sources"):
        read(path, allowed_sources=[f"{server[0]}/to"])

    assert server[2] == [path]


def test_a_host_of_the_own_network_is_not_asked(
    read: Read, server: tuple[str, Path, list[str]]
) -> None:
    with pytest.raises(ClipMissing, match=r"own network \(.*fetch_private"):
        read("/clip.mp4", private=False)
    assert server[2] == []


def test_a_public_host_may_not_lead_to_one_of_the_own_network(
    read: Read, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path, list[str]]
) -> None:
    real = fetch._address

    def once(host: str, port: int, *, private: bool) -> str:
        monkeypatch.setattr(fetch, "_address", real)
        return "127.0.0.1"

    monkeypatch.setattr(fetch, "_address", once)
    with pytest.raises(ClipMissing, match="own network"):
        read(f"/to?{server[0]}/clip.mp4", private=False)
    assert server[2] == [f"/to?{server[0]}/clip.mp4"]


def test_a_certificate_of_another_is_not_believed(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StoreUnavailable, match=r"cannot be reached \(SSLError"):
        read("/clip.mp4")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address: str, public: bool) -> None:
    assert fetch._is_public(address) is public
