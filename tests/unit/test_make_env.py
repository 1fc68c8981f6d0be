"""`make env` writes passwords that nobody else has, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import compose_file

SCRIPT = compose_file.ROOT / "deploy" / "make_env.py"


def make_env(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with our .env.example."""
    (tmp_path / ".env.example").write_text((compose_file.ROOT / ".env.example").read_text())
    return tmp_path


def test_every_password_is_long_and_like_no_other_and_the_rest_is_as_in_the_example(
    folder: Path,
) -> None:
    example = compose_file.read_env_file(folder / ".env.example")

    assert make_env(folder).returncode == 0
    first = compose_file.read_env_file(folder / ".env")
    (folder / ".env").unlink()
    assert make_env(folder).returncode == 0
    second = compose_file.read_env_file(folder / ".env")

    empty = [name for name, value in example.items() if not value]
    made = [each[name] for each in (first, second) for name in empty]
    assert len(set(made)) == 2 * len(empty) == 10
    assert all(len(value) == 48 and value.isalnum() for value in made)
    assert {n: v for n, v in first.items() if n not in empty} == {"COMPOSE_PROFILES": "gpu"}


def test_the_compose_file_takes_what_it_wrote(folder: Path) -> None:
    make_env(folder)
    made = compose_file.read_env_file(folder / ".env")

    found = compose_file.services(compose_file.read_file(variables=made))

    assert made["REDIS_PASSWORD"] in found["prepare"].environment["CLIPFLEET_BROKER"]


def test_nobody_else_can_read_it(folder: Path) -> None:
    make_env(folder)

    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_no_password_is_printed(folder: Path) -> None:
    said = make_env(folder)

    for value in compose_file.read_env_file(folder / ".env").values():
        assert value == "gpu" or value not in said.stdout + said.stderr


def test_one_that_is_there_is_left_as_it_is(folder: Path) -> None:
    make_env(folder)
    before = (folder / ".env").read_text()

    said = make_env(folder)

    assert said.returncode == 0
    assert "stays as it is" in said.stdout
    assert (folder / ".env").read_text() == before


def test_one_that_lacks_passwords_is_left_as_it_is_and_they_are_named(folder: Path) -> None:
    (folder / ".env").write_text("REDIS_PASSWORD=mine\n# WORKER_PASSWORD=none\n")

    said = make_env(folder)

    assert said.returncode == 1
    assert "REDIS_OWNER_PASSWORD, WORKER_PASSWORD, PRODUCER_PASSWORD" in said.stderr
    assert " REDIS_PASSWORD" not in said.stderr
    assert (folder / ".env").read_text().startswith("REDIS_PASSWORD=mine\n")


def test_a_link_in_its_place_is_not_followed(folder: Path) -> None:
    (folder / "elsewhere").write_text("")
    (folder / ".env").symlink_to(folder / "elsewhere")

    make_env(folder)

    assert (folder / "elsewhere").read_text() == ""


@pytest.mark.parametrize("page", ["README.md", "docs/fleet.md", "docker-compose.yml"])
def test_whoever_reads_how_to_start_reads_of_it_first(page: str) -> None:
    text = (compose_file.ROOT / page).read_text()

    assert 0 < text.index("make env") < text.index("docker compose ")
