"""Users of the tests' S3 server who may do what the policies in `deploy/` say, and no more."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import urllib3
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3

from tests.support.s3_server import S3Server

DEPLOY = Path(__file__).parents[2] / "deploy"


def read_policy(side: str, *, bucket: str = "clipfleet", clips: str = "raw-clips") -> str:
    """The policy of a side (worker, producer, reader), for a bucket and a bucket of clips."""
    text = (DEPLOY / f"s3-policy-{side}.json").read_text()
    return text.replace(":::clipfleet", f":::{bucket}").replace(":::raw-clips", f":::{clips}")


def add_user(
    server: S3Server, *, access_key: str, secret_key: str, policies: Iterable[str]
) -> None:
    """Let in a user named like the access key, with these policies and no bucket of its own."""
    server.call(
        *("radosgw-admin", "user", "create", f"--uid={access_key}", f"--display-name={access_key}"),
        # Ceph lets every user make buckets, whatever policies say; this forbids it.
        "--max-buckets=-1",
        *(f"--access-key={access_key}", f"--secret-key={secret_key}"),
    )
    server.call("radosgw-admin", "caps", "add", "--uid=tests", "--caps=user-policy=*")
    for number, policy in enumerate(policies):
        _put_policy(server, access_key, f"policy-{number}", policy)


def _put_policy(server: S3Server, user: str, name: str, policy: str) -> None:
    json.loads(policy)  # Ceph's own word on a policy that is none is no help
    query = {
        "Action": "PutUserPolicy",
        "UserName": user,
        "PolicyName": name,
        "PolicyDocument": policy,
    }
    url = f"{server.endpoint}/"
    body = urlencode(query).encode()
    digest, now = hashlib.sha256(body).hexdigest(), datetime.now(UTC)
    headers = sign_v4_s3(
        method="POST",
        url=urlsplit(url),
        region="us-east-1",
        headers={
            "Host": urlsplit(url).netloc,
            "Content-Type": "application/x-www-form-urlencoded",
            "x-amz-content-sha256": digest,
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        },
        credentials=Credentials(server.access_key, server.secret_key),
        content_sha256=digest,
        date=now,
    )
    signed = {key: str(value) for key, value in headers.items()}
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", url, body=body, headers=signed, retries=False)
    if answer.status != 200:
        raise RuntimeError(f"policy {name} of {user}: {answer.status} {answer.data.decode()}")
