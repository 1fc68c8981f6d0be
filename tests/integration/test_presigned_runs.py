"""Runs of clips with presigned addresses: these reach workers by scratch, and nobody else."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from rich.console import Console

from clipfleet import keys
from clipfleet.errors import AddressRefused, UsageError
from clipfleet.records import Failure, ManifestLine
from clipfleet.settings import Settings, read_settings
from clipfleet.store import Store
from clipfleet_producer.runs import control, manifest
from clipfleet_producer.sources.uris import with_address
from tests.faults.secrets_scene import forms
from tests.support import clips as made
from tests.support.feeding import OPTIONS, Scene, step_until
from tests.support.s3_server import S3Server
from tests.support.small_fleet import SmallFleet
from tests.support.tls import behind_tls, make_certificate
from tests.support.waiting import wait_for

SECRET = "5ec2e7" * 8
HIDDEN = "X-Amz-Credential=AKIA&X-Amz-Date=1&X-Amz-Expires=2&X-Amz-Signature="
QUIET = Console(quiet=True)


def presigned(count: int = 3, *, by: str = SECRET) -> list[ManifestLine]:
    """So many clips."""
    sources = [f"https://bucket.example.org/{number}.mp4?v=1" for number in range(count)]
    lines = [ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources]
    return [with_address(line, f"{line.source}&{HIDDEN}{by}") for line in lines]


def holding(store: Store, secret: str = SECRET) -> set[str]:
    """The keys of what holds the secret."""
    found = {info.key: store.get(info.key) for info in store.list("")}
    return {key for key, data in found.items() if any(form in data for form in forms(secret))}


def addresses(scene: Scene) -> dict[str, bytes]:
    """What workers find of each clip that is fed."""
    found = {key: scene.store.get(key) for key in holding(scene.store) if "/runs/" not in key}
    assert {keys.Scratch(key.split("/")[1], OPTIONS.hash).address for key in found} == set(found)
    return found


def of_broker(scene: Scene, tmp_path: Path) -> bytes:
    """All that it was ever told."""
    return b"".join(path.read_bytes() for path in tmp_path.rglob("*.aof"))


def settings_of(scene: Scene) -> Settings:
    return read_settings(store=scene.store.uri, broker=scene.server.url)


def refused_record() -> dict[str, Any]:
    failure = Failure(step="prepare", error=AddressRefused.__name__, message="it has expired")
    return {"valid": False, "errors": [failure]}


def test_an_address_is_in_scratch_alone_until_its_clip_is_done(
    scene: Scene, tmp_path: Path
) -> None:
    head = scene.write(presigned())
    listed = keys.shard_addresses("r1", head.manifest_version, 0)
    assert holding(scene.store) == {listed}

    feeder, _ = scene.feeder(in_flight=2)
    step_until(feeder, lambda: scene.waiting() == 2)
    assert sorted(addresses(scene).values()) == [
        f"https://bucket.example.org/{n}.mp4?v=1&{HIDDEN}{SECRET}".encode() for n in range(2)
    ]
    assert {job["source"] for job in scene.jobs()} == {line.source for line in presigned(2)}

    while not feeder.step(wait_s=0.05):
        for clip in scene.work_off():
            scene.store.delete_prefix(keys.Scratch(clip, OPTIONS.hash).prefix)  # as `assemble` does
    assert holding(scene.store) == set()
    assert not any(form in of_broker(scene, tmp_path) for form in forms(SECRET))


def test_shards_that_are_done_keep_no_addresses_while_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 2)
    head = scene.write(presigned(4))
    feeder, _ = scene.feeder(in_flight=2)
    step_until(feeder, lambda: scene.waiting() == 2)

    scene.work_off()
    step_until(feeder, lambda: scene.run.done.numbers() == {0})

    left = {key for key in holding(scene.store) if "/runs/" in key}
    assert left == {keys.shard_addresses("r1", head.manifest_version, 1)}


def test_a_run_that_is_cancelled_keeps_no_addresses(scene: Scene) -> None:
    scene.write(presigned())
    assert holding(scene.store)

    control.cancel(scene.run, scene.broker)

    assert holding(scene.store) == set()
    with pytest.raises(UsageError, match="submit them again, with fresh ones"):
        control.resume(scene.run, scene.broker)


def test_a_run_that_is_written_anew_has_its_fresh_addresses_alone(scene: Scene) -> None:
    scene.write(presigned())
    scene.write(presigned(by="fresh" * 9))

    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 3)

    assert holding(scene.store) == set()
    assert len(holding(scene.store, "fresh" * 9)) == 4


@pytest.mark.parametrize("valid", [True, False])
def test_a_clip_that_is_done_is_done_whatever_its_signature_is_now(
    scene: Scene, valid: bool
) -> None:
    scene.write(presigned())
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 3)
    scene.work_off(valid=valid)
    assert step_until(feeder, lambda: False)

    scene.write(presigned(by="fresh" * 9), "r2")
    again, watcher = scene.feeder("r2")

    assert step_until(again, lambda: False)
    assert len(watcher.previously_done) == 3
    assert holding(scene.store, "fresh" * 9) == set()


def test_a_clip_whose_address_was_refused_is_done_again_with_a_fresh_one(scene: Scene) -> None:
    scene.write(presigned())
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 3)
    scene.work_off(**refused_record())
    assert step_until(feeder, lambda: False)

    scene.write(presigned(by="fresh" * 9), "r2")
    again, _ = scene.feeder("r2")
    step_until(again, lambda: scene.waiting() == 3)

    assert {bool(job["replaces"]) for job in scene.jobs()} == {True}
    scene.work_off()
    assert step_until(again, lambda: False)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs addresses of the clips of a bucket that is closed to others."""

    client: Minio
    bucket: str

    def sign(self, name: str, *, ago: timedelta = timedelta()) -> str:
        return self.client.presigned_get_object(
            self.bucket,
            name,
            expires=timedelta(hours=1),
            request_date=datetime.now(UTC) - ago,
        )

    def bare(self, name: str) -> str:
        return self.sign(name).partition("?")[0]


@pytest.fixture
def signer(s3_server: S3Server, small_fleet: SmallFleet, tmp_path: Path) -> Iterator[Signer]:
    """A bucket with clips too short to be captioned, and workers that may ask for them by https."""
    bucket = f"clips-{tmp_path.name.lower().replace('_', '-')[-40:]}"
    store = s3_server.store(f"s3://{bucket}")
    store.prepare()
    for name in ("a", "b", "c"):
        store.put(f"{name} 1.mp4", made.encode(3, options={"preset": "ultrafast"}))
    certificate = make_certificate(tmp_path)
    with behind_tls(s3_server.port, certificate) as port:
        client = Minio(
            f"localhost:{port}",
            access_key=s3_server.access_key,
            secret_key=s3_server.secret_key,
            region="us-east-1",
        )
        small_fleet.settings |= {
            "SSL_CERT_FILE": str(certificate.path),
            "CLIPFLEET_FETCH_PRIVATE": "true",
            "CLIPFLEET_LOG_FORMAT": "json",
            "CLIPFLEET_VERBOSE": "1",
        }
        yield Signer(client=client, bucket=bucket)


def write_list(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def secrets_of(*urls: str) -> list[str]:
    """The signatures, and whose key made them."""
    parameters = [each.partition("=") for url in urls for each in url.partition("?")[2].split("&")]
    wanted = ("X-Amz-Signature", "X-Amz-Credential")
    return [value for name, _, value in parameters if name in wanted]


def test_presigned_clips_are_done_and_their_signatures_are_nowhere(
    signer: Signer, small_fleet: SmallFleet, tmp_path: Path
) -> None:
    good, again = signer.sign("a 1.mp4"), signer.sign("a 1.mp4", ago=timedelta(minutes=1))
    old = signer.sign("b 1.mp4", ago=timedelta(hours=5))
    wrong = signer.sign("c 1.mp4")[:-4] + "0000"
    listed = write_list(
        tmp_path / "l.jsonl",
        {"url": good, "thumb": again, "label": "x"},
        {"url": again},
        {"url": old},
        {"url": wrong},
        {"url": good.replace("https", "http")},
    )
    small_fleet.start()
    small_fleet.pause_prepare()
    said = [small_fleet.submit(listed, "--run", "r").stdout]
    assert len(list(small_fleet.out.glob("scratch/*/*/address"))) == 3
    small_fleet.continue_prepare()
    wait_for("records", lambda: len(small_fleet.records()) == 3, 60)
    said += [
        small_fleet.run(*command).stdout
        for command in (
            ("feed", "r"),
            ("status", "r", "--json"),
            ("failures", "r"),
            ("failures", "r", "--json"),
            ("export", "r", "--to", str(tmp_path / "export")),
            ("retry", "r", "--run", "again", "--wait"),
            ("submit", str(listed), "--dry-run"),
        )
    ]

    records = {record.source_video: record for record in small_fleet.records().values()}
    assert set(records) == {signer.bare(f"{name} 1.mp4") for name in "abc"}
    done = records[signer.bare("a 1.mp4")]
    assert (done.errors[0].error, bool(done.num_bytes)) == ("ClipTooShort", True)
    assert done.metadata == {"thumb": signer.bare("a 1.mp4"), "label": "x"}
    refused = [records[signer.bare(f"{name} 1.mp4")].first_error() for name in "bc"]
    assert refused[0].startswith("its presigned URL has expired (at ")
    assert refused[1].startswith("its presigned URL is refused: ")
    assert "SignatureDoesNotMatch" in refused[1]
    assert said[-2].count("its presigned address is no longer at hand") == 3
    assert list(small_fleet.out.glob("scratch/*")) == []

    everything = ["".join(said).encode(), small_fleet.log.read_bytes()]
    kept = [*small_fleet.out.rglob("*"), *(tmp_path / "export").rglob("*")]
    everything += [p.read_bytes() for p in (*kept, *tmp_path.rglob("*.aof")) if p.is_file()]
    for secret in secrets_of(good, again, old, wrong):
        assert not any(form in data for form in forms(secret) for data in everything), secret


def test_an_expired_address_is_an_error_until_the_clip_is_named_by_a_fresh_one(
    signer: Signer, small_fleet: SmallFleet, tmp_path: Path
) -> None:
    small_fleet.start()
    first = small_fleet.submit(signer.sign("b 1.mp4", ago=timedelta(hours=5)), "--wait")
    (record,) = small_fleet.records().values()
    assert first.returncode == 3
    assert record.errors[0].error == AddressRefused.__name__
    assert "its presigned URL has expired (at 20" in record.first_error()

    said = small_fleet.submit(signer.sign("b 1.mp4"), "--wait").stdout

    (record,) = small_fleet.records().values()
    assert record.source_video == signer.bare("b 1.mp4")
    assert record.errors[0].error == "ClipTooShort", said
