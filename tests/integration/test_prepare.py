"""What prepare and preview leave in a store, a folder's and S3's."""

import io
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipfleet import keys
from clipfleet.errors import ClipMissing, ClipTooLarge, ScratchGone, StoreFull, StoreUnavailable
from clipfleet.messages import ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.queues import make_app
from clipfleet.records import Plan
from clipfleet.settings import Settings
from clipfleet.store import ObjectInfo, Store
from clipfleet_workers import context as contexts
from clipfleet_workers.context import Context
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.steps.idempotent import drop
from clipfleet_workers.steps.prepare import cut_clip, pack_encoding, prepare
from clipfleet_workers.steps.preview import preview
from tests.support import clips
from tests.support.records import put_places

CLIP = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
MINI: dict[str, Any] = {"caption": {"model_variant": "mini"}}


def options(**groups: dict[str, Any]) -> Options:
    return Options.model_validate(MINI | groups)


def context_on(store: Store, **settings: Any) -> Context:
    """A worker's context whose output root is this store."""
    context = Context(Settings(**settings))
    context.__dict__["store"] = store  # a cached property, as if it had been opened
    return context


def job_for(source: str, asked: Options, *, staged: bool = False) -> ClipJob:
    return ClipJob(
        run_id="r1", clip_uuid=CLIP, options_hash=asked.hash, source=source, staged=staged
    )


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of 400 frames, two windows."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.encode(400, options={"preset": "ultrafast"}))
    return path


def cut(store: Store, clip: Path, asked: Options, **settings: Any) -> Plan:
    return cut_clip(context_on(store, **settings), job_for(clip.as_uri(), asked), asked)


def test_each_window_has_its_packs(store: Store, clip: Path) -> None:
    asked = options()
    plan = cut(store, clip, asked)

    assert [(w.start_frame, w.end_frame) for w in plan.windows] == [(0, 255), (256, 399)]
    for window in plan.windows:
        scratch, span = keys.Scratch(CLIP, asked.hash), (window.start_frame, window.end_frame)
        for key in (scratch.frames(*span), scratch.preview_frames(*span)):
            pack = Pack.from_bytes(store.get(key), key=key)
            assert clips.numbers_in(pack.frames) == pack.indices
        assert Pack.from_bytes(store.get(scratch.frames(*span)), key="").indices == (
            window.frame_indices
        )


@pytest.mark.parametrize("encoding", ["raw", "zstd", "jpeg444"])
def test_packs_are_stored_as_asked_and_the_plan_says_so(
    folder_store: Store, clip: Path, encoding: str
) -> None:
    asked = options(prepare={"frame_encoding": encoding})
    plan = cut(folder_store, clip, asked)

    assert plan.frame_encoding == encoding
    assert f'\\"encoding\\": \\"{encoding}\\"'.encode() in folder_store.get(
        keys.Scratch(CLIP, asked.hash).frames(0, 255), length=2000
    )


def test_frames_travel_raw_on_a_disk_and_as_zstd_over_a_network(
    folder_store: Store, s3_store: Store
) -> None:
    assert (pack_encoding(folder_store, "auto"), pack_encoding(s3_store, "auto")) == ("raw", "zstd")


def test_a_preview_is_written_with_a_still_of_its_first_frame(store: Store, clip: Path) -> None:
    asked = options()
    store.put(keys.run_options("r1"), asked.model_dump_json().encode())
    cut(store, clip, asked)
    job = WindowJob(
        run_id="r1", clip_uuid=CLIP, options_hash=asked.hash, start_frame=256, end_frame=399
    )

    part = preview(context_on(store), job)

    assert part.preview is not None
    animation = Image.open(io.BytesIO(store.get(part.preview.key)))
    still = Image.open(io.BytesIO(store.get(part.preview.poster_key)))
    assert (animation.format, still.format) == ("WEBP", "JPEG")
    assert animation.size == still.size == (part.preview.width, part.preview.height)
    assert part.preview.duration_ms == round(144 / 30 * 1000)


def test_a_clip_of_three_frames_is_described_though_it_has_no_windows(
    folder_store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "short.mp4"
    path.write_bytes(clips.encode(3))
    plan = cut(folder_store, path, options())

    assert plan.windows == []
    assert plan.source is not None
    assert plan.source.num_frames == 3
    assert [error.error for error in plan.errors] == ["ClipTooShort"]


def test_a_clip_that_was_asked_for_is_copied(store: Store, clip: Path) -> None:
    put_places(store, str(clip))

    plan = cut(store, clip, options(prepare={"upload_clips": True}))

    assert plan.uploaded
    assert store.get(keys.clip(CLIP)) == clip.read_bytes()


@pytest.mark.parametrize("piece", [1000, 1 << 20])
def test_a_staged_clip_is_fetched_in_pieces(
    store: Store, clip: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(contexts, "_FETCH_BYTES", piece)
    asked = options()
    store.put(keys.Scratch(CLIP, asked.hash).source, clip.read_bytes())

    with context_on(store).open_clip(
        job_for("file:///elsewhere.mp4", asked, staged=True)
    ) as opened:
        assert opened.file.read() == clip.read_bytes()


def test_a_clip_is_told_from_one_that_takes_its_place(folder_store: Store, clip: Path) -> None:
    asked, context = options(), context_on(folder_store)
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, clip.read_bytes())
    changed_at = datetime.fromtimestamp(clip.stat().st_mtime, UTC).isoformat()
    staged = job_for("file:///x.mp4", asked, staged=True).model_copy(update={"mtime": changed_at})

    for job in (job_for(clip.as_uri(), asked), staged):
        source = cut_clip(context, job, asked).source
        assert source
        assert (source.mtime, source.num_bytes) == (changed_at, clip.stat().st_size)


def test_a_staged_clip_that_changes_while_it_is_fetched_is_tried_again_later(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = options()
    key = keys.Scratch(CLIP, asked.hash).source
    folder_store.put(key, b"short")
    monkeypatch.setattr(folder_store, "stat", lambda key: ObjectInfo(key=key, size_bytes=99))

    job = job_for("file:///elsewhere.mp4", asked, staged=True)
    with (
        pytest.raises(StoreUnavailable, match="changed while it was read"),
        context_on(folder_store).open_clip(job),
    ):
        pass


@pytest.mark.parametrize("staged", [True, False])
def test_a_clip_over_the_limit_is_refused_before_it_is_read(
    folder_store: Store, clip: Path, staged: bool
) -> None:
    asked = options()
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, clip.read_bytes())
    context = context_on(folder_store, clip_limits={"max_bytes": 1000})

    with (
        pytest.raises(ClipTooLarge, match=r"over the limit of 1,000"),
        context.open_clip(job_for(clip.as_uri(), asked, staged=staged)),
    ):
        pass


def test_a_clip_that_is_not_there_is_named(folder_store: Store) -> None:
    job = job_for("file:///nowhere/clip.mp4", options())

    with (
        pytest.raises(ClipMissing, match=r"is not there: .*nowhere/clip\.mp4"),
        context_on(folder_store).open_clip(job),
    ):
        pass


def test_bytes_that_are_gone_from_scratch_are_no_fault_of_the_clip(store: Store) -> None:
    job = job_for("file:///nowhere/clip.mp4", options(), staged=True)

    with pytest.raises(ScratchGone), context_on(store).open_clip(job):
        pass


def test_fetching_leaves_no_file_behind(
    folder_store: Store, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    asked = options()
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, clip.read_bytes())

    with context_on(folder_store).open_clip(job_for("file:///x.mp4", asked, staged=True)) as opened:
        assert os.listdir(temp) == []  # noqa: PTH208 - unlinked even while it is open
        assert opened.file.read(4)


def test_a_disk_without_room_for_a_temporary_file_is_no_fault_of_the_clip(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = options()
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, b"a clip")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))  # it fails as a full one does

    with pytest.raises(StoreFull, match=r"the clip does not fit in .*gone"):
        cut_clip(context_on(folder_store), job_for("file:///a.mp4", asked, staged=True), asked)


def test_a_disk_that_fills_as_the_clip_is_fetched_is_no_fault_of_the_clip(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = options()
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, b"a clip")
    full = Path("/dev/full")  # takes a file's name, and no byte
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("r+b"))

    with pytest.raises(StoreFull, match="the clip does not fit"):
        cut_clip(context_on(folder_store), job_for("file:///a.mp4", asked, staged=True), asked)


def test_a_clip_whose_bytes_another_run_cleared_away_is_left_for_its_feeder(
    folder_store: Store,
) -> None:
    asked = options()
    folder_store.put(keys.Scratch(CLIP, asked.hash).source, b"a clip")
    job = job_for("file:///a.mp4", asked, staged=True)
    context = context_on(folder_store)
    folder_store.put(keys.run_options(job.run_id), asked.model_dump_json().encode())
    drop(context, "prepare", job)  # as of another run of the clip that was cancelled
    prepare(context, make_app("redis://127.0.0.1:1", lease_s=1), job)  # nothing is sent
    assert list(folder_store.list("")) == [folder_store.stat(keys.run_options(job.run_id))]
