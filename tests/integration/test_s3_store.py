"""What S3 adds to the contract of a store."""

import socket
import time
import traceback
import urllib.error
import urllib.request
import uuid
from xml.etree import ElementTree as ET

import pytest
from minio import Minio
from minio.helpers import md5sum_hash

from clipfleet.errors import StoreDenied, StoreUnavailable
from clipfleet.store import Store, open_store
from tests.support.s3_server import S3Server


def admin(server: S3Server) -> Minio:
    return Minio(
        server.endpoint.removeprefix("http://"),
        access_key=server.access_key,
        secret_key=server.secret_key,
        secure=False,
    )


def lifecycle_rules(server: S3Server, bucket: str) -> dict[str, str]:
    """The bucket's rules as the server tells them, by id."""
    response = admin(server)._execute("GET", bucket, query_params={"lifecycle": ""})
    text = response.data.decode().replace(' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', "")
    rules = ET.fromstring(text).findall("Rule")
    return {rule.findtext("ID") or "": ET.tostring(rule, "unicode") for rule in rules}


def set_lifecycle(server: S3Server, bucket: str, rules: str) -> None:
    body = f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>".encode()
    admin(server)._execute(
        "PUT",
        bucket,
        body=body,
        headers={"Content-MD5": md5sum_hash(body) or ""},
        query_params={"lifecycle": ""},
    )


def test_preparing_makes_the_bucket(s3_server: S3Server) -> None:
    bucket = f"made-{uuid.uuid4()}"

    s3_server.store(f"s3://{bucket}/out").prepare()

    assert admin(s3_server).bucket_exists(bucket)


def test_preparing_makes_scratch_expire_after_seven_days(s3_server: S3Server) -> None:
    bucket = f"expiring-{uuid.uuid4()}"

    s3_server.store(f"s3://{bucket}/out").prepare()
    s3_server.store(f"s3://{bucket}").prepare()

    assert lifecycle_rules(s3_server, bucket) == {
        name: f"<Rule><ID>{name}</ID><Filter><Prefix>{prefix}</Prefix></Filter>"
        "<Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>"
        for name, prefix in [
            ("clipfleet-scratch", "scratch/"),
            ("clipfleet-scratch out/", "out/scratch/"),
        ]
    }


def test_preparing_keeps_the_rules_of_others(s3_server: S3Server) -> None:
    bucket = f"shared-{uuid.uuid4()}"
    admin(s3_server).make_bucket(bucket)
    set_lifecycle(
        s3_server,
        bucket,
        "<Rule><ID>prefix outside filter</ID><Prefix>logs/</Prefix><Status>Enabled</Status>"
        "<Expiration><Days>3</Days></Expiration></Rule>"
        "<Rule><ID>tagged</ID><Filter><And><Prefix>t/</Prefix><Tag><Key>k</Key><Value>v</Value>"
        "</Tag></And></Filter><Status>Disabled</Status><NoncurrentVersionExpiration>"
        "<NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration></Rule>",
    )
    before = lifecycle_rules(s3_server, bucket)

    s3_server.store(f"s3://{bucket}").prepare()

    after = lifecycle_rules(s3_server, bucket)
    assert after.pop("clipfleet-scratch")
    assert after == before


def test_preparing_puts_an_outdated_rule_right(s3_server: S3Server) -> None:
    bucket = f"outdated-{uuid.uuid4()}"
    store = s3_server.store(f"s3://{bucket}")
    store.prepare()
    wanted = lifecycle_rules(s3_server, bucket)
    set_lifecycle(s3_server, bucket, wanted["clipfleet-scratch"].replace(">7<", ">700<"))

    store.prepare()

    assert lifecycle_rules(s3_server, bucket) == wanted


def test_a_presigned_link_expires(s3_store: Store) -> None:
    s3_store.put("a", b"x")
    link = s3_store.presigned_get("a", expires_s=1)

    time.sleep(2.1)

    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(link, timeout=10)
    with refusal.value as response:
        assert response.code == 403


@pytest.mark.parametrize("wrong", ["s3_access_key", "s3_secret_key"])
def test_wrong_credentials_are_denied_and_not_repeated(s3_server: S3Server, wrong: str) -> None:
    credentials = {"s3_access_key": s3_server.access_key, "s3_secret_key": s3_server.secret_key}
    credentials[wrong] = "wrong-but-still-private"
    store = open_store("s3://some-bucket/out", s3_endpoint=s3_server.endpoint, **credentials)

    for use in (store.prepare, lambda: store.get("a"), lambda: store.put("a", b"x")):
        with pytest.raises(StoreDenied, match="CLIPFLEET_S3_SECRET_KEY") as denial:
            use()
        assert s3_server.endpoint in str(denial.value)
        assert "some-bucket" in str(denial.value)
        assert len(str(denial.value).splitlines()) == 1
        told = "".join(traceback.format_exception(denial.value))
        assert credentials["s3_secret_key"] not in told


def test_a_refused_port_is_unavailable_within_ten_seconds(s3_server: S3Server) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        store = s3_server.store("s3://bucket/out", endpoint=endpoint)
        began = time.monotonic()

        with pytest.raises(StoreUnavailable) as error:
            store.prepare()

    assert time.monotonic() - began < 10
    assert f"s3://bucket/out at {endpoint}: cannot prepare the store" in str(error.value)
    assert "Connection refused; check CLIPFLEET_S3_ENDPOINT" in str(error.value)
