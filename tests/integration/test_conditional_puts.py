"""What every store promises of objects that are put where nothing is, or over what was read."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipfleet.errors import ObjectMissing
from clipfleet.store import Store
from tests.integration.test_stores import MIB


def test_put_if_absent_keeps_what_is_there(store: Store) -> None:
    assert store.put("claims/a", b"first", if_absent=True)
    assert not store.put("claims/a", b"second", if_absent=True)

    assert store.get("claims/a") == b"first"


def test_what_was_read_can_be_put_over_and_has_another_version_then(store: Store) -> None:
    assert store.put("head", b"first", if_absent=True)
    data, first = store.get_version("head")

    assert store.put_if_match("head", data + b", second", first)

    data, second = store.get_version("head")
    assert data == b"first, second"
    assert second != first
    assert store.put_if_match("head", b"", second)
    assert store.get_version("head")[0] == b""


def overwrite(store: Store) -> None:
    store.put("head", b"theirs")


def overwrite_by_version(store: Store) -> None:
    assert store.put_if_match("head", b"theirs", store.get_version("head")[1])


def delete(store: Store) -> None:
    store.delete("head")


def make_anew(store: Store) -> None:
    store.delete("head")
    assert store.put("head", b"theirs", if_absent=True)


@pytest.mark.parametrize("meanwhile", [overwrite, overwrite_by_version, make_anew, delete])
def test_what_was_read_is_not_put_over_once_it_has_changed_or_is_gone(
    store: Store, meanwhile: Callable[[Store], None]
) -> None:
    store.put("head", b"first")
    _, first = store.get_version("head")
    meanwhile(store)

    assert not store.put_if_match("head", b"ours", first)

    if meanwhile is delete:
        assert not store.exists("head")
    else:
        assert store.get("head") == b"theirs"


def test_nothing_is_put_over_what_never_was(store: Store) -> None:
    store.put("head", b"first")
    _, version = store.get_version("head")

    assert not store.put_if_match("none there", b"x", version)
    assert not store.exists("none there")
    with pytest.raises(ObjectMissing):
        store.get_version("none there")


def test_of_many_who_add_to_what_they_read_and_try_again_none_is_lost(store: Store) -> None:
    store.put("head", b"")

    def add(number: int) -> None:
        for _ in range(200):
            data, version = store.get_version("head")
            if store.put_if_match("head", data + f" {number}".encode(), version):
                return
        raise AssertionError("no try came through")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))

    assert sorted(map(int, store.get("head").split())) == list(range(24))


def test_of_eight_threads_putting_over_one_state_exactly_one_wins(store: Store) -> None:
    store.put("head", b"first")
    _, first = store.get_version("head")

    def put(number: int) -> bool:
        return store.put_if_match("head", str(number).encode(), first)

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, mine in enumerate(pool.map(put, range(8))) if mine]

    assert len(won) == 1
    assert store.get("head") == str(won[0]).encode()


def test_put_if_absent_keeps_what_is_there_above_the_size_of_a_part(store: Store) -> None:
    assert store.put("claims/a", b"1" * 6 * MIB, if_absent=True)
    assert not store.put("claims/a", b"2" * 6 * MIB, if_absent=True)

    assert store.get("claims/a") == b"1" * 6 * MIB


def test_of_eight_threads_putting_if_absent_exactly_one_wins(store: Store) -> None:
    start = threading.Barrier(8)

    def claim(key: str, claimant: int) -> bool:
        start.wait()
        return store.put(key, str(claimant).encode(), if_absent=True)

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(15):
            key = f"claims/{round_}"
            won = list(pool.map(claim, [key] * 8, range(8)))
            assert won.count(True) == 1
            assert store.get(key) == str(won.index(True)).encode()
