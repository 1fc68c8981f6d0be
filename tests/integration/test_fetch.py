"""Clips by https: what is fetched, and who is not even asked."""

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipfleet.errors import ClipMissing, ClipTooLarge, StoreUnavailable
from clipfleet.messages import ClipJob
from clipfleet.settings import read_settings
from clipfleet.sources import SourceNotAllowed
from clipfleet_workers.context import Context
from clipfleet_workers.sources import https
from tests.support.drip import EVERY_S, DrippingServer
from tests.support.records import CLIP, HASH

CLIP_BYTES = b"a clip " * 500_000


class _Handler(http.server.BaseHTTPRequestHandler):
    """/clip.mp4; /far/N, N redirects before it; /to?URL; /status/N; /short, which breaks off;
    /drip/WHAT, a byte at a time of its headers, its body, its chunks, or one redirect after another
    that each come slowly."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "far":
            self._redirect("/clip.mp4" if rest == "1" else f"/far/{int(rest) - 1}")
        elif self.path.startswith("/to?"):
            self._redirect(self.path[4:])
        elif kind == "nowhere":
            self._redirect("https://[::1/half-an-address")
        elif kind == "status":
            self.send_error(int(rest))
        elif kind == "drip":
            self._drip(rest)
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

    def _drip(self, what: str) -> None:
        if what == "redirects":
            time.sleep(0.15)
            return self._redirect("/drip/redirects")
        more = {"headers": "X-Long: ", "body": f"Content-Length: {2**20}\r\n\r\n"}
        self.wfile.write(f"HTTP/1.1 200 OK\r\n{more[what]}".encode())
        until = time.monotonic() + 10
        while time.monotonic() < until:  # or until the other end closes
            self.wfile.write(b"a")
            time.sleep(EVERY_S)
        return None

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
        with context.open_clip(job) as opened:
            return opened.file.read()

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
        ("https://localhost:99999/a.mp4", ClipMissing, "no address that can be asked"),
        ("/to?https://localhost:99999/a.mp4", ClipMissing, "no address that can be asked"),
        ("/nowhere", ClipMissing, "redirect to nowhere"),
    ],
)
def test_what_cannot_be_had_is_named(
    read: Read, path: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(path)


def test_a_clip_beyond_the_limit_is_left_off(read: Read) -> None:
    with pytest.raises(ClipTooLarge, match=r"clip_limits\.max_bytes"):
        read("/clip.mp4", clip_limits={"max_bytes": 2_000_000})


def test_a_clip_that_is_sent_too_slowly_is_left_off(read: Read) -> None:
    with pytest.raises(ClipMissing, match="too slowly"):
        read("/clip.mp4", clip_limits={"max_decode_s": 1e-9})


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


@pytest.mark.parametrize("what", ["headers", "body", "redirects"])
def test_a_server_that_draws_its_answer_out_is_left_by_the_deadline(read: Read, what: str) -> None:
    began = time.monotonic()
    with pytest.raises(ClipMissing, match=r"too slowly.*max_decode_s"):
        read(f"/drip/{what}", clip_limits={"max_decode_s": 0.4})
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("what", ["nothing", "a TLS handshake"])
def test_a_server_that_draws_its_handshake_out_is_left_by_the_deadline(
    read: Read, what: str
) -> None:
    began = time.monotonic()
    with DrippingServer(what) as drip, pytest.raises(StoreUnavailable, match="cannot be reached"):
        read(f"https://localhost:{drip.port}/a.mp4", clip_limits={"max_decode_s": 0.4})
    assert time.monotonic() - began < 3


def test_a_name_that_is_looked_up_without_end_is_given_up(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(10) and [])
    with pytest.raises(StoreUnavailable, match="not resolved in time"):
        read("/clip.mp4", clip_limits={"max_decode_s": 0.1})
    ended.set()


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "127.1", "017700000001", "0", "①②⑦.⓪.⓪.①", "１２７.0.0.1"]
)
def test_an_address_in_an_odd_form_is_no_hosts_name(read: Read, host: str) -> None:
    with pytest.raises(ClipMissing, match="no host's name"):
        read(f"https://{host}/a.mp4", private=True)


def test_a_host_of_the_own_network_is_not_asked(
    read: Read, server: tuple[str, Path, list[str]]
) -> None:
    with pytest.raises(ClipMissing, match=r"own network \(.*fetch_private"):
        read("/clip.mp4", private=False)
    assert server[2] == []


def test_a_public_host_may_not_lead_to_one_of_the_own_network(
    read: Read, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path, list[str]]
) -> None:
    real = https._address

    def once(host: str, port: int, *, private: bool, within_s: float) -> str:
        monkeypatch.setattr(https, "_address", real)
        return "127.0.0.1"

    monkeypatch.setattr(https, "_address", once)
    with pytest.raises(ClipMissing, match="own network"):
        read(f"/to?{server[0]}/clip.mp4", private=False)
    assert server[2] == [f"/to?{server[0]}/clip.mp4"]


def test_a_certificate_of_another_is_not_believed(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StoreUnavailable, match=r"cannot be reached \(SSLError"):
        read("/clip.mp4")
