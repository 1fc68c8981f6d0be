"""What it costs to prepare a clip: ours, the peer (NeMo Curator), and one plain decode.

In one run, in turns: each round measures every clip with every side, each in a process of its own,
so that whatever else the machine does meets all sides alike. The clips are made on the first run
and the peer is installed then; both stay in `.bench/`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from benchmarks.media import packs as media_packs
from benchmarks.media.clips import CLIPS, QUICK, Clip, make, repeat
from benchmarks.media.meter import Usage, peak_mb
from benchmarks.media.quality import preview_ssim
from benchmarks.media.rows import (
    FLOOR,
    OURS,
    OURS_FRAMES,
    PEER,
    PEER_FRAMES,
    Measured,
)
from benchmarks.media.setup import ROOT, Peer, install_peer, workplace
from benchmarks.media.tables import tables
from benchmarks.report import Row, publish, write

SLOW_S = 30  # CPU seconds of the peer from which it takes `--slow-rounds` of a clip
JUDGED = ("10s-720p-h264", "30s-1080p-h264", "60s-360p-h264")  # by the likeness of previews
PACKED = "10s-720p-h264"
LONG = {"60s-1080p-h264": 2, "600s-1080p-h264": 20}  # how often REPEATED is shown
REPEATED = "30s-1080p-h264"
PACK_ROUNDS = 7
WATCH_EVERY_S = 0.1


def main() -> None:
    """Run it."""
    arguments = _arguments()

    def is_asked(name: str) -> bool:
        asked = arguments.clips or (QUICK if arguments.quick else "*")
        return any(fnmatch(name, pattern) for pattern in asked)

    chosen = [clip for clip in CLIPS if is_asked(clip.name)]
    longs = tuple(name for name in LONG if is_asked(name))
    peer = None
    if not arguments.without_peer:
        peer = install_peer(ffmpeg=arguments.ffmpeg, threads=arguments.peer_threads)
    bench = Bench(chosen, peer, arguments.json)
    settings = {"peer": peer.describe() if peer else "not measured"}
    try:
        bench.make_clips(longs)
        bench.measure_rounds(arguments.rounds, arguments.slow_rounds)
        bench.measure_long(longs)
        if any(clip.name == PACKED for clip in chosen):
            packed = bench.paths[PACKED]
            bench.measured.others += media_packs.measure(packed, rounds=PACK_ROUNDS)
    except (KeyboardInterrupt, SideFailed) as stopped:
        settings["stopped before the end"] = str(stopped) or "interrupted"
    finally:
        bench.progress.stop()
        if differences := list(bench.measured.disagreements(chosen)):
            settings["not the same work"] = "; ".join(differences)
        rows = bench.measured.rows(chosen)
        names = [*(clip.name for clip in chosen), *longs]
        shown = tables(rows, clips=names, encodings=media_packs.ENCODINGS)
        publish("media", rows, json_file=arguments.json, settings=settings, tables=shown)
    if "stopped before the end" in settings:
        raise SystemExit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short clips, three rounds")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--clips", nargs="+", help="only clips of these names, such as '*-h264'")
    parser.add_argument("--rounds", type=int, help="5, with --quick 3")
    parser.add_argument(
        "--slow-rounds", type=int, help=f"of the peer, on clips that take it over {SLOW_S} s"
    )
    parser.add_argument("--ffmpeg", type=Path, help="the peer's ffmpeg, not the one from PyPI")
    parser.add_argument("--peer-threads", type=int, default=1, help="of it, to cut windows")
    parser.add_argument("--without-peer", action="store_true", help="ours and the decode alone")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.slow_rounds = arguments.slow_rounds or arguments.rounds
    return arguments


class SideFailed(Exception):
    """A side's process failed."""


class Bench:
    """The measurement, and its results so far."""

    def __init__(self, clips: list[Clip], peer: Peer | None, json_file: Path | None) -> None:
        self.clips = clips
        self.peer = peer
        self.json_file = json_file
        self.measured = Measured()
        self.paths: dict[str, Path] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
        self.progress.start()

    def make_clips(self, longs: tuple[str, ...]) -> None:
        """Make the missing clips."""
        folder = workplace() / "clips"
        needed = list(self.clips)
        if longs:
            needed += [c for c in CLIPS if c.name == REPEATED and c not in needed]
        for clip in needed:
            task = self.progress.add_task(f"making {clip.name}", total=clip.num_frames)
            path = make(clip, folder, done=partial(self._made, task))
            self.progress.remove_task(task)
            self.paths[clip.name] = path
            self.measured.clip_bytes[clip.name] = path.stat().st_size
        for name in longs:
            source = self.paths[REPEATED]
            path = source.with_name(source.name.replace(REPEATED, name))
            self.paths[name] = repeat(source, path, times=LONG[name])

    def _made(self, task: TaskID, number: int) -> None:
        self.progress.update(task, completed=number)

    def measure_rounds(self, rounds: int, slow_rounds: int) -> None:
        """Every side on every clip, alternating."""
        sides = [FLOOR, OURS, OURS_FRAMES] + ([PEER, PEER_FRAMES] if self.peer else [])
        task = self.progress.add_task("", total=rounds * len(sides) * len(self.clips))
        for number in range(rounds):
            for clip in self.clips:
                enough = number >= slow_rounds and self._is_slow(clip)
                for side in sides:
                    if enough and side in (PEER, PEER_FRAMES):
                        self.progress.advance(task)
                        continue
                    what = f"round {number + 1}/{rounds} {clip.name} {side}"
                    self.progress.update(task, description=what)
                    self._measure(clip.name, side, judge=number == 0 and clip.name in JUDGED)
                    self.progress.advance(task)
        self.progress.remove_task(task)

    def measure_long(self, names: tuple[str, ...]) -> None:
        """Our peak memory on clips of a minute and of ten; one run each."""
        for name in names:
            task = self.progress.add_task(f"{name} {OURS}", total=None)
            usage = self._run(self.paths[name], OURS)
            self.measured.others.append(Row(f"peak_mb/{name}", usage.peak_mb, "MB"))
            self.measured.others.append(Row(f"cpu_s_ours/{name}", usage.cpu_s, "CPU s, one run"))
            self.progress.remove_task(task)
            self._save()

    def _is_slow(self, clip: Clip) -> bool:
        runs = self.measured.runs[clip.name, PEER]
        return bool(runs) and runs[0].cpu_s > SLOW_S

    def _measure(self, clip: str, side: str, *, judge: bool) -> None:
        path = self.paths[clip]
        judge = judge and side in (OURS, PEER)
        with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as folder:
            keep = Path(folder) if judge else None
            self.measured.runs[clip, side].append(self._run(path, side, keep=keep))
            if keep is not None:
                fps = next(c.fps for c in self.clips if c.name == clip)
                name = "preview_ssim" if side == OURS else "preview_ssim_peer"
                likeness = preview_ssim(path, keep, fps=fps)
                self.measured.others.append(Row(f"{name}/{clip}", likeness, "SSIM of luma"))
        self._save()

    def _save(self) -> None:
        if self.json_file is not None:
            write(self.measured.rows(self.clips), self.json_file)

    def _run(self, clip: Path, side: str, *, keep: Path | None = None) -> Usage:
        """One side on one clip, in a process of its own."""
        environment = None
        if side in (PEER, PEER_FRAMES):
            assert self.peer is not None
            command = [str(self.peer.python), "-m", "benchmarks.media.peer"]
            command += ["--threads", str(self.peer.threads)]
            environment = self.peer.environment()
        else:
            kind = FLOOR if side == FLOOR else OURS
            command = [sys.executable, "-m", "benchmarks.media.sides", kind]
        command.append(str(clip))
        command += ["--frames-only"] if side in (OURS_FRAMES, PEER_FRAMES) else []
        command += ["--keep", str(keep)] if keep is not None else []
        with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=said, stderr=complained
            )
            try:
                ffmpeg_mb = _watch(process)
            finally:
                process.kill()  # nothing where it has ended; what Ctrl-C leaves otherwise
                process.wait()
            said.seek(0)
            complained.seek(0)
            if process.returncode != 0:
                raise SideFailed(f"{side} on {clip.name}:\n{complained.read()[-2000:]}")
            usage = Usage.from_line(said.read().splitlines()[-1])
        return replace(usage, details=usage.details | {"ffmpeg_mb": ffmpeg_mb})


def _watch(process: "subprocess.Popen[bytes]") -> float:
    """Wait for the process; the peak in 10^6 bytes of the largest ffmpeg that it ran."""
    most = 0.0
    while process.poll() is None:
        try:
            for child in psutil.Process(process.pid).children():
                most = max(most, peak_mb(child.pid, name="ffmpeg"))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            pass  # it ended between two looks
        time.sleep(WATCH_EVERY_S)
    return most


if __name__ == "__main__":
    main()
