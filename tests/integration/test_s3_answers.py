"""What the S3 store makes of answers that are lost, broken off, or say no."""

import logging
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clipfleet.errors import ObjectMissing, StoreDenied, StoreError, StoreFull, StoreUnavailable
from clipfleet.store import Store, open_store
from tests.support.s3_server import S3Server


class Wire(socketserver.ThreadingTCPServer):
    """Passes bytes on to a server, and cuts the answer off where a test asks for it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = ("127.0.0.1", port)
        self.cut_after_bytes: int | None = None
        self.cuts = 0
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    server: Wire

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream) as upstream:
            up = threading.Thread(target=self._pass_up, args=(upstream,))
            up.start()
            self._pass_down(upstream)
            for end in (self.request, upstream):
                _hang_up(end)
            up.join()

    def _pass_up(self, upstream: socket.socket) -> None:
        try:
            while data := self.request.recv(65536):
                upstream.sendall(data)
        except OSError:
            pass
        _hang_up(upstream)

    def _pass_down(self, upstream: socket.socket) -> None:
        passed = 0
        try:
            while data := upstream.recv(65536):
                limit = self.server.cut_after_bytes
                if limit is not None and passed + len(data) > limit:
                    self.server.cut_after_bytes = None
                    self.server.cuts += 1
                    self.request.sendall(data[: limit - passed])
                    return
                self.request.sendall(data)
                passed += len(data)
        except OSError:
            return


def _hang_up(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    with Wire(s3_server.port) as wire:
        serving = threading.Thread(target=wire.serve_forever, args=(0.05,))
        serving.start()
        yield wire
        wire.shutdown()
        serving.join()


@pytest.fixture
def wired_store(wire: Wire, s3_server: S3Server, s3_store: Store) -> Store:
    """A store whose first connection is made anew by each test's first request."""
    return open_store(
        s3_store.uri,
        s3_endpoint=wire.endpoint,
        s3_access_key=s3_server.access_key,
        s3_secret_key=s3_server.secret_key,
        s3_region="us-east-1",
    )


def test_a_put_if_absent_whose_answer_is_lost_still_counts_as_ours(
    wire: Wire, wired_store: Store
) -> None:
    wire.cut_after_bytes = 0

    assert wired_store.put("claim", b"mine", if_absent=True)

    assert wire.cuts == 1
    assert not wired_store.put("claim", b"again", if_absent=True)


def test_a_put_if_absent_whose_answer_is_lost_does_not_claim_what_is_anothers(
    wire: Wire, wired_store: Store, s3_store: Store
) -> None:
    s3_store.put("claim", b"theirs", if_absent=True)
    wire.cut_after_bytes = 0

    assert not wired_store.put("claim", b"mine", if_absent=True)

    assert wire.cuts == 1
    assert wired_store.get("claim") == b"theirs"


def test_a_put_over_what_was_read_whose_answer_is_lost_still_counts_as_ours(
    wire: Wire, wired_store: Store, s3_store: Store
) -> None:
    s3_store.put("head", b"first")
    _, first = s3_store.get_version("head")
    wire.cut_after_bytes = 0

    assert wired_store.put_if_match("head", b"mine", first)

    assert wire.cuts == 1
    assert not wired_store.put_if_match("head", b"again", first)
    assert s3_store.get("head") == b"mine"


def test_a_put_over_what_changed_whose_answer_is_lost_does_not_claim_what_is_anothers(
    wire: Wire, wired_store: Store, s3_store: Store
) -> None:
    s3_store.put("head", b"first")
    _, first = s3_store.get_version("head")
    s3_store.put("head", b"theirs")
    wire.cut_after_bytes = 0

    assert not wired_store.put_if_match("head", b"mine", first)

    assert wire.cuts == 1
    assert s3_store.get("head") == b"theirs"


def test_a_read_that_breaks_off_half_way_is_read_again(
    wire: Wire, wired_store: Store, s3_store: Store
) -> None:
    data = bytes(range(256)) * 4096
    s3_store.put("big", data)
    wire.cut_after_bytes = 300_000

    assert wired_store.get("big") == data

    assert wire.cuts == 1


class Script(ThreadingHTTPServer):
    """Answers by what is in the request's address; everything else with an empty 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: dict[str, tuple[int, str]] = {}
        self.requests = 0


def refusal(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>as asked</Message></Error>"


class _Answer(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def _say(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests += 1
        answers = self.server.answers.items()
        found = [answer for part, answer in answers if part in self.path]
        status, text = found[0] if found else (200, "")
        body = b"" if self.command == "HEAD" else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _say

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has enough to show."""


@pytest.fixture
def script() -> Iterator[Script]:
    with Script() as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def scripted_store(script: Script) -> Store:
    return open_store(
        "s3://bucket/out",
        s3_endpoint=f"http://127.0.0.1:{script.server_address[1]}",
        s3_access_key="key",
        s3_secret_key="very-private",
        s3_region="us-east-1",
    )


@pytest.mark.parametrize(
    ("status", "code", "error", "remedy"),
    [
        (404, "NoSuchKey", ObjectMissing, "cannot write a"),
        (404, "NoSuchBucket", ObjectMissing, "prepare the store"),
        (403, "AccessDenied", StoreDenied, "CLIPFLEET_S3_ACCESS_KEY"),
        (403, "RequestTimeTooSkewed", StoreDenied, "clock"),
        (403, "QuotaExceeded", StoreFull, "quota"),
        (507, "XMinioStorageFull", StoreFull, "free some space"),
        (400, "AuthorizationHeaderMalformed", StoreError, "CLIPFLEET_S3_REGION"),
    ],
)
def test_an_answer_that_says_no_is_named_with_its_remedy(
    script: Script,
    scripted_store: Store,
    status: int,
    code: str,
    error: type[StoreError],
    remedy: str,
) -> None:
    script.answers["/a"] = (status, refusal(code))

    with pytest.raises(StoreError) as refused:
        scripted_store.put("a", b"x")

    assert type(refused.value) is error
    assert f"{code}: as asked" in str(refused.value)
    assert remedy in str(refused.value)
    assert script.requests == 1


def test_a_busy_server_is_asked_again_before_it_is_unavailable(
    script: Script, scripted_store: Store
) -> None:
    script.answers["/a"] = (503, refusal("SlowDown"))

    with pytest.raises(StoreUnavailable, match="SlowDown: as asked; try again later"):
        scripted_store.put("a", b"x")

    assert script.requests == 5


def test_a_server_that_does_not_speak_s3_is_unavailable(
    script: Script, scripted_store: Store
) -> None:
    script.answers["/a"] = (404, "")

    with pytest.raises(StoreUnavailable, match="CLIPFLEET_S3_ENDPOINT"):
        scripted_store.get("a")


def test_a_write_that_conflicts_with_another_is_tried_again(
    script: Script, scripted_store: Store
) -> None:
    script.answers["/a"] = (409, refusal("ConditionalRequestConflict"))

    assert not scripted_store.put("a", b"x", if_absent=True)

    assert script.requests == 3


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (405, "MethodNotAllowed")]
)
def test_preparing_goes_on_with_a_warning_where_scratch_cannot_expire(
    script: Script,
    scripted_store: Store,
    status: int,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script.answers["?lifecycle"] = (status, refusal(code))

    with caplog.at_level(logging.WARNING, logger="clipfleet"):
        scripted_store.prepare()

    (warning,) = caplog.records
    assert warning.__dict__["action"] == "scratch_expiry_not_set"
    assert code in warning.getMessage()


@pytest.fixture
def half_deleted(script: Script) -> Script:
    """Deleting three objects at once is answered with 200 and one failure."""
    listed = "".join(f"<Contents><Key>out/{key}</Key></Contents>" for key in "abc")
    failed = "<Error><Code>UnknownError</Code><Key>out/b</Key></Error>"
    script.answers["list-type=2"] = (200, f"<Result><Name>bucket</Name>{listed}</Result>")
    script.answers["?delete"] = (200, f"<DeleteResult>{failed}</DeleteResult>")
    return script


def test_an_object_that_was_not_deleted_with_the_others_is_deleted_alone(
    half_deleted: Script, scripted_store: Store
) -> None:
    assert scripted_store.delete_prefix("") == 3

    assert half_deleted.requests == 3


def test_an_object_that_cannot_be_deleted_is_an_error(
    half_deleted: Script, scripted_store: Store
) -> None:
    half_deleted.answers["/out/b"] = (403, refusal("AccessDenied"))

    with pytest.raises(StoreDenied, match="AccessDenied: as asked"):
        scripted_store.delete_prefix("")
