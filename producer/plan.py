"""What a command is about to do: the clips that it names, and which of them are done already."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.settings import Settings
from clipfleet.store import Store
from producer import feed, manifest
from producer.sources import Found, find_clips, printable, short_name


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run about to be fed: its clips, which of them are still to do, and what named none."""

    run_id: str
    options: Options
    store: Store
    clips: list[ManifestLine]
    todo: list[ManifestLine]
    problems: list[str]

    def run(self, *, stage: bool) -> feed.Run:
        """The run, for feeding."""
        return feed.Run(
            run_id=self.run_id,
            options_hash=self.options.hash,
            store=self.store,
            stage=stage,
        )


def make_plan(
    names: Iterable[str],
    settings: Settings,
    options: Options,
    console: Console,
    *,
    run_id: str | None,
    limit: int | None,
    retry_failed: bool,
) -> Job:
    """Find the clips and which are done, and write the run down.

    Raises `UsageError` where nothing is named, `StoreError` where the store cannot be used.
    """
    run_id = manifest.check_run_id(run_id or manifest.new_run_id())
    found = find_clips(names, settings)
    if not found.clips:
        raise UsageError("; ".join(found.problems) or "no clips: name files, folders or s3:// URLs")
    for problem in found.problems:
        console.print(f"clipfleet: {printable(problem)}", style="red", soft_wrap=True, markup=False)
    clips = found.clips[:limit]
    store = settings.open_store(settings.store)
    store.prepare()
    manifest.check_free(store, run_id, options)
    listed, todo = [], []
    with console.status("looking for clips that are done already") as shown:
        for number, (line, record) in enumerate(feed.find_done(store, clips, options.hash), 1):
            if number % 1000 == 0:
                shown.update(f"looking for clips that are done already: {number} of {len(clips)}")
            changed = record is not None and _changed(line, record)
            if changed:
                name = printable(short_name(line.source))
                console.print(f"{name} has changed since", markup=False)
            redo = record is not None and (changed or (retry_failed and not record.valid))
            listed.append(line.model_copy(update={"redo": redo}))
            if record is None or redo:
                todo.append(listed[-1])
    begin(store, run_id, options, listed, todo)
    _say(console, run_id, found, clips, todo, store)
    return Job(
        run_id=run_id,
        options=options,
        store=store,
        clips=listed,
        todo=todo,
        problems=found.problems,
    )


def begin(
    store: Store,
    run_id: str,
    options: Options,
    clips: list[ManifestLine],
    todo: list[ManifestLine],
) -> None:
    """Write the run down, if it has anything to do."""
    for line in todo:
        if line.redo:  # parts of before must not be taken for parts of now
            store.delete_prefix(keys.scratch(line.clip_uuid, options.hash))
    if todo:
        manifest.write_run(store, run_id, options, clips)


def _changed(line: ManifestLine, record: ClipRecord) -> bool:
    known = (line.num_bytes, record.num_bytes)
    return None not in known and line.num_bytes != record.num_bytes


def _say(
    console: Console,
    run_id: str,
    found: Found,
    clips: list[ManifestLine],
    todo: list[ManifestLine],
    store: Store,
) -> None:
    known = f"; {len(clips) - len(todo)} done already" if len(todo) < len(clips) else ""
    limited = f" of {len(found.clips)} found" if len(clips) < len(found.clips) else ""
    name = f", run {run_id}" if todo else ""
    plural = "clip" if len(clips) == 1 else "clips"
    console.print(
        f"{len(clips)} {plural}{limited} → {store.uri}{name}{known}", soft_wrap=True, markup=False
    )
