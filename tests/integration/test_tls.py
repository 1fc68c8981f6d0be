"""On the way to the broker and the store: certificates are checked, and ours may be of our own."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clipfleet.broker import Broker
from clipfleet.errors import BrokerError, StoreUnavailable
from clipfleet.messages import ClipJob
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.store import open_store, s3
from tests.support.broker import BrokerServer

JOB = ClipJob(
    run_id="r",
    clip_uuid="6ba7b810-9dad-51d1-80b4-00c04fd430c8",
    options_hash="0" * 16,
    source="file:///clip.mp4",
)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate for the name localhost, which signs itself, and its key."""

    path: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(path=folder / "broker.crt", key=folder / "broker.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(made.path), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
    )
    return made


@contextlib.contextmanager
def behind_tls(port: int, certificate: Certificate) -> Iterator[int]:
    """A port at which the server of another port speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop, connections = threading.Event(), []

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    plain, _ = listening.accept()
                    plain.settimeout(5)
                    both = threading.Thread(target=speak, args=(plain,))
                    both.start()
                    connections.append(both)

        def speak(plain: socket.socket) -> None:
            with plain, contextlib.suppress(OSError):
                secret = context.wrap_socket(plain, server_side=True)
                with secret, socket.create_connection(("127.0.0.1", port)) as server:
                    up = threading.Thread(target=pass_on, args=(secret, server))
                    up.start()
                    pass_on(server, secret)
                    up.join()

        def pass_on(this: socket.socket, other: socket.socket) -> None:
            this.settimeout(0.1)
            while not stop.is_set():
                try:
                    data = this.recv(65536)
                    if not data:
                        break
                    other.sendall(data)
                except TimeoutError:
                    continue
                except OSError:
                    break
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_WR)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            stop.set()
            for thread in (accepting, *connections):
                thread.join()


@pytest.fixture
def port(certificate: Certificate, tmp_path: Path) -> Iterator[int]:
    """Where a broker with the password `password` speaks TLS."""
    server = BrokerServer(tmp_path)
    server.url = server.url.replace(server.password, "password")
    server.password = "password"
    with server, behind_tls(server.port, certificate) as there:
        yield there


def use(url: str) -> None:
    """What producers and workers do with a broker: by themselves, and by way of Celery."""
    Broker(url).check()
    app = make_app(url, lease_s=3)
    send_clip(app, JOB)
    app.close()
    broker = Broker(url)
    assert broker.backlog()[PREPARE] == 1
    broker.close()


def test_a_broker_whose_certificate_is_known_is_used(
    port: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))

    use(f"rediss://:password@localhost:{port}/0")


def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(port: int) -> None:
    url = f"rediss://:password@localhost:{port}/0"

    with pytest.raises(BrokerError, match="cannot be reached"):
        Broker(url).check()
    with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
        send_clip(make_app(url, lease_s=3), JOB)


def test_a_broker_with_the_certificate_of_another_host_is_refused(
    port: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    url = f"rediss://:password@127.0.0.1:{port}/0"

    with pytest.raises(BrokerError, match="cannot be reached"):
        Broker(url).check()
    with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
        send_clip(make_app(url, lease_s=3), JOB)


def test_a_store_is_believed_with_a_known_certificate_alone(
    port: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_RETRIES", 0)
    endpoint = f"https://localhost:{port}"  # no S3 server, but that is for later
    keys = {"s3_access_key": "key", "s3_secret_key": "secret", "s3_region": "us-east-1"}

    with pytest.raises(StoreUnavailable, match="certificate"):
        open_store("s3://bucket", s3_endpoint=endpoint, **keys).get("a")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    with pytest.raises(StoreUnavailable) as answered:
        open_store("s3://bucket", s3_endpoint=endpoint, **keys).get("a")
    assert "certificate" not in str(answered.value)
