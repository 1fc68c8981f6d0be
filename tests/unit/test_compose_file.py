"""What must hold of docker-compose.yml and the Dockerfile, read and not run."""

import re
from itertools import chain

import pytest

from clipfleet.flags import each_option
from clipfleet.queues import GPU_QUEUES, QUEUES
from clipfleet.settings import Settings
from tests import compose

pytestmark = pytest.mark.unit

CONTENT = compose.read_file()
SERVICES = compose.services(CONTENT)
BODIES = CONTENT["services"]
DOCKERFILE = (compose.ROOT / "Dockerfile").read_text()
TARGETS = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
WORKERS = {n: s for n, s in SERVICES.items() if s.command[0] == "clipfleet-worker"}


@pytest.mark.parametrize("name", [n for n, s in SERVICES.items() if s.image])
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    image, _, tag = (SERVICES[name].image or "").partition(":")

    assert image
    assert re.search(r"\d+[.-]\d+[.-]\d+", tag)


def test_every_base_image_of_the_dockerfile_has_a_version() -> None:
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - TARGETS

    assert bases == {"python:3.12-slim"}


def test_every_target_of_the_compose_file_is_a_stage_of_the_dockerfile() -> None:
    wanted = {s.target for s in SERVICES.values() if s.target}

    assert wanted == {"media", "cpu", "gpu"}
    assert wanted <= TARGETS


@pytest.mark.parametrize("target", ["media", "cpu", "gpu"])
def test_every_target_ends_as_a_user_without_rights(target: str) -> None:
    stage = DOCKERFILE.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]

    assert "USER clipfleet" in stage


@pytest.mark.parametrize("copied", re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE))
def test_everything_that_the_dockerfile_copies_is_there_and_not_ignored(copied: str) -> None:
    allowed = (compose.ROOT / ".dockerignore").read_text().splitlines()

    for path in copied.split():
        assert (compose.ROOT / path).exists()
        assert f"!{path.partition('/')[0]}" in allowed


@pytest.mark.parametrize("profile", ["gpu", "cpu"])
@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_has_one_service_in_every_profile(profile: str, queue: str) -> None:
    up = compose.in_profiles(SERVICES, [profile])

    serving = [s.name for s in up.values() if s.command == ("clipfleet-worker", queue)]

    assert len(serving) == 1


def test_by_default_the_gpu_services_come_up() -> None:
    profiles = compose.read_env_file()["COMPOSE_PROFILES"].split(",")

    assert {"caption", "enhance"} <= compose.in_profiles(SERVICES, profiles).keys()


def test_without_a_gpu_no_service_asks_for_one() -> None:
    up = compose.in_profiles(SERVICES, ["cpu"])

    assert [name for name in up if "deploy" in BODIES[name]] == []
    assert [s.name for s in up.values() if s.target == "gpu"] == []


@pytest.mark.parametrize("name", GPU_QUEUES)
def test_a_gpu_service_reserves_one_gpu_of_its_own(name: str) -> None:
    devices = [_reserved(other) for other in GPU_QUEUES]

    assert all(len(numbers) == 1 for numbers in devices)
    assert devices.count(_reserved(name)) == 1
    assert SERVICES[name].target == "gpu"


def _reserved(name: str) -> list[str]:
    (device,) = BODIES[name]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    numbers: list[str] = device["device_ids"]
    return numbers


def test_redis_asks_for_a_password_keeps_what_it_takes_and_forgets_nothing() -> None:
    command = SERVICES["redis"].command

    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--requirepass"]
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_a_password_that_the_user_chooses_reaches_everyone_who_needs_it() -> None:
    chosen = {"REDIS_PASSWORD": "chosen-1", "MINIO_ROOT_PASSWORD": "chosen-2"}

    found = compose.services(compose.read_file(variables=chosen))

    assert "chosen-1" in found["redis"].command
    assert found["minio"].environment["MINIO_ROOT_PASSWORD"] == "chosen-2"
    for name in [*WORKERS, "producer"]:
        assert ":chosen-1@" in found[name].environment["CLIPFLEET_BROKER"]
        assert found[name].environment["CLIPFLEET_S3_SECRET_KEY"] == "chosen-2"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in BODIES[name].get("ports", ()))


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_can_be_scaled(name: str) -> None:
    assert not BODIES[name].keys() & {"container_name", "ports", "hostname"}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_waits_for_its_servers_checks_its_health_and_is_started_again(name: str) -> None:
    worker, body = WORKERS[name], BODIES[name]

    assert set(worker.depends_on) == {"redis", "minio"}
    assert worker.healthcheck == ("CMD", *worker.command, "--check")
    assert body["restart"] == "unless-stopped"
    assert body["init"] is True
    assert worker.stop_grace_s >= 60


@pytest.mark.parametrize("name", ["redis", "minio"])
def test_a_server_keeps_its_data_and_is_started_again(name: str) -> None:
    assert SERVICES[name].volumes == {"/data": name}
    assert SERVICES[name].healthcheck
    assert BODIES[name]["restart"] == "unless-stopped"


def test_named_volumes_are_declared_and_used() -> None:
    used = chain.from_iterable(s.volumes.values() for s in SERVICES.values())

    assert set(CONTENT["volumes"]) == {source for source in used if not source.startswith("/")}


def test_every_setting_in_the_file_is_one_that_the_programs_read() -> None:
    settings = {f"CLIPFLEET_{name.upper()}" for name in Settings.model_fields}
    flags = {flag.partition("/")[0].removeprefix("--") for _, _, _, flag in each_option()}
    options = {"CLIPFLEET_" + flag.upper().replace("-", "_") for flag in flags}

    given = set(re.findall(r"CLIPFLEET_\w+", compose.FILE.read_text()))

    assert given <= settings | options | {"CLIPFLEET_CONCURRENCY"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME:-default}", "default"),
        ("${SET:-default}", "chosen"),
        ("${EMPTY:-default}", "default"),
        ("a ${NAME:-} b $$HOME", "a  b $HOME"),
    ],
)
def test_variables_are_resolved_as_compose_does(text: str, expected: str) -> None:
    variables = {"SET": "chosen", "EMPTY": ""}

    assert compose.interpolate(text, variables) == expected


@pytest.mark.parametrize("text", ["$NAME", "${NAME}", "${NAME:?needed}"])
def test_a_variable_without_a_default_is_refused(text: str) -> None:
    with pytest.raises(compose.Unmappable):
        compose.interpolate(text, {"NAME": "value"})


def test_a_key_that_the_runner_does_not_know_is_refused() -> None:
    body = {"image": "redis:7.4.6", "command": ["redis-server"], "network_mode": "host"}

    with pytest.raises(compose.Unmappable, match="network_mode"):
        compose.services({"services": {"redis": body}})
