"""Clips behind presigned addresses: what is asked for, and what is said where it is refused."""

import functools
import http.server
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.errors import AddressRefused, ClipError, ClipMissing, StoreError
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.presigned import bare
from clipfleet.settings import read_settings
from clipfleet.sources import SourceNotAllowed
from clipfleet.store import Store
from clipfleet_workers.context import Context
from clipfleet_workers.steps.prepare import cut_clip
from tests.support import clips
from tests.support.records import CLIP, put_places
from tests.support.tls import behind_tls, make_certificate

MINI = Options.model_validate({"caption": {"model_variant": "mini"}})
SIGNATURE = "5ec2e7" * 10
SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA5ec%2Fx&X-Amz-SignedHeaders=host"
    f"&X-Amz-Date=20991231T230000Z&X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
)
PAST = SIGNED.replace("2099", "2020")


class _Handler(http.server.BaseHTTPRequestHandler):
    """/clip.mp4; /film.mp4, a video; /garbled, with a header that is none; /short, which breaks
    off; /to?URL; /led, which redirects to a signature of the server's; /refused/STATUS/CODE."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        status, body = 200, _film() if kind == "film.mp4" else b"a clip"
        if kind == "refused":
            code, _, why = rest.partition("/")
            status = int(code)
            text = f"<Error><Code>{why}</Code><Message>not {self.path}: {SIGNATURE}</Message>"
            body = text.encode()
        self.send_response(302 if kind in ("to", "led") else status)
        if kind == "to":
            self.send_header("Location", self.path.partition("?")[2])
        if kind == "led":
            self.send_header("Location", f"/refused/403/AccessDenied?{PAST}")
        if kind == "garbled":
            self.wfile.write(b"".join(self._headers_buffer) + b": no name\r\n x\r\n")
            self._headers_buffer: list[bytes] = []
        self.send_header("Content-Length", str(len(body) + 5 * (kind == "short")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@functools.cache
def _film() -> bytes:
    return clips.encode(30, options={"preset": "ultrafast"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """(URL, certificate, what was asked) of a server on this machine, known as localhost."""
    certificate = make_certificate(tmp_path_factory.mktemp("https"))
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        with behind_tls(listening.server_port, certificate) as port:
            yield f"https://localhost:{port}", certificate.path, asked
        listening.shutdown()
        thread.join()


class Worker:
    """Reads clips whose addresses are paths of the server, signed as scratch has it."""

    def __init__(self, url: str, store: Store) -> None:
        self.url, self.store = url, store
        self.settings: dict[str, object] = {}

    def job(self, path: str) -> ClipJob:
        address = self.url + path
        if bare(address) != address:
            self.store.put(keys.Scratch(CLIP, MINI.hash).address, address.encode())
        return ClipJob(run_id="r1", clip_uuid=CLIP, options_hash=MINI.hash, source=bare(address))

    def context(self) -> Context:
        return Context(read_settings(store=self.store.uri, fetch_private=True, **self.settings))

    def read(self, path: str) -> bytes:
        with self.context().open_clip(self.job(path)) as opened:
            return opened.file.read()


@pytest.fixture
def worker(
    server: tuple[str, Path, list[str]], folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> Worker:
    url, certificate, asked = server
    asked.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return Worker(url, folder_store)


@pytest.mark.parametrize(
    "path",
    [
        f"/clip.mp4?{SIGNED}",
        f"/a%2fb%7e%C3%a9/clip.mp4?v=%2f%7e&{SIGNED}&b=[1]|x&a=",
        "/clip.mp4?Expires=4102444800&Signature=a~b-%2f&Key-Pair-Id=K2",
        "/clip.mp4?v=%2f&b=[1]",
    ],
)
def test_an_address_is_asked_for_byte_for_byte(
    worker: Worker, server: tuple[str, Path, list[str]], path: str
) -> None:
    assert worker.read(path) == b"a clip"
    assert server[2] == [path]


def test_without_its_signature_in_scratch_the_address_itself_is_asked_for(
    worker: Worker, server: tuple[str, Path, list[str]]
) -> None:
    job = worker.job(f"/clip.mp4?v=1&{SIGNED}")
    worker.store.delete(keys.Scratch(CLIP, MINI.hash).address)

    with worker.context().open_clip(job) as opened:
        assert opened.file.read() == b"a clip"
    assert server[2] == ["/clip.mp4?v=1"]


def test_an_address_of_another_clip_in_scratch_is_not_asked_for(
    worker: Worker, server: tuple[str, Path, list[str]]
) -> None:
    job = worker.job("/clip.mp4")
    worker.store.put(
        keys.Scratch(CLIP, MINI.hash).address, f"{worker.url}/other.mp4?{SIGNED}".encode()
    )

    with worker.context().open_clip(job) as opened:
        assert opened.file.read() == b"a clip"
    assert server[2] == ["/clip.mp4"]


EXPIRED = r"^its presigned URL has expired \(at 2021-01-01 00:00:00 UTC\): https://localhost:\d+"
LATER = r"^its presigned URL has expired \(at 2100-01-01 00:00:00 UTC\): "
REFUSED = r"^its presigned URL is refused: https://localhost"
FRESH = r"; run it again with a fresh one$"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            f"/refused/403/AccessDenied?{PAST}",
            EXPIRED + r"\S+ \(status 403, AccessDenied\)" + FRESH,
        ),
        (
            f"/refused/400/ExpiredToken?{SIGNED}",
            LATER + r"\S+ \(status 400, ExpiredToken\)" + FRESH,
        ),
        (
            f"/refused/403/SignatureDoesNotMatch?{SIGNED}",
            REFUSED + r"\S+ \(status 403, SignatureDoesNotMatch\)" + FRESH,
        ),
        (
            "/led",
            r"may not be read: \S+AccessDenied \(status 403\); if its .* presigned",
        ),
        (f"/refused/401/?{SIGNED}", REFUSED + r"\S+ \(status 401\)" + FRESH),
        ("/refused/403/AccessDenied", r"may not be read: \S+ \(status 403\); if its .* presigned"),
        ("/refused/401/x?id=7", r"may not be read: \S+id=7 \(status 401\); if its .* presigned"),
    ],
)
def test_an_address_that_is_refused_says_why_and_what_to_do(
    worker: Worker, path: str, said: str
) -> None:
    plan = cut_clip(worker.context(), worker.job(path), MINI)

    (failure,) = plan.errors
    assert failure.error == AddressRefused.__name__
    assert re.search(said, failure.message), failure.message
    assert SIGNATURE not in failure.message


@pytest.mark.parametrize(
    "path",
    [
        "/short?{}",
        "/garbled?{}",
        "/refused/404/NoSuchKey?{}",
        "/refused/403/AccessDenied?{}",
        "/refused/503/SlowDown?{}",
        "/refused/418/Teapot?{}",
        "/to?/refused/404/NoSuchKey?{}",
        "/to?http://localhost/clip.mp4?{}",
        "/to?https://[half/clip.mp4?{}",
        "/to?https://localhost:99999/clip.mp4?{}",
        "/to?https://localhost:1/clip.mp4?{}",
        "/to?/clip.mp4?%20é {}",
    ],
)
def test_nothing_that_goes_wrong_says_a_signature(
    worker: Worker, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    job = worker.job(path.format(SIGNED))
    try:
        said = cut_clip(worker.context(), job, MINI).model_dump_json()
    except StoreError as error:
        said = f"{error!r} {error.__cause__!r}"

    assert SIGNATURE not in said
    assert not [each for each in caplog.records if SIGNATURE in f"{each.getMessage()}{vars(each)}"]


def test_a_secret_of_another_kind_is_asked_for_and_not_said(
    worker: Worker, server: tuple[str, Path, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ClipMissing) as refused:
        worker.read("/refused/404/x?id=7&token=5ec2e7")

    assert server[2] == ["/refused/404/x?id=7&token=5ec2e7"]
    assert "?id=7&token=…" in str(refused.value)
    assert "5ec2e7" not in caplog.text


def test_a_place_that_is_allowed_is_one_whatever_the_signature(worker: Worker) -> None:
    for place in (worker.url, f"{worker.url}/clip.mp4", f"{worker.url}/clip.mp4?{PAST}"):
        worker.settings = {"allowed_sources": [place]}
        assert worker.read(f"/clip.mp4?{SIGNED}") == b"a clip"

    worker.settings = {"allowed_sources": [f"{worker.url}/other"]}
    with pytest.raises(SourceNotAllowed) as refused:
        worker.read(f"/clip.mp4?{SIGNED}")
    assert SIGNATURE not in str(refused.value)


def test_a_redirect_to_a_presigned_address_out_of_what_is_allowed_is_not_said(
    worker: Worker,
) -> None:
    worker.settings = {"allowed_sources": [f"{worker.url}/to"]}

    with pytest.raises(ClipError, match="lies outside") as refused:
        worker.read(f"/to?/clip.mp4?{SIGNED}")
    assert SIGNATURE not in str(refused.value)


@pytest.mark.parametrize("named", ["/film.mp4", f"/film.mp4?{PAST}", "/other.mp4"])
def test_a_presigned_clip_is_copied_if_its_address_was_named_whatever_the_signature(
    worker: Worker, named: str
) -> None:
    put_places(worker.store, worker.url + named)
    prepare = {"upload_clips": True, "generate_previews": False}
    options = Options.model_validate({**MINI.model_dump(), "prepare": prepare})

    plan = cut_clip(worker.context(), worker.job(f"/film.mp4?{SIGNED}"), options)

    assert plan.errors == []
    assert plan.uploaded == (named != "/other.mp4") == worker.store.exists(keys.clip(CLIP))
    assert SIGNATURE not in plan.model_dump_json()
