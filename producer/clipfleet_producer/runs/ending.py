"""The end of a run: once all of its clips have records it has finished, whoever finds that out.

Its feeder does, as a rule. Where none is left, as after Ctrl-C, it is the first to ask.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from clipfleet.errors import StoreError
from clipfleet.runs import LOST, RunCounts
from clipfleet_producer.runs.model import CheckedClip, Run


def nothing_to_do(run: Run) -> bool:
    """Whether all of the run's clips are done; looks no further than the first that is not."""
    done = run.done.numbers()
    return all(
        clip.record is not None
        for shard in range(run.head.shards)
        if shard not in done
        for clip in run.check_all(run.manifest.shard(shard))
    )


def finish(
    run: Run,
    *,
    on_clip: Callable[[CheckedClip, RunCounts], None] = lambda clip, counts: None,
    on_shard: Callable[[RunCounts], None] = lambda counts: None,
) -> None:
    """Write the counts of a run of which `nothing_to_do` is true, and that it has finished.

    Its end is when the last of its records was written. `on_shard` is called with the counts of
    each shard that was done before, `on_clip` with each clip of the others.
    """
    total, last = RunCounts(), ""
    known = dict(run.done.all_counts(run.done.numbers()))
    for shard in range(run.head.shards):
        if shard in known:
            counts = known[shard]
            on_shard(counts)
        else:
            counts, digest = RunCounts(), dict[str, str]()
            for clip in run.check_all(run.manifest.shard(shard)):
                each = clip.counts or LOST
                on_clip(clip, each)
                counts += each
                if clip.record is not None:
                    digest[clip.line.clip_uuid] = clip.summarized()
                    last = max(last, clip.record.finished_at)
            run.done.write(shard, counts, digest.values())
        total += counts
    run.conclude(total, ended_at=moment(last))


def end_if_done(run: Run) -> bool:
    """Whether the run has finished, which is written where it is true and nobody did so yet.

    One that is cancelled stays so. Credentials that only read find it finished, and write nothing.
    """
    if run.summary() is not None:
        if run.control() is not None:  # who wrote it died before the last step
            with contextlib.suppress(StoreError):
                run.deactivate()
        return True
    if run.control() is None or not nothing_to_do(run):
        return False
    with contextlib.suppress(StoreError):
        finish(run)
    return True


def discard_if_idle(run: Run) -> bool:
    """Remove a run that has finished and did nothing, as all was done before; whether it did."""
    summary = run.summary()
    if summary is None or summary.get("missing"):
        return False
    if summary.get("done") != summary.get("previously_done"):
        return False
    with contextlib.suppress(StoreError):
        run.discard()
        return True
    return False


def moment(finished_at: str) -> datetime | None:
    """When a record was written; None where that is not known."""
    try:
        found = datetime.fromisoformat(finished_at)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
