"""Taking 100,000 clips' results away: how long each format takes, in how much memory.

Each clip has one window with a caption of 60 words. Records lie in a folder store. Each export is
the command itself, in a process of its own; memory is the most that was resident. What was written
is read back by the formats' own libraries, and every caption must be there. WebDataset is measured
without pictures: reading those takes what the store takes.
"""

import argparse
import csv
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.store import open_store
from clipfleet_producer.runs.writing import write_run
from tests.support.exported_run import done_record

RUN = "bench"
OPTIONS = Options()
# Ten words each; a caption is six of them.
PHRASES = (
    "a red ball rolls slowly across the wooden floor and",
    "the camera pans left over parked cars and low houses",
    "while a woman in a blue coat crosses the street",
    "two cyclists come into view behind a white delivery van",
    "light changes from warm to grey as clouds move in",
    "in the distance a train passes over an iron bridge",
    "a man with an umbrella stops, turns, and walks back",
    "leaves are blown along the pavement towards the open gate",
    "the traffic light turns green and the first car starts",
    "nothing else moves until a dog runs out of frame",
)
# Memory is measured for this many clips as well, to compare with that of all of them.
FEWER = 0.1


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 clips")
    parser.add_argument("--clips", type=int, default=100_000, help="[default: 100000]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    clips = 2000 if given.quick else given.clips
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        rows = measure(Path(name), clips)
    publish(f"Export of {clips:,} clips of one window", rows, json_file=given.json)


def measure(folder: Path, clips: int) -> list[Row]:
    """The figures of every format."""
    fewer = make_run(folder / "fewer", int(clips * FEWER))
    expected = make_run(folder / "all", clips)
    small = export(folder, "fewer", "parquet", "fewer")
    assert sorted(read_parquet(folder / "fewer-parquet")) == fewer
    rows = [
        Row("clips", clips, "of one window, 60 words a caption"),
        Row("parquet_peak_mb_of_a_tenth", small.peak_mb, f"MB, {int(clips * FEWER):,} clips"),
    ]
    readers: dict[str, Callable[[Path], Iterable[str]]] = {
        "parquet": read_parquet,
        "jsonl": read_json,
        "csv": read_csv,
        "webdataset": read_webdataset,
        "lance": read_lance,
    }
    for format, read in readers.items():
        done = export(folder, "all", format, "all")
        dest = folder / f"all-{format}"
        assert sorted(read(dest)) == expected, f"{format} does not hold what the records do"
        size = sum(path.stat().st_size for path in dest.rglob("*") if path.is_file())
        rows += [
            Row(f"{format}_seconds", done.seconds, "s"),
            Row(f"{format}_cpu_seconds", done.cpu_s, "s, of all its threads"),
            Row(f"{format}_peak_mb", done.peak_mb, "MB"),
            Row(f"{format}_mb", size / 1e6, "MB written"),
        ]
        if format == "parquet":
            again = export(folder, "all", format, "all")
            rows.append(Row("parquet_again_seconds", again.seconds, "s, with every part there"))
            began = time.perf_counter()
            assert sorted(read_datasets(dest, folder / "cache")) == expected
            rows.append(Row("datasets_seconds", time.perf_counter() - began, "s to read it back"))
    return rows


def make_run(folder: Path, clips: int) -> list[str]:
    """Create a run with a record for each clip; gives their captions, sorted.

    Records are written past the store, which syncs each to disk.
    """
    store = open_store(str(folder))
    store.prepare()
    write_run(store, RUN, OPTIONS, map(line, range(clips)))
    (folder / keys.RECORDS).mkdir(parents=True)
    captions = []
    for number in range(clips):
        phrases = random.Random(number).choices(PHRASES, k=6)
        captions.append(f"{number}: {' '.join(phrases)}")
        record = done_record(number, captions[-1:], run_id=RUN)
        (folder / keys.record(record.span_uuid)).write_bytes(record.to_bytes())
    return sorted(captions)


def line(number: int) -> ManifestLine:
    """The manifest's line on a clip."""
    record = done_record(number)
    return ManifestLine(clip_uuid=record.span_uuid, source=record.source_video)


@dataclass(frozen=True)
class Done:
    """What an export took."""

    seconds: float
    cpu_s: float
    peak_mb: float


def export(folder: Path, store: str, format: str, dest: str) -> Done:
    """Export by the command, as a user would."""
    command = [
        sys.executable,
        "-m",
        "clipfleet_producer",
        "export",
        RUN,
        str(folder / f"{dest}-{format}"),
    ]
    command += ["--format", format, "--no-previews", "--store", str(folder / store)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak_kb = 0
    while process.poll() is None:
        peak_kb = max(peak_kb, most_resident_kb(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, f"{format}: exit code {process.returncode}"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Done(seconds, cpu_s, peak_kb / 1000)


def most_resident_kb(pid: int) -> int:
    """The peak resident memory so far. `ru_maxrss` would include the parent's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0


def read_parquet(dest: Path) -> list[str]:
    """Captions, by pyarrow."""
    import pyarrow.dataset

    table = pyarrow.dataset.dataset(dest, format="parquet").to_table(columns=["caption"])
    captions: list[str] = table["caption"].to_pylist()
    return captions


def read_datasets(dest: Path, cache: Path) -> Iterator[str]:
    """Captions, by Hugging Face's datasets."""
    import datasets

    files = sorted(map(str, dest.glob("*.parquet")))
    found: Any = datasets.Dataset.from_parquet(files, cache_dir=str(cache))
    return iter(found["caption"])


def read_json(dest: Path) -> Iterator[str]:
    """Captions of JSON lines."""
    for file in dest.glob("*.jsonl"):
        with file.open("rb") as lines:
            yield from (json.loads(text)["caption"] for text in lines)


def read_csv(dest: Path) -> Iterator[str]:
    """Captions of CSV."""
    for file in dest.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as lines:
            yield from (row["caption"] for row in csv.DictReader(lines))


def read_webdataset(dest: Path) -> Iterator[str]:
    """Captions, by webdataset."""
    import webdataset

    urls = sorted(map(str, dest.glob("*.tar")))
    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        yield sample["txt"].decode()


def read_lance(dest: Path) -> list[str]:
    """Captions, by pylance."""
    import lance

    table = lance.dataset(str(dest / "data.lance")).to_table(columns=["caption"])
    captions: list[str] = table["caption"].to_pylist()
    return captions


if __name__ == "__main__":
    main()
