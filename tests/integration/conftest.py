"""Stores to test against, the same contract on a folder and on a real S3 server; runs to feed."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet.store import Store, open_store
from clipfleet.testing import broker
from tests.support.broker import BrokerServer
from tests.support.feeding import Scene
from tests.support.s3_server import S3Server

__all__ = ["broker"]  # a fixture, for all that are here


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """An empty folder store, prepared."""
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    return store


@pytest.fixture
def s3_store(s3_server: S3Server) -> Store:
    """An empty store under a prefix in a bucket of its own, prepared."""
    store = s3_server.store(f"s3://{uuid.uuid4()}/out")
    store.prepare()
    return store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store in turn, empty and prepared."""
    found = request.getfixturevalue(f"{request.param}_store")
    assert isinstance(found, Store)
    return found


@pytest.fixture
def scene(tmp_path: Path, folder_store: Store) -> Iterator[Scene]:
    """A broker, an empty folder store, and feeders of its runs."""
    with BrokerServer(tmp_path) as server:
        made = Scene(server, folder_store)
        yield made
        for feeder in made.feeders:
            feeder.close()
        made.broker.close()
