"""`--upload-clips` copies clips, and nothing else, from where its run may copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipfleet import keys
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.records import Plan
from clipfleet.sources import SourceNotAllowed
from clipfleet.store import Store
from clipfleet_workers.steps.prepare import cut_clip
from tests.integration.test_prepare import CLIP, context_on, job_for
from tests.support import clips
from tests.support.records import EDITION, put_places

ASKED = Options.model_validate(
    {
        "caption": {"model_variant": "mini"},
        "prepare": {"upload_clips": True, "generate_previews": False},
    }
)
Cut = Callable[..., Plan]


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    return clips.encode(30, options={"preset": "ultrafast"})


@pytest.fixture
def cut(folder_store: Store, tmp_path: Path) -> Cut:
    """Cuts a file, in a run that named the folder `clips`."""
    (tmp_path / "clips").mkdir()
    put_places(folder_store, str(tmp_path / "clips"))

    def do(source: Path | str, *, staged: bool = False, **settings: Any) -> Plan:
        uri = source.as_uri() if isinstance(source, Path) else source
        job: ClipJob = job_for(uri, ASKED, staged=staged)
        return cut_clip(context_on(folder_store, **settings), job, ASKED)

    return do


def uploaded(store: Store) -> bool:
    return store.exists(keys.clip(CLIP))


def test_what_is_no_video_is_not_copied(cut: Cut, folder_store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "clips" / "id_rsa"
    secret.write_text("-----BEGIN PRIVATE KEY-----")

    plan = cut(secret)

    assert plan.errors
    assert not plan.uploaded
    assert not uploaded(folder_store)


def test_what_is_too_short_for_a_window_is_not_copied(
    cut: Cut, folder_store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "clips" / "short.mp4"
    path.write_bytes(clips.encode(3))

    assert not cut(path).uploaded
    assert not uploaded(folder_store)


def test_a_video_in_what_was_named_is_copied(
    cut: Cut, folder_store: Store, tmp_path: Path, video: bytes
) -> None:
    path = tmp_path / "clips" / "a.mp4"
    path.write_bytes(video)

    plan = cut(path)

    assert (plan.uploaded, plan.warnings) == (True, [])
    assert folder_store.get(keys.clip(CLIP)) == video


@pytest.mark.parametrize("how", ["named by a message", "behind a link"])
def test_a_video_outside_of_what_was_named_is_captioned_and_not_copied(
    cut: Cut, folder_store: Store, tmp_path: Path, video: bytes, how: str
) -> None:
    private = path = tmp_path / "private.mp4"
    private.write_bytes(video)
    if how == "behind a link":
        path = tmp_path / "clips" / "a.mp4"
        path.symlink_to(private)

    plan = cut(path)

    assert len(plan.windows) == 1
    assert not plan.uploaded
    assert [str(path) in each and "allowed_sources" in each for each in plan.warnings] == [True]
    assert not uploaded(folder_store)


def test_of_a_run_that_says_nothing_of_places_nothing_is_copied(
    cut: Cut, folder_store: Store, tmp_path: Path, video: bytes
) -> None:
    folder_store.delete(keys.run_sources("r1", EDITION))
    (tmp_path / "clips" / "a.mp4").write_bytes(video)

    assert not cut(tmp_path / "clips" / "a.mp4").uploaded


@pytest.mark.parametrize(("folder", "copied"), [("clips", True), ("private", False)])
def test_a_staged_clip_is_copied_where_its_source_was_named(
    cut: Cut, folder_store: Store, tmp_path: Path, video: bytes, folder: str, copied: bool
) -> None:
    folder_store.put(keys.Scratch(CLIP, ASKED.hash).source, video)

    plan = cut((tmp_path / folder / "a.mp4").as_uri(), staged=True)

    assert plan.uploaded is copied


@pytest.mark.parametrize(
    "source", ["file:///etc/hostname", "s3://private/a.mp4", "https://example.org/a.mp4"]
)
def test_a_worker_reads_nothing_outside_of_its_own_setting(
    cut: Cut, tmp_path: Path, source: str
) -> None:
    (error,) = cut(source, allowed_sources=[str(tmp_path / "clips"), "s3://raw"]).errors

    assert (error.error, source.removeprefix("file://") in error.message) == (
        SourceNotAllowed.__name__,
        True,
    )


def test_a_worker_does_not_tell_whether_there_is_a_file_that_it_may_not_read(
    cut: Cut, tmp_path: Path
) -> None:
    (there, gone) = (
        cut(path, allowed_sources=[str(tmp_path / "clips")]).errors[0].error
        for path in (Path("/etc/hostname"), Path("/etc/no-such-file"))
    )

    assert there == gone


def test_a_link_out_of_what_a_worker_may_read_is_not_followed(
    cut: Cut, tmp_path: Path, video: bytes
) -> None:
    (tmp_path / "private.mp4").write_bytes(video)
    (tmp_path / "clips" / "a.mp4").symlink_to(tmp_path / "private.mp4")

    plan = cut(tmp_path / "clips" / "a.mp4", allowed_sources=[str(tmp_path / "clips")])

    assert [each.error for each in plan.errors] == [SourceNotAllowed.__name__]


def test_a_worker_reads_what_its_setting_names(cut: Cut, tmp_path: Path, video: bytes) -> None:
    (tmp_path / "clips" / "a.mp4").write_bytes(video)

    plan = cut(tmp_path / "clips" / "a.mp4", allowed_sources=[str(tmp_path / "clips")])

    assert plan.uploaded
