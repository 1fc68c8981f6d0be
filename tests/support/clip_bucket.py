"""A bucket that others filled with clips, under keys of any kind, and what is found there."""

import http.client
import io
import uuid
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from minio import Minio
from minio.credentials.credentials import Credentials
from minio.signer import presign_v4

from clipfleet.settings import Settings
from tests.support.found_clips import Found, find
from tests.support.s3_server import S3Server


class ClipBucket:
    """A new bucket of the server."""

    def __init__(self, server: S3Server) -> None:
        self.name = f"clips-{uuid.uuid4()}"
        self.url = f"s3://{self.name}"
        self.access = {
            "s3_endpoint": server.endpoint,
            "s3_access_key": server.access_key,
            "s3_secret_key": server.secret_key,
        }
        self.settings = Settings.model_validate(self.access)
        self._server = server
        self._client = Minio(
            urlsplit(server.endpoint).netloc,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=False,
        )
        self._client.make_bucket(self.name)

    def put(self, key: str, data: bytes = b"clip") -> None:
        """Write an object under a key as it is, which the store would refuse."""
        self._client.put_object(self.name, key, io.BytesIO(data), len(data))

    def put_raw(self, key: str, data: bytes = b"clip") -> None:
        """Write one under a key that clients refuse, or would write as another: `a/../b`."""
        url = urlsplit(f"{self._server.endpoint}/{self.name}/{quote(key)}")
        signed = presign_v4(
            method="PUT",
            url=url,
            region="us-east-1",
            credentials=Credentials(self._server.access_key, self._server.secret_key),
            date=datetime.now(UTC),
            expires=60,
        )
        connection = http.client.HTTPConnection(url.netloc, timeout=30)
        path = signed.path.replace("/..", "/%2E%2E").replace("/./", "/%2E/")
        connection.request("PUT", f"{path}?{signed.query}", data)
        assert connection.getresponse().status == 200
        connection.close()

    def find(self, *names: str) -> Found:
        """What is named below the bucket."""
        return find(*(f"{self.url}/{name}" for name in names), settings=self.settings)

    def keys(self, *names: str) -> list[str]:
        """The keys of the clips found there; there must be no problem."""
        found = self.find(*names)
        assert found.problems == []
        return sorted(clip.source.removeprefix(f"{self.url}/") for clip in found.clips)
