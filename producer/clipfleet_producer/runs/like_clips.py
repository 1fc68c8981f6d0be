"""How long clips may take, by a run that finished: its windows a second, and windows of like clips.

A clip is like another of about its size: files of one camera or one data set have as many windows
as they are large.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from clipfleet.errors import StoreError, UsageError
from clipfleet.records import ManifestLine
from clipfleet.store import Store
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import run_heads

_ALIKE = 5  # so many of the nearest in size


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run that finished. `sizes` are (bytes, windows) of some of its clips, by size."""

    run_id: str
    windows_per_s: float
    windows_per_clip: float
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def windows(self, line: ManifestLine) -> float:
        """How many windows a clip may have: the mean of the clips nearest in size."""
        if line.num_bytes is None or line.span is not None or not self.sizes:
            return self.windows_per_clip
        place = bisect_left(self.sizes, (line.num_bytes, 0))
        first = max(0, min(place - _ALIKE // 2, len(self.sizes) - _ALIKE))
        alike = self.sizes[first : first + _ALIKE]
        return sum(windows for _, windows in alike) / len(alike)


def measured_run(store: Store, options_hash: str) -> MeasuredRun | None:
    """The last run with these options that finished and did clips with windows itself."""
    for head in run_heads(store):
        if head.options_hash != options_hash:
            continue
        run = Run(store=store, head=head)
        summary = run.summary() or {}
        done, windows = int(summary.get("done", 0)), int(summary.get("windows", 0))
        clips = done - int(summary.get("windowless", 0))
        own = done - int(summary.get("previously_done", 0))
        seconds = float(summary.get("seconds", 0))
        if min(own, windows, clips) > 0 and seconds > 0:
            return MeasuredRun(
                run_id=head.run_id,
                windows_per_s=windows * own / done / seconds,
                windows_per_clip=windows / clips,
                sizes=_sizes(run),
            )
    return None


def _sizes(run: Run) -> list[tuple[int, int]]:
    """(bytes, windows) of the clips of its first shard that have windows."""
    try:
        windows = {each.clip_uuid: each.windows for each in run.done.digest(0)}
        lines = run.manifest.shard(0)
    except (StoreError, UsageError):
        return []
    return sorted(
        (line.num_bytes, windows[line.clip_uuid])
        for line in lines
        if line.num_bytes and line.span is None and windows.get(line.clip_uuid)
    )
