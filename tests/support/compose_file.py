"""Reads docker-compose.yml as compose does: its variables, its services, its profiles.

What `tests.support.compose` cannot run natively raises `Unmappable`.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"

# What a service may say: mapped here, or of no consequence without containers. A key that is not
# among these may change what the service does, and this module has to learn it first.
_KNOWN_KEYS = {
    *("build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image"),
    *("cap_add", "cap_drop", "deploy", "init", "ports", "profiles", "read_only", "restart"),
    *("security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes"),
}


class Unmappable(Exception):
    """The compose file says something that this module cannot do natively."""


class Missing(Exception):
    """A variable has no value that the compose file requires."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service, as the file describes it.

    `volumes` maps each mount point to its source, which is empty for a volume without a name.
    `depends_on` has those that must be healthy, or have ended well, first.
    """

    name: str
    image: str | None
    target: str | None
    command: tuple[str, ...]
    environment: dict[str, str]
    healthcheck: tuple[str, ...]
    depends_on: tuple[str, ...]
    volumes: dict[str, str]
    read_only: bool
    tmpfs: tuple[str, ...]
    profiles: frozenset[str]
    stop_grace_s: float


def read_file(path: Path = FILE, *, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file's content, its variables resolved from `variables`, as compose does.

    A password that is not among them is one made at random, as `make env` does.
    """
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    made = {name: secrets.token_hex(8) for name, value in read_env_file().items() if not value}
    resolved: dict[str, Any] = _resolve(content, {**made, **(variables or {})})
    return resolved


def read_env_file(path: Path = ROOT / ".env.example") -> dict[str, str]:
    """The variables of a file as compose reads it."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def services(content: dict[str, Any]) -> dict[str, Service]:
    """Every service of the file, by name."""
    return {name: _service(name, body) for name, body in content["services"].items()}


def in_profiles(found: Mapping[str, Service], profiles: Iterable[str]) -> dict[str, Service]:
    """The services that come up with these profiles: theirs, and those that have none."""
    active = set(profiles)
    return {n: s for n, s in found.items() if not s.profiles or s.profiles & active}


def _resolve(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, variables) for item in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$$`, `${NAME:-default}` and `${NAME:?remedy}` resolved.

    Raises `Unmappable` for other forms, and `Missing` for a variable that is required.
    """

    def substitute(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["name"] is None:
            raise Unmappable(f"{text!r}: only $$, ${{…:-…}} and ${{…:?…}} are understood")
        value = variables.get(match["name"])
        if not value and match["how"] == "?":
            raise Missing(f"required variable {match['name']} is missing a value: {match['else']}")
        return value or match["else"]

    form = r"\$\$|\$\{(?P<name>\w+):(?P<how>[-?])(?P<else>[^}]*)\}|\$"
    return re.sub(form, substitute, text)


def _service(name: str, body: dict[str, Any]) -> Service:
    if unknown := body.keys() - _KNOWN_KEYS:
        raise Unmappable(f"{name}: {', '.join(sorted(unknown))}")
    waits_for = body.get("depends_on", {})
    conditions = ("service_healthy", "service_completed_successfully")
    if any(how not in [{"condition": each} for each in conditions] for how in waits_for.values()):
        raise Unmappable(f"{name}: depends_on other than {' or '.join(conditions)}")
    return Service(
        name=name,
        image=body.get("image"),
        target=body["build"]["target"] if "build" in body else None,
        command=(*body.get("entrypoint", ()), *body["command"]),
        environment={key: str(value) for key, value in body.get("environment", {}).items()},
        healthcheck=tuple(body.get("healthcheck", {}).get("test", ())),
        depends_on=tuple(waits_for),
        volumes=dict(_volume(volume) for volume in body.get("volumes", ())),
        read_only=body.get("read_only", False),
        tmpfs=tuple(body.get("tmpfs", ())),
        profiles=frozenset(body.get("profiles", ())),
        stop_grace_s=seconds(body.get("stop_grace_period", "10s")),
    )


def _volume(volume: str | dict[str, Any]) -> tuple[str, str]:
    if isinstance(volume, dict):
        return volume["target"], volume["source"]
    source, _, target = volume.rpartition(":")
    return target, source


def seconds(duration: str) -> float:
    """The seconds in a duration such as `1m30s`."""
    if not re.fullmatch(r"(\d+[hms])+", duration):
        raise Unmappable(f"duration {duration!r}")
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([hms])", duration))
