"""An S3 server that answers slowly, byte by byte or never: every request has an end."""

import socket
import threading
import time
from collections.abc import Callable

import pytest

from clipfleet.errors import StoreUnavailable
from clipfleet.store import Store, open_store, s3_client
from tests.support.drip import DrippingServer

REQUEST_S = 0.4


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may take `REQUEST_S`, and its body next to nothing beyond."""
    monkeypatch.setattr(s3_client, "_REQUEST_S", REQUEST_S)
    monkeypatch.setattr(s3_client, "_SLOWEST_BYTES_PER_S", 1e9)


def store(port: int) -> Store:
    return open_store(
        "s3://bucket",
        s3_endpoint=f"http://127.0.0.1:{port}",
        s3_access_key="key",
        s3_secret_key="a secret of length",
        s3_region="us-east-1",
    )


ASKED: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("a"),
    "stat": lambda store: store.stat("a"),
    "list": lambda store: list(store.list("a")),
    "put": lambda store: store.put("a", bytes(2**24)),
    "delete": lambda store: store.delete("a"),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("what", ["nothing", "headers", "patience"])
def test_a_server_that_draws_its_answer_out_is_left(what: str, asked: str) -> None:
    began = time.monotonic()
    with DrippingServer(what) as drip:
        with pytest.raises(StoreUnavailable, match="takes longer than such a request may"):
            ASKED[asked](store(drip.port))
        assert drip.asked == 1
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("what", ["a body", "chunks"])
@pytest.mark.parametrize("asked", ["get", "list"])
def test_a_server_that_draws_its_body_out_is_left(what: str, asked: str) -> None:
    began = time.monotonic()
    with (
        DrippingServer(what) as drip,
        pytest.raises(StoreUnavailable, match="takes longer than such a request may"),
    ):
        ASKED[asked](store(drip.port))
    assert time.monotonic() - began < 3


def test_a_server_that_does_not_read_what_it_is_sent_is_left() -> None:
    began = time.monotonic()
    with DrippingServer("no ear") as drip, pytest.raises(StoreUnavailable):
        ASKED["put"](store(drip.port))
    assert time.monotonic() - began < 3


def test_a_large_object_is_given_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "_SLOWEST_BYTES_PER_S", 2**20)
    began = time.monotonic()
    with DrippingServer("a body") as drip, pytest.raises(StoreUnavailable):
        store(drip.port).get("a")  # a megabyte, by its headers
    assert time.monotonic() - began > 2 * REQUEST_S


def test_a_free_connection_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "_POOL_CONNECTIONS", 1)
    failed: list[StoreUnavailable] = []

    def get(asked: Store) -> None:
        try:
            asked.get("a")
        except StoreUnavailable as error:
            failed.append(error)

    with DrippingServer("nothing") as drip:
        asked = store(drip.port)
        threads = [threading.Thread(target=get, args=(asked,), daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3)

        assert len(failed) == 3


def test_a_name_that_is_looked_up_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store(9).get("a")
    assert time.monotonic() - began < 3
    ended.set()
