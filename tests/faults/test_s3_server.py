"""The S3 server is killed, or stands still: what was acknowledged is there, and writes wait."""

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipfleet.store import Store
from tests.support.s3_server import S3Server


@pytest.fixture
def store(own_s3_server: S3Server) -> Store:
    """An empty store in a bucket of its own, prepared."""
    store = own_s3_server.store(f"s3://{uuid.uuid4()}")
    store.prepare()
    return store


def test_objects_outlive_a_killed_server(own_s3_server: S3Server, store: Store) -> None:
    written = {f"metas/{n}": os.urandom(100_000) for n in range(20)}
    for key, data in written.items():
        store.put(key, data)

    own_s3_server.restart()

    assert {found.key: store.get(found.key) for found in store.list("")} == written


def test_a_write_waits_for_a_server_that_is_back_soon(
    own_s3_server: S3Server, store: Store
) -> None:
    with ThreadPoolExecutor(1) as pool:
        own_s3_server.kill()
        try:
            writing = pool.submit(store.put, "a", b"x")
            time.sleep(0.5)
        finally:
            own_s3_server.restart()

        assert writing.result()
    assert store.get("a") == b"x"


def test_a_server_whose_disk_stood_still_answers_again(
    own_s3_server: S3Server, store: Store
) -> None:
    """Of the test's server itself: with leases of half a second it sometimes did not."""
    with ThreadPoolExecutor(24) as pool:
        for _ in range(3):
            with own_s3_server.disk_standing_still():
                writing = [pool.submit(store.put, f"a/{n}", b"x") for n in range(24)]
                time.sleep(0.8)

            assert all(one.result(timeout=30) for one in writing)
