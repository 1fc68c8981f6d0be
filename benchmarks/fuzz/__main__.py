"""Damaged clips and texts, by the ten thousand: does anything crash, hang, leak, or decode wrong?

Clips of every kind go, changed in their structure, their packets and their bytes, through what a
prepare and a preview worker do with one; texts of every kind (manifests, options, plans, records,
parts, packs, messages) to those who read them; and streams that differ in all that their codec has,
cut and joined, are compared with a full decode, frame by frame. All go through one process, one
after another, until one ends it: then that one is counted, and another process goes on. Each input
follows from the seed and its number.
"""

import argparse
import statistics
from collections import Counter
from pathlib import Path

from benchmarks.report import Row, publish
from tests.support.fuzz.child import INPUT_NAME
from tests.support.fuzz.course import Course, room, write_seeds
from tests.support.fuzz.exact import FAULTS
from tests.support.fuzz.worker import DECODE_S, REFUSALS

SETTLED = 500
NEAR = 100  # inputs whose median is the memory at one of them
TEXTS_PER_CLIP, CLIPS_PER_SPLICE = 5, 2


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 clips")
    parser.add_argument("--count", type=int, default=40_000, help="clips [default: 40,000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that show anything")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="take this one clip alone")
    parser.add_argument("--replay-text", type=int, metavar="NUMBER", help="take this one text")
    parser.add_argument("--splices", type=int, metavar="N", help="this many splices, alone")
    parser.add_argument("--replay-splice", type=int, metavar="NUMBER", help="take this one splice")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    count = 1000 if given.quick else given.count
    with room() as folder:
        splices = Course("splices", folder, given.seed, given.keep)
        if given.replay_splice is not None:
            replay(splices, given.replay_splice)
            return
        if given.splices is not None:
            splices.run(0, given.splices)
            title = f"{given.splices:,} splices, seed {given.seed}"
            publish(title, splice_rows(splices), json_file=given.json)
            return
        write_seeds(folder)
        if given.replay is not None:
            replay(Course("clips", folder, given.seed, given.keep), given.replay)
            return
        if given.replay_text is not None:
            replay(Course("texts", folder, given.seed, given.keep), given.replay_text)
            return
        clips = Course("clips", folder, given.seed, given.keep)
        clips.run(0, count)
        texts = Course("texts", folder, given.seed, given.keep)
        texts.run(0, count * TEXTS_PER_CLIP)
        splices.run(0, count // CLIPS_PER_SPLICE)
    made = f"{count:,} clips and {count * TEXTS_PER_CLIP:,} texts made wrong"
    title = f"{made}, {count // CLIPS_PER_SPLICE:,} splices, seed {given.seed}"
    publish(title, rows_of(clips, texts) + splice_rows(splices), json_file=given.json)


def replay(course: Course, number: int) -> None:
    """Run one input by its number, and print all about it."""
    course.run(number, number + 1)
    for (kind, end), _ in course.ends.items():
        print(f"{kind}: {end}, {course.slowest_s:.2f} s, {course.peak_mb:,.0f} MB at the most")
    course.save(number, course.folder / INPUT_NAME)


def rows_of(clips: Course, texts: Course) -> list[Row]:
    """The figures."""
    courses = (clips, texts)
    ends: Counter[str] = Counter()
    for (_, end), times in clips.ends.items():
        ends[end] += times
    settled = statistics.median(clips.memory[:SETTLED][-NEAR:])
    last = statistics.median(clips.memory[-NEAR:])
    # What malloc keeps of a large clip comes and goes; a leak raises the minimum.
    quarter = max(1, len(clips.memory) // 4)
    growth = min(clips.memory[-quarter:]) - min(clips.memory[quarter : 2 * quarter] or [last])
    rows = [
        Row("inputs/CLIPS", clips.ends.total() + clips.crashes + clips.hangs, ""),
        Row("inputs/TEXTS", texts.ends.total() + texts.crashes + texts.hangs, ""),
        Row("seconds", clips.seconds, "for the clips"),
        Row("seconds/TEXTS", texts.seconds, "for the texts"),
        Row("crashes", sum(each.crashes for each in courses), "processes ended"),
        Row("hangs", sum(each.hangs for each in courses), f"over {2 * DECODE_S:g} s"),
        Row("unexpected_errors", sum(each.faults.total() for each in courses), ""),
        *(
            Row(f"unexpected_errors/{kind}", times, "")
            for each in courses
            for kind, times in sorted(each.faults.items())
        ),
        Row("slowest_s", clips.slowest_s, f"the slowest clip, with {DECODE_S:g} s to decode in"),
        Row("peak_mb", clips.peak_mb, "MB resident, at the most"),
        Row(f"memory_mb/{SETTLED}", settled, f"MB resident after {SETTLED} clips"),
        Row("memory_mb/END", last, f"MB resident after {len(clips.memory):,} clips of one process"),
        Row("growth_mb", growth, "MB: its least in the last quarter, less that in the second"),
        Row("refused", sum(ends[name] for name in REFUSALS), "clips, by name"),
        Row("cut", ends["cut"], "clips"),
        *(Row(f"refused/{name}", ends[name], "clips") for name in sorted(REFUSALS)),
    ]
    kinds = dict.fromkeys(kind for kind, _ in clips.ends)
    for kind in kinds:
        total = sum(times for (each, _), times in clips.ends.items() if each == kind)
        rows.append(Row(f"cut/{kind}", clips.ends[kind, "cut"], f"of {total:,}"))
    return rows


def splice_rows(splices: Course) -> list[Row]:
    """The figures of streams cut and joined: together, then by kind."""
    kinds = sorted({kind for kind, _ in splices.ends})
    rows = [
        Row("seconds/SPLICES", splices.seconds, ""),
        Row("crashes/SPLICES", splices.crashes, "processes ended"),
        Row("hangs/SPLICES", splices.hangs, ""),
    ]
    for name, among in [("", kinds), *((f"/{kind}", [kind]) for kind in kinds)]:
        ends, counts = Counter[str](), Counter[str]()
        for kind in among:
            ends.update({end: n for (each, end), n in splices.ends.items() if each == kind})
            counts.update({each: n for (of, each), n in splices.counts.items() if of == kind})
        rows += [
            Row(f"splices{name}", ends.total(), f"{counts['frames']:,} frames compared"),
            Row(f"bad{name}", sum(splices.faults[kind] for kind in among), "clips, of which:"),
            *(Row(f"bad/{sort.upper()}{name}", counts[sort], "") for sort in FAULTS),
            Row(f"unseen{name}", counts["unseen"], "clips damaged where nothing is decoded"),
            Row(f"warned{name}", ends["warned"], "clips that say that frames may be lost"),
            Row(f"refused_splices{name}", ends["ClipUnreadable"], "clips"),
            Row(
                f"skipped{name}",
                counts["skipped"] / max(1, counts["packets"]),
                "of the packets, for 2 frames a second",
            ),
        ]
    return rows


if __name__ == "__main__":
    main()
