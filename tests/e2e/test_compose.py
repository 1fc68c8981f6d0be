"""`docker compose --profile cpu up --scale preview=2`, then a run: the file itself, natively."""

import io
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from PIL import Image

from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.errors import ExitCode
from clipfleet.models import MODELS
from clipfleet.records import ClipRecord
from clipfleet.store import Store, open_store
from tests.support import compose, compose_file
from tests.support.meaning.score import kept, score
from tests.support.records import words
from tests.support.s3_server import S3Server
from tests.support.samples import copy_samples

# Preview frames by window, at one a second: the window's length in seconds, rounded.
PREVIEW_FRAMES = {
    "sample-000.mp4": {(0, 149): 5},
    "sample-001.mp4": {(0, 255): 9, (256, 399): 5},
    "sample-002.mp4": {(0, 299): 12},
    "sample-003.mp4": {(0, 89): 4},
    "sample-004.mp4": {(0, 255): 9, (256, 511): 9, (512, 639): 4},
}
WINDOWS = {(clip, start) for clip, windows in PREVIEW_FRAMES.items() for start, _ in windows}

SERVICES = compose_file.services(compose_file.read_file())
PRODUCER = SERVICES["producer"]
MINI = (
    *("--captioning-algorithm", "mini"),
    *("--enhance-captions", "--enhance-captions-algorithm", "mini"),
)


@pytest.fixture(scope="module")
def fleet(
    s3_server: S3Server, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[compose.Fleet]:
    """Every service of the profile `cpu`, healthy by its own check; preview twice."""
    up = compose_file.in_profiles(SERVICES, ["cpu"])
    folder = tmp_path_factory.mktemp("compose")
    volumes = {"models": cache_dir.parent}
    fleet = compose.Fleet(up, s3_server, folder, scale={"preview": 2}, volumes=volumes)
    try:
        with fleet:
            for name in up:
                fleet.wait_healthy(name)
            yield fleet
            assert fleet.stop() == [], "did not stop within their grace periods"
    finally:
        assert fleet.left_behind() == []


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five clips: eight windows."""
    folder = tmp_path_factory.mktemp("clips")
    written = [path.name for path in copy_samples(folder, count=5)]
    assert written == list(PREVIEW_FRAMES)
    return folder


@pytest.fixture(scope="module")
def submitted(fleet: compose.Fleet, clips: Path) -> subprocess.CompletedProcess[str]:
    """`docker compose run producer submit CLIPS --wait`, ended."""
    return fleet.run(PRODUCER, "submit", str(clips), "--wait", *MINI, timeout_s=300)


@pytest.fixture(scope="module")
def store(fleet: compose.Fleet, submitted: subprocess.CompletedProcess[str]) -> Store:
    """The bucket after the run, as the file's own variables reach it."""
    return _open_store(fleet)


def _open_store(fleet: compose.Fleet) -> Store:
    variables = fleet.environment(PRODUCER)
    return open_store(
        variables["CLIPFLEET_STORE"],
        s3_endpoint=variables["CLIPFLEET_S3_ENDPOINT"],
        s3_access_key=variables["CLIPFLEET_S3_ACCESS_KEY"],
        s3_secret_key=variables["CLIPFLEET_S3_SECRET_KEY"],
    )


def _uuid(clip: Path) -> str:
    return keys.clip_uuid(clip.resolve().as_uri())


def _record(store: Store, clip: Path) -> ClipRecord:
    return ClipRecord.model_validate_json(store.get(keys.record(_uuid(clip))))


def test_captions_are_true_on_a_fleet_and_over_s3(
    submitted: subprocess.CompletedProcess[str], store: Store, clips: Path
) -> None:
    assert MODELS["mini"].caveat in submitted.stdout
    records = [_record(store, clip) for clip in sorted(clips.glob("*.mp4"))]
    assert {w.frames.encoding for record in records for w in record.windows} == {"zstd"}

    captions, enhanced = score(records, truth=clips), kept(records)
    assert captions.facts_right >= 0.97, captions.mistakes
    assert enhanced.facts_right >= 0.97, enhanced.mistakes


def test_each_process_of_a_worker_says_that_it_lives(fleet: compose.Fleet) -> None:
    workers = [one for one in fleet.processes if one.service.command[0] == "clipfleet-worker"]

    broker = Broker(fleet.environment(PRODUCER)["CLIPFLEET_BROKER"])
    expected = {f"{one.service.command[1]}-{one.pid}" for one in workers}
    deadline = time.monotonic() + 60
    while (said := {b.name.partition("@")[0] for b in broker.workers()}) != expected:
        assert time.monotonic() < deadline, f"{said} are not {expected}"
        time.sleep(0.5)
    broker.close()

    assert len(fleet.of("preview")) == 2


def test_submit_follows_the_run_to_its_end(
    submitted: subprocess.CompletedProcess[str],
) -> None:
    assert submitted.returncode == ExitCode.OK, submitted.stdout + submitted.stderr


@pytest.mark.parametrize("name", PREVIEW_FRAMES)
def test_every_clip_has_a_valid_record_with_all_its_captions(
    store: Store, clips: Path, name: str
) -> None:
    record = _record(store, clips / name)

    windows = [(window.start_frame, window.end_frame) for window in record.windows]
    assert record.valid
    assert record.errors == []
    assert windows == list(PREVIEW_FRAMES[name])
    assert all(words(window.caption) for window in record.windows)
    assert all(words(window.enhanced) for window in record.windows)


@pytest.mark.parametrize("name", PREVIEW_FRAMES)
def test_every_window_has_a_preview_with_its_frames(store: Store, clips: Path, name: str) -> None:
    clip = _uuid(clips / name)

    for (start, end), frames in PREVIEW_FRAMES[name].items():
        with Image.open(io.BytesIO(store.get(keys.preview(clip, start, end)))) as image:
            image.load()
            assert image.format == "WEBP"
            assert getattr(image, "n_frames", 1) == frames


def test_nothing_stays_in_scratch(store: Store, clips: Path) -> None:
    assert [found.key for found in store.list(keys.SCRATCH)] == []


def test_both_preview_workers_make_previews_and_between_them_all(
    store: Store, fleet: compose.Fleet, clips: Path
) -> None:
    names = {_uuid(clips / name): name for name in PREVIEW_FRAMES}

    made = [
        {(names[event["clip"]], event["start_frame"]) for event in one.events("window_done")}
        for one in fleet.of("preview")
    ]

    assert all(made), made
    assert set.union(*made) == WINDOWS


def test_the_same_command_again_finds_everything_done(
    store: Store, fleet: compose.Fleet, clips: Path
) -> None:
    before = {name: _record(store, clips / name) for name in PREVIEW_FRAMES}

    again = fleet.run(PRODUCER, "submit", str(clips), "--wait", *MINI, timeout_s=60)

    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    assert {name: _record(store, clips / name) for name in PREVIEW_FRAMES} == before


def test_the_programs_have_every_right_on_the_broker_that_they_ask_for(
    fleet: compose.Fleet, submitted: subprocess.CompletedProcess[str]
) -> None:
    as_fleet = fleet.environment(PRODUCER)["CLIPFLEET_BROKER"]
    server = f"redis://{as_fleet.rpartition('@')[2]}"
    password = SERVICES["redis"].environment["REDISCLI_AUTH"]
    with redis.Redis.from_url(server, password=password, decode_responses=True) as owner:
        log: Any = owner.acl_log()

    assert as_fleet.startswith("redis://fleet:")
    assert [(each["object"], each["reason"]) for each in log] == []


def test_the_broker_refuses_a_wrong_password(fleet: compose.Fleet, clips: Path) -> None:
    content = compose_file.read_file(variables={"REDIS_PASSWORD": "wrong"})
    mistaken = compose_file.services(content)["producer"]

    refused = fleet.run(mistaken, "submit", str(clips), *MINI, timeout_s=60)

    assert refused.returncode == ExitCode.BROKER
    assert "refuses the password" in refused.stderr
