"""Our side and the floor, each on one clip in a separate process.

`ours` does what a prepare worker and a preview worker do between them, in one process that has
imported both: cut, write every pack of sampled frames and every preview to a store. Left out are
the preview frames' own way through the store and the still beside each preview. `floor` decodes
every frame in one thread and does nothing with them: what no way of looking at a whole clip can do
without.
"""

import argparse
import tempfile
from pathlib import Path

import av

from benchmarks.media.meter import Details, cpu_seconds, report
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.store import Store, open_store
from clipfleet_workers.media import onepass, webp


def main() -> None:
    """Do one side's work on one clip and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("floor", "ours"))
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames-only", action="store_true", help="no previews")
    parser.add_argument("--keep", type=Path, help="folder for the previews")
    arguments = parser.parse_args()
    if arguments.side == "floor":
        report(lambda: floor(arguments.clip))
        return
    # A worker has Celery and the rest loaded, so the peak includes them.
    from clipfleet_workers.steps import prepare, preview  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as folder:
        store = open_store(folder)
        store.prepare()
        report(lambda: ours(arguments.clip, store, previews=not arguments.frames_only))
        if arguments.keep is not None:
            for each in store.list("previews/"):
                (arguments.keep / Path(each.key).name).write_bytes(store.get(each.key))


def floor(clip: Path) -> Details:
    """Decode every frame, in one thread."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return {"frames": float(sum(1 for _ in container.decode(stream)))}


def ours(clip: Path, store: Store, *, previews: bool) -> Details:
    """Cut the clip, and write its packs and, with `previews`, its previews."""
    options = PreviewOptions()
    details = {"windows": 0.0, "frames": 0.0, "pack_bytes": 0.0}
    if previews:
        details |= {"preview_bytes": 0.0, "webp_cpu_s": 0.0}

    def write(window: onepass.Window) -> None:
        pack = window.frames.to_parts("raw")
        name = f"{window.plan.start_frame}_{window.plan.end_frame}"
        store.put(f"frames/{name}", pack)
        details["windows"] += 1
        details["frames"] += len(window.plan.frame_indices)
        details["pack_bytes"] += sum(map(len, pack))
        if window.preview is not None:
            started_s = cpu_seconds()
            animation = webp.encode(
                window.preview.frames,
                window.preview.durations_ms or [],
                compression_level=options.compression_level,
                quality=options.quality,
                threads=1,
            )
            details["webp_cpu_s"] += cpu_seconds() - started_s
            details["preview_bytes"] += len(animation)
            store.put(f"previews/{name}.webp", animation, content_type="image/webp")

    with clip.open("rb") as file:
        onepass.cut(
            file,
            prepare=PrepareOptions(generate_previews=previews),
            preview=options,
            grid=QWEN2_5_VL,
            write=write,
        )
    return details


if __name__ == "__main__":
    main()
