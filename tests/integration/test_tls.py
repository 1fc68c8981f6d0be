"""On the way to the broker and the store: certificates are checked, and ours may be of our own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet.broker.client import Broker
from clipfleet.errors import BrokerError, StoreUnavailable
from clipfleet.messages import ClipJob
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.store import open_store, s3_client
from tests.support.broker import BrokerServer
from tests.support.tls import Certificate, behind_tls, make_certificate

JOB = ClipJob(
    run_id="r",
    clip_uuid="6ba7b810-9dad-51d1-80b4-00c04fd430c8",
    options_hash="0" * 16,
    source="file:///clip.mp4",
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


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
    monkeypatch.setattr(s3_client, "_RETRIES", 0)
    endpoint = f"https://localhost:{port}"  # no S3 server, but that is for later
    keys = {"s3_access_key": "key", "s3_secret_key": "secret", "s3_region": "us-east-1"}

    with pytest.raises(StoreUnavailable, match="certificate"):
        open_store("s3://bucket", s3_endpoint=endpoint, **keys).get("a")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    with pytest.raises(StoreUnavailable) as answered:
        open_store("s3://bucket", s3_endpoint=endpoint, **keys).get("a")
    assert "certificate" not in str(answered.value)
