"""What tests of every kind share."""

from collections.abc import Iterator

import pytest

from tests.s3_server import INSTALL, S3Server, missing_binaries


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, one for the whole run; take a bucket or a prefix of your own."""
    if missing := missing_binaries():
        pytest.fail(f"no {', '.join(missing)} here, which S3 tests need: {INSTALL}", pytrace=False)
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server
