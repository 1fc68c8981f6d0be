"""Every image is held to a digest, in one list and where it is used."""

import datetime
import re
import tomllib
from typing import Any

import pytest

from tests.support import compose_file

IMAGES: list[dict[str, Any]] = tomllib.loads(
    (compose_file.ROOT / "deploy" / "images.toml").read_text()
)["image"]
DOCKERFILE = (compose_file.ROOT / "Dockerfile").read_text()


def reference(image: dict[str, Any]) -> str:
    return f"{image['name']}:{image['tag']}@{image['digest']}"


def test_what_is_used_is_what_is_listed() -> None:
    services = compose_file.services(compose_file.read_file()).values()
    base = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)

    used = {service.image for service in services if service.image} | set(base)

    assert used == {reference(image) for image in IMAGES}


def test_every_stage_of_the_dockerfile_is_built_on_the_base_or_on_another_stage() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)

    assert len(stages) == len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE))
    assert {base for base, _ in stages} - {name for _, name in stages} == {"$BASE"}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: str(image["name"]))
def test_a_listed_image_has_a_version_a_digest_and_the_day_it_was_read(
    image: dict[str, Any],
) -> None:
    assert re.search(r"\d+[.-]\d+[.-]\d+", image["tag"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
    assert isinstance(image["read"], datetime.date)
