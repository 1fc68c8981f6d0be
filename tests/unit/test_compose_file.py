"""What must hold of docker-compose.yml and the Dockerfile, read and not run."""

import json
import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from clipfleet.flags import each_option
from clipfleet.queues import GPU_QUEUES, QUEUES
from clipfleet.settings import Settings
from clipfleet.store.s3_lifecycle import expiry_rule, meaning
from tests.support import closed, compose_file, setup_minio

CONTENT = compose_file.read_file()
SERVICES = compose_file.services(CONTENT)
BODIES = CONTENT["services"]
DOCKERFILE = (compose_file.ROOT / "Dockerfile").read_text()
TARGETS = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
WORKERS = {n: s for n, s in SERVICES.items() if s.command[0] == "clipfleet-worker"}


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
    allowed = (compose_file.ROOT / ".dockerignore").read_text().splitlines()

    for path in copied.split():
        assert (compose_file.ROOT / path).exists()
        assert f"!{path.partition('/')[0]}" in allowed


@pytest.mark.parametrize("profile", ["gpu", "cpu"])
@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_has_one_service_in_every_profile(profile: str, queue: str) -> None:
    up = compose_file.in_profiles(SERVICES, [profile])

    serving = [s.name for s in up.values() if s.command == ("clipfleet-worker", queue)]

    assert len(serving) == 1


def test_by_default_the_gpu_services_come_up() -> None:
    profiles = compose_file.read_env_file()["COMPOSE_PROFILES"].split(",")

    assert {"caption", "enhance"} <= compose_file.in_profiles(SERVICES, profiles).keys()


def test_without_a_gpu_no_service_asks_for_one() -> None:
    up = compose_file.in_profiles(SERVICES, ["cpu"])

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
    _, first, *lines, last, _ = SERVICES["redis"].command[2].split("\n")

    options = dict(line.split(maxsplit=1) for line in lines)

    assert first.removeprefix("exec redis-server - <<") == last
    assert options["requirepass"] == '"$REDISCLI_AUTH"'
    assert options["appendonly"] == "yes"
    assert options["maxmemory-policy"] == "noeviction"


def test_every_password_is_required_and_none_is_in_the_repository() -> None:
    text = compose_file.FILE.read_text()
    example = compose_file.read_env_file()

    named = set(re.findall(r"\$\{(\w*PASSWORD)\W", text))

    assert named == set(re.findall(r"\$\{(\w+):\?run make env\}", text))
    assert named == {name for name, value in example.items() if not value}
    assert "/.env" in (compose_file.ROOT / ".gitignore").read_text().splitlines()


CHOSEN = {
    "REDIS_OWNER_PASSWORD": "chosen-0",
    "REDIS_PASSWORD": "chosen-1",
    "MINIO_ROOT_PASSWORD": "chosen-2",
    "WORKER_PASSWORD": "chosen-3",
    "PRODUCER_PASSWORD": "chosen-4",
}


def test_a_password_that_the_user_chooses_reaches_everyone_who_needs_it() -> None:
    found = compose_file.services(compose_file.read_file(variables=CHOSEN))

    assert found["redis"].environment["REDISCLI_AUTH"] == "chosen-0"
    assert found["redis"].environment["FLEET_PASSWORD"] == "chosen-1"
    assert found["minio"].environment["MINIO_ROOT_PASSWORD"] == "chosen-2"
    assert ":chosen-2@minio:9000" in found["setup"].environment["MC_HOST_minio"]
    for name in [*WORKERS, "producer"]:
        assert "//fleet:chosen-1@" in found[name].environment["CLIPFLEET_BROKER"]
        own = "chosen-4" if name == "producer" else "chosen-3"
        assert found[name].environment["CLIPFLEET_S3_SECRET_KEY"] == own


def test_no_program_gets_an_owners_password() -> None:
    found = compose_file.services(compose_file.read_file(variables=CHOSEN))

    def has(password: str) -> set[str]:
        return {name for name, s in found.items() if password in str(s.environment)}

    assert has("chosen-0") == {"redis"}
    assert has("chosen-2") == {"minio", "setup"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_is_on_a_command_line(name: str) -> None:
    service = compose_file.services(compose_file.read_file(variables=CHOSEN))[name]

    assert "chosen" not in " ".join((*service.command, *service.healthcheck))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_change_nothing_but_its_volumes_and_a_tmpfs(name: str) -> None:
    assert SERVICES[name].read_only
    assert SERVICES[name].tmpfs == ("/tmp",)
    assert BODIES[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", [*WORKERS, "producer", "redis"])
def test_a_container_that_needs_no_rights_has_none(name: str) -> None:
    assert BODIES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name].target or BODIES[name]["user"] == "redis"


@pytest.mark.parametrize("name", [n for n, s in WORKERS.items() if s.target != "media"])
def test_engines_keep_what_they_compile_on_a_volume(name: str) -> None:
    variables = SERVICES[name].environment

    assert "/cache" in SERVICES[name].volumes
    for each in ("HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        assert Path(variables[each]).is_relative_to("/cache")


def test_prepare_copies_clips_to_a_disk_and_not_to_memory() -> None:
    prepare = SERVICES["prepare"]

    assert prepare.environment["TMPDIR"] in prepare.volumes


@pytest.mark.skipif(closed.why_not() is not None, reason=closed.why_not() or "")
def test_a_program_that_is_closed_in_writes_where_it_may_and_nowhere_else(tmp_path: Path) -> None:
    for name in ("volume", "tmp", "home"):
        (tmp_path / name).mkdir()
    script = """
        for folder in volume tmp home; do
            touch $folder/written 2>/dev/null && echo $folder
        done
        for folder in /etc /usr "$HOME" /tmp; do
            touch $folder/written 2>/dev/null && echo $folder
        done
        printf '#!/bin/sh\necho run\n' > tmp/program && chmod +x tmp/program && tmp/program
        grep CapEff /proc/self/status
    """
    command = closed.close(
        ["sh", "-c", script], folders=[tmp_path / "volume"], tmpfs=[tmp_path / "tmp"]
    )

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["volume", "tmp", "CapEff:", "0" * 16]
    assert "Permission denied" in done.stderr
    assert [p.name for p in tmp_path.rglob("written")] == ["written"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in BODIES[name].get("ports", ()))


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_can_be_scaled(name: str) -> None:
    assert not BODIES[name].keys() & {"container_name", "ports", "hostname"}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_waits_for_its_servers_checks_its_health_and_is_started_again(name: str) -> None:
    worker, body = WORKERS[name], BODIES[name]

    assert set(worker.depends_on) == {"redis", "setup"}
    assert worker.healthcheck == ("CMD", *worker.command, "--check")
    assert body["restart"] == "unless-stopped"
    assert body["init"] is True
    assert worker.stop_grace_s >= 60


@pytest.mark.parametrize("name", ["redis", "minio"])
def test_a_server_keeps_its_data_and_is_started_again(name: str) -> None:
    assert SERVICES[name].volumes["/data"] == name
    assert SERVICES[name].healthcheck
    assert BODIES[name]["restart"] == "unless-stopped"


def test_named_volumes_are_declared_and_used() -> None:
    used = set(chain.from_iterable(s.volumes.values() for s in SERVICES.values())) - {""}

    assert set(CONTENT["volumes"]) == {name for name in used if not name.startswith((".", "/"))}


@pytest.fixture
def setup(tmp_path: Path) -> setup_minio.Setup:
    """What the service `setup` tells MinIO, run twice."""
    service = compose_file.services(compose_file.read_file(variables=CHOSEN))["setup"]
    script = compose_file.ROOT / service.volumes["/deploy"] / "setup-minio.sh"
    assert service.command == ("sh", "/deploy/setup-minio.sh")
    setup_minio.record(script, service.environment, folder=tmp_path)
    return setup_minio.record(script, service.environment, folder=tmp_path)


def test_setting_up_makes_a_user_for_each_side_with_its_policies(setup: setup_minio.Setup) -> None:
    programs = [SERVICES[name] for name in (*WORKERS, "producer")]

    assert setup.buckets == {"clipfleet"}
    assert setup.passwords == {"worker": "chosen-3", "producer": "chosen-4"}
    assert {each.environment["CLIPFLEET_S3_ACCESS_KEY"] for each in programs} == {
        "worker",
        "producer",
    }
    assert setup.attached == {
        "worker": ["clipfleet-worker"],
        "producer": ["clipfleet-producer", "clipfleet-reader"],
    }, "attached once, though set up twice"
    for side in ("worker", "producer", "reader"):
        shipped = compose_file.ROOT / "deploy" / f"s3-policy-{side}.json"
        assert setup.policies[f"clipfleet-{side}"] == shipped.read_text()


def test_setting_up_says_no_password_on_a_command_line(setup: setup_minio.Setup) -> None:
    assert "chosen" not in str(setup.command_lines)


def test_setting_up_has_scratch_expire_by_the_rule_that_programs_look_for(
    setup: setup_minio.Setup,
) -> None:
    (shipped,) = json.loads(setup.lifecycles["clipfleet"])["Rules"]

    rule = expiry_rule("")
    said = (shipped["Filter"]["Prefix"], shipped["Status"], str(shipped["Expiration"]["Days"]))
    assert said == meaning(rule)
    assert shipped["ID"] == rule.findtext("ID")


def test_every_setting_in_the_file_is_one_that_the_programs_read() -> None:
    settings = {f"CLIPFLEET_{name.upper()}" for name in Settings.model_fields}
    flags = {flag.partition("/")[0].removeprefix("--") for _, _, _, flag in each_option()}
    options = {"CLIPFLEET_" + flag.upper().replace("-", "_") for flag in flags}

    given = set(re.findall(r"CLIPFLEET_\w+", compose_file.FILE.read_text()))

    assert given <= settings | options | {"CLIPFLEET_CONCURRENCY"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME:-default}", "default"),
        ("${SET:-default}", "chosen"),
        ("${EMPTY:-default}", "default"),
        ("a ${NAME:-} b $$HOME", "a  b $HOME"),
        ("${SET:?needed}", "chosen"),
    ],
)
def test_variables_are_resolved_as_compose_does(text: str, expected: str) -> None:
    variables = {"SET": "chosen", "EMPTY": ""}

    assert compose_file.interpolate(text, variables) == expected


@pytest.mark.parametrize("variables", [{}, {"NAME": ""}])
def test_a_required_variable_without_a_value_ends_with_the_remedy(
    variables: dict[str, str],
) -> None:
    with pytest.raises(compose_file.Missing, match="NAME is missing a value: run this"):
        compose_file.interpolate("${NAME:?run this}", variables)


@pytest.mark.parametrize("text", ["$NAME", "${NAME}"])
def test_a_variable_without_a_default_is_refused(text: str) -> None:
    with pytest.raises(compose_file.Unmappable):
        compose_file.interpolate(text, {"NAME": "value"})


def test_a_key_that_the_runner_does_not_know_is_refused() -> None:
    body = {"image": "redis:7.4.6", "command": ["redis-server"], "network_mode": "host"}

    with pytest.raises(compose_file.Unmappable, match="network_mode"):
        compose_file.services({"services": {"redis": body}})
