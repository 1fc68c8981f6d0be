"""Python's way to a fleet: the same verbs as the command line, without its output."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.options import Options
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunControl, RunHead
from clipfleet.sets import read_set_name
from clipfleet.settings import Settings, read_settings
from clipfleet.store import STORE_FORMS
from clipfleet_producer.export import Exported, Format, Per, export_run, make_spec
from clipfleet_producer.feeding.following import Outcome, fill, follow
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.feeding.submission import RunRequest, submit_run
from clipfleet_producer.runs import control
from clipfleet_producer.runs.comparison import Comparison, compare
from clipfleet_producer.runs.deletion import Doomed, delete, find_doomed
from clipfleet_producer.runs.ending import end_if_done
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.names import choose_run_id
from clipfleet_producer.runs.set_list import SetInfo, list_sets
from clipfleet_producer.runs.status import FleetStatus, RunStatus, StatusReader, read_fleet
from clipfleet_producer.runs.store import active_runs


class Fleet:
    """A store and a broker, and the runs of that store.

    Settings are those of the command line: arguments first (`store="s3://bucket/prefix"`,
    `broker="redis://…"`, and every other of `clipfleet.settings.Settings`), then CLIPFLEET_*
    variables, then the settings file (docs/fleet.md). Raises `UsageError` where one is wrong or
    there is no store.
    """

    def __init__(self, **settings: object) -> None:
        self.settings: Settings = read_settings(**settings)
        if not self.settings.store:
            raise UsageError(f"no store: give store=…, {STORE_FORMS}")
        self._store = self.settings.open_store()

    def submit(
        self,
        clips: Iterable[str | Path],
        options: Options | None = None,
        *,
        run_id: str | None = None,
        set: str = "",
        overwrite: bool = False,
        limit: int | None = None,
        partition: tuple[int, int] | None = None,
        shuffle: int | None = None,
        clip_column: str | None = None,
        columns: Mapping[str, str] | None = None,
        retry_failed: bool = False,
        redo_changed: bool = False,
        priority: int = 0,
        in_flight: int | None = None,
        stage: bool | None = None,
        follow_links: bool = True,
    ) -> "FleetRun":
        """Create a run and put its first clips on the queues.

        `options` that are not given are those of its `set` ("": the first). With `overwrite` the
        set takes the run's; else raises `SetConflict` where they would replace what it has.
        `clips` are what the command line takes: files, folders, patterns, manifests, `s3://` and
        `https://` URLs. `partition` (i, n) takes the i-th of n, from 1; `shuffle` is a seed.
        `in_flight` bounds its clips on the queues at once, whoever feeds it. `stage` copies files
        of this machine to scratch for workers, by default where the store is S3. Without
        `follow_links`, links in folders are passed over; with `redo_changed`, clips whose source
        was replaced are done again. `columns` are those of manifests, by their meaning, such as
        {"start_s": "from"}; `clip_column` is that of the clip. Raises `UsageError` where nothing is
        named, `BrokerError`, `StoreError`.
        """
        request = RunRequest(
            names=map(str, clips),
            limit=limit,
            partition=partition,
            shuffle=shuffle,
            columns={**(columns or {}), **({"clip": clip_column} if clip_column else {})},
            run_id=choose_run_id(run_id),
            set_name=read_set_name(set),
            overwrite=overwrite,
            retry_failed=retry_failed,
            redo_changed=redo_changed,
            staged=self._store.is_remote if stage is None else stage,
            follow_links=follow_links,
            control=RunControl(priority=priority, in_flight=in_flight),
        )
        broker = self.settings.open_broker()
        submitted = submit_run(request, self.settings, options or Options(), broker)
        run = submitted.run
        fill(run, self.settings, ProgressObserver(run.head.clips), in_flight=in_flight)
        return FleetRun(self.settings, run, submitted.problems, submitted.passed.counts())

    def run(self, run_id: str) -> "FleetRun":
        """A run that is there, or the "latest". Raises `UsageError` where there is none."""
        found = Run.open(self._store, run_id, allowed=self.settings.sources)
        return FleetRun(self.settings, found)

    def runs(self) -> list[str]:
        """The runs that have not finished, by name.

        That a run has finished, of which nobody said so yet, is written.
        """
        return [name for name in active_runs(self._store) if not self._is_over(name)]

    def _is_over(self, run_id: str) -> bool:
        with contextlib.suppress(UsageError):  # it is being written
            return end_if_done(Run.open(self._store, run_id))
        return False

    def sets(self) -> list[SetInfo]:
        """The sets of the store: clips, sizes, and what differs from the first one's options."""
        return list_sets(self._store)

    def compare(self, first: str, second: str, *, limit: int = 10) -> Comparison:
        """Two sets side by side, with the `limit` clips whose captions differ most, worst first.

        Raises `UsageError` where a set has no record.
        """
        names = read_set_name(first), read_set_name(second)
        return compare(self._store, *names, limit=limit)

    def delete(
        self, clips: Iterable[str] | None = None, *, set: str, dry_run: bool = False
    ) -> Doomed:
        """Take down all of a set but its sources and runs, or all there is of these clips in it.

        `clips` are named by UUID. Gives what there was. Raises `UsageError` where a run of a whole
        set has not finished.
        """
        doomed = find_doomed(self._store, read_set_name(set), clips)
        if not dry_run:
            delete(self._store, doomed)
        return doomed

    def status(self) -> FleetStatus:
        """What waits in the queues, and which workers are alive."""
        return read_fleet(self.settings.open_broker())

    def record(self, clip_uuid: str, *, set: str = "") -> ClipRecord | None:
        """A clip's record in a set, whatever run wrote it; None where there is none."""
        key = keys.record(clip_uuid, read_set_name(set))
        try:
            return ClipRecord.model_validate_json(self._store.get(key))
        except ObjectMissing:
            return None


class FleetRun:
    """One run of a fleet.

    `problems` are what was named as it was submitted and is no clip; `passed_over` counts what was
    found in the folders and prefixes and is none, by ending.
    """

    def __init__(
        self,
        settings: Settings,
        run: Run,
        problems: Iterable[str] = (),
        passed_over: Mapping[str, int] | None = None,
    ) -> None:
        self.problems = list(problems)
        self.passed_over = dict(passed_over or {})
        self._settings, self._run = settings, run

    @property
    def head(self) -> RunHead:
        """What it is: its clips, its options' hash, when it was created."""
        return self._run.head

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.head.run_id

    def status(self) -> RunStatus:
        """Its status, counted anew from the store and what feeders say. Raises `StoreError`."""
        return StatusReader(self._run, self._settings.open_broker()).read()

    def feed(self, *, in_flight: int | None = None) -> RunStatus:
        """Feed it until it has finished, and find what was lost of it.

        Of a run that has finished or is cancelled, only the status. Raises `KeyboardInterrupt`.
        """
        if not end_if_done(self._run) and self._run.control() is not None:
            progress = ProgressObserver(self.head.clips)
            options = self._run.options()
            outcome = follow(self._run, options, self._settings, progress, in_flight=in_flight)
            if outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
        return self.status()

    def pause(self) -> None:
        """Feed no more of it; what is on the queues goes on.

        Raises `RunFinished`, `RunCancelled`.
        """
        control.pause(self._run)

    def resume(self, *, priority: int | None = None) -> None:
        """Feed it again after `pause` or `cancel`, or give it another priority.

        Raises `RunFinished`, and `UsageError` where a cancelled run's presigned addresses are gone.
        """
        control.resume(self._run, self._settings.open_broker(), priority=priority)

    def cancel(self) -> None:
        """Feed no more of it, and have workers drop what they get of it. Raises `RunFinished`."""
        control.cancel(self._run, self._settings.open_broker())

    def records(self) -> Iterator[tuple[ManifestLine, ClipRecord | None]]:
        """Each of its clips with its record, None where it has none of the run's options.

        In the manifest's order, one shard in memory at a time.
        """
        return self._run.records()

    def export(
        self,
        folder: str | Path,
        format: Format | str = Format.JSONL,
        *,
        per: Per | str = Per.WINDOW,
        only_valid: bool = False,
        only_approved: bool = False,
        pictures: bool = True,
        escape_formulas: bool = True,
        shard_size: int | None = None,
    ) -> Exported:
        """Write its clips' records to files, for training code to read.

        It goes on where an earlier call with the same arguments was stopped. Raises `UsageError`
        where the folder holds another export, or a library is missing.
        """
        spec = make_spec(
            self.head,
            Format(format),
            per=Per(per),
            only_valid=only_valid,
            only_approved=only_approved,
            pictures=pictures,
            escape_formulas=escape_formulas,
            shard_size=shard_size,
        )
        return export_run(self._run.store, self.head, spec, Path(folder))
