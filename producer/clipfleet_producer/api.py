"""Python's way to a fleet: the same verbs as the command line, without its output."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rich.console import Console

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.options import Options
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunHead
from clipfleet.settings import Settings, read_settings
from clipfleet.store import STORE_FORMS
from clipfleet_producer.export import Exported, Format, Per, export_run, make_spec
from clipfleet_producer.feeding.following import fill, follow
from clipfleet_producer.feeding.submission import RunRequest, create_run
from clipfleet_producer.runs import control, manifest
from clipfleet_producer.runs.model import Run, manifest_records
from clipfleet_producer.runs.status import FleetStatus, Reader, RunStatus, read_fleet

_QUIET = Console(quiet=True)


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
        limit: int | None = None,
        shard: tuple[int, int] | None = None,
        shuffle: int | None = None,
        clip_column: str | None = None,
        columns: Mapping[str, str] | None = None,
        retry_failed: bool = False,
        priority: int = 0,
        stage: bool | None = None,
        follow_links: bool = True,
    ) -> "FleetRun":
        """Write a run down and put its first clips on the queues.

        `clips` are what the command line takes: files, folders, patterns, manifests, `s3://` and
        `https://` URLs. `shard` (i, n) takes part i of n, from 1; `shuffle` is a seed. `stage`
        copies files of this machine to scratch for workers, by default where the store is S3.
        Without `follow_links`, links in folders are passed over. `columns` are those of manifests,
        by what they hold, such as {"start_s": "from"}; `clip_column` is that of the clip.
        Raises `UsageError` where nothing is named, `BrokerError`, `StoreError`.
        """
        staged = self._store.is_remote if stage is None else stage
        broker = self.settings.open_broker()
        asked = RunRequest(
            names=map(str, clips),
            limit=limit,
            shard=shard,
            shuffle=shuffle,
            columns={**(columns or {}), **({"clip": clip_column} if clip_column else {})},
            run_id=manifest.choose_run_id(run_id),
            retry_failed=retry_failed,
            staged=staged,
            priority=priority,
            follow_links=follow_links,
            fleet=broker.fleet(),
            broker=broker.address,
        )
        broker.clear_cancellation(asked.run_id)
        planned = create_run(asked, self.settings, options or Options(), _QUIET)
        fill(planned.run, self.settings, _QUIET, in_flight=None)
        run = FleetRun(self, planned.head)
        run.problems = list(planned.problems)
        run.passed_over = asked.passed.counts()
        return run

    def run(self, run_id: str) -> "FleetRun":
        """A run that is there. Raises `UsageError` where there is none."""
        return FleetRun(self, manifest.read_head(self._store, run_id))

    def runs(self) -> list[str]:
        """The runs that are not at their end, by name."""
        return manifest.active_runs(self._store)

    def status(self) -> FleetStatus:
        """What waits in the queues, and which workers live."""
        return read_fleet(self.settings.open_broker())

    def record(self, clip_uuid: str) -> ClipRecord | None:
        """A clip's record, whatever run wrote it; None where there is none."""
        try:
            return ClipRecord.model_validate_json(self._store.get(keys.record(clip_uuid)))
        except ObjectMissing:
            return None


class FleetRun:
    """One run of a fleet.

    `problems` are what was named as it was submitted and is no clip; `passed_over` counts what lay
    in the folders and prefixes and is none, by ending.
    """

    def __init__(self, fleet: Fleet, head: RunHead) -> None:
        self.head = head
        self.problems: list[str] = []
        self.passed_over: dict[str, int] = {}
        self._settings = fleet.settings
        self._store = fleet.settings.open_store()
        self._run = Run(head=head, store=self._store, allowed=self._settings.sources)

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.head.run_id

    def status(self) -> RunStatus:
        """How it stands, counted anew from the store and what feeders say. Raises `StoreError`."""
        broker = self._settings.open_broker()
        return Reader(self._store, broker, self.run_id).read()

    def feed(self, *, in_flight: int | None = None) -> RunStatus:
        """Feed it to its end, and find what is lost of it. Raises `KeyboardInterrupt`."""
        if manifest.read_state(self._store, self.head) is not None:
            options = manifest.read_options(self._store, self.run_id)
            if follow(self._run, options, self._settings, _QUIET, in_flight=in_flight).interrupted:
                raise KeyboardInterrupt
        return self.status()

    def pause(self) -> None:
        """Feed no more of it; what is on the queues goes on."""
        control.pause(self._settings, self.run_id, _QUIET)

    def resume(self, *, priority: int | None = None) -> None:
        """Feed it again after `pause` or `cancel`."""
        control.resume(self._settings, self.run_id, _QUIET, priority=priority)

    def cancel(self) -> None:
        """Feed no more of it, and have workers drop what they get of it."""
        control.cancel(self._settings, self.run_id, _QUIET)

    def records(self) -> Iterator[tuple[ManifestLine, ClipRecord | None]]:
        """Each of its clips with its record, None where it has none of the run's options.

        In the manifest's spec, one shard in memory at a time.
        """
        return manifest_records(self._run)

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
        """Write what is known of its clips to files, for training code to read.

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
        return export_run(self._store, self.head, spec, Path(folder))
