"""The whole job on the embedded stack: clips and windows a second, CPU seconds of each stage.

`clipfleet run` is measured from outside, as a user runs it: its records by their times, its
processes by the CPU time that the system counts for them. The caption model is `mini`, so the
figures are about everything around a model, not about a model.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from benchmarks.report import Row, publish
from clipfleet.records import ClipRecord
from clipfleet_producer.samples import write_samples

STAGES = ("prepare", "preview", "caption", "assemble", "broker", "producer")
SAMPLE_EVERY_S = 0.2
IN_FLIGHT = 8  # few, so that most clips are prepared after the model is loaded


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="24 clips in place of 80")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    count = 24 if arguments.quick else 80
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as folder:
        rows = measure(Path(folder), count)
    publish(f"the embedded stack on {count} sample clips", rows, json_file=arguments.json)


def measure(folder: Path, count: int) -> list[Row]:
    """Make the clips, run them, and count."""
    for number, _ in enumerate(write_samples(folder / "clips", count=count, seed=1), 1):
        print(f"\rwriting sample clips {number}/{count}", end="", file=sys.stderr)
    print("\rrunning                      ", file=sys.stderr)
    out = folder / "out"
    command = [str(Path(sys.executable).with_name("clipfleet")), "run", str(folder / "clips")]
    command += ["--out", str(out), "--enhance-captions", "--captioning-algorithm", "mini"]
    command += ["--in-flight", str(IN_FLIGHT)]
    started = time.monotonic()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    records_folder = out / "metas" / "v0"
    cpu_s, cpu_at_first_s = watch(run, records_folder)
    wall_s = time.monotonic() - started
    if run.returncode != 0:
        raise SystemExit(f"clipfleet run failed with exit code {run.returncode}")
    paths = sorted(records_folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    records = [ClipRecord.model_validate_json(path.read_bytes()) for path in paths]
    assert len(records) == count
    windows = [len(record.windows) for record in records]
    tokens = [
        sum(text.output_tokens or 0 for text in window.texts())
        for record in records
        for window in record.windows
    ]
    # From the first record on, everything is warmed up and the stages overlap.
    steady_s = (paths[-1].stat().st_mtime_ns - paths[0].stat().st_mtime_ns) / 1e9
    rows = [
        Row("clips", count, ""),
        Row("windows", sum(windows), ""),
        Row("output_tokens", sum(tokens) / len(tokens), "a window, caption and enhanced caption"),
        Row("wall", wall_s, "s"),
        Row("clips_per_s", count / wall_s, "clips/s, start-up included"),
        Row("windows_per_s", sum(windows) / wall_s, "windows/s, start-up included"),
        Row("clips_per_s/steady", (count - 1) / steady_s, "clips/s from the first record on"),
        Row("windows_per_s/steady", sum(windows[1:]) / steady_s, "windows/s likewise"),
    ]
    for stage in STAGES:
        rows.append(Row(f"cpu_s/{stage}", cpu_s[stage], "CPU s in all, start-up included"))
    for stage in STAGES:
        steady = (cpu_s[stage] - cpu_at_first_s[stage]) / (count - 1)
        rows.append(Row(f"cpu_s_per_clip/{stage}", steady, "CPU s a clip, from the first record"))
    return rows


def watch(
    run: "subprocess.Popen[bytes]", records: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """CPU seconds by stage: of the whole run, and of its part before the first record.

    Each process counts with what it had used when it was last seen alive.
    """
    root = psutil.Process(run.pid)
    seen: dict[int, tuple[str, float]] = {}
    at_first: dict[str, float] | None = None
    while run.poll() is None:
        processes = {root.pid: "producer"}
        try:
            children = root.children()
        except psutil.NoSuchProcess:
            break
        for child in children:
            try:
                stage = stage_of(" ".join(child.cmdline()))
                processes[child.pid] = stage
                processes |= {p.pid: stage for p in child.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
        for pid, stage in processes.items():
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.NoSuchProcess:
                continue
            seen[pid] = (stage, times.user + times.system)
        if at_first is None and records.is_dir() and any(records.iterdir()):
            at_first = total_by_stage(seen)
        time.sleep(SAMPLE_EVERY_S)
    run.wait()
    return total_by_stage(seen), at_first or defaultdict(float)


def total_by_stage(seen: dict[int, tuple[str, float]]) -> dict[str, float]:
    """CPU seconds summed over each stage's processes."""
    totals: dict[str, float] = defaultdict(float)
    for stage, seconds in seen.values():
        totals[stage] += seconds
    return totals


def stage_of(command: str) -> str:
    """Which stage a child process of the run belongs to, by its command line."""
    if "valkey-server" in command:
        return "broker"
    for stage in STAGES:
        if f"workers {stage}" in command or f"celeryd: {stage}" in command:
            return stage
    return "producer"


if __name__ == "__main__":
    main()
