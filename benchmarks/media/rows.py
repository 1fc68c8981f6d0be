"""Figures from measurements: medians of CPU and wall, ratios of medians, largest peaks."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.media.clips import Clip
from benchmarks.media.meter import Usage
from benchmarks.report import Row

FLOOR, OURS, OURS_FRAMES = "floor", "ours", "ours_frames"
PEER, PEER_FRAMES = "peer", "peer_frames"


@dataclass
class Measured:
    """All that was measured so far. `runs` by clip and side; `others` are other figures."""

    runs: dict[tuple[str, str], list[Usage]] = field(default_factory=lambda: defaultdict(list))
    clip_bytes: dict[str, int] = field(default_factory=dict)
    others: list[Row] = field(default_factory=list)

    def rows(self, clips: list[Clip]) -> list[Row]:
        """Every figure that can be computed."""
        rows = [row for clip in clips for row in _clip_rows(self, clip.name)]
        return rows + self.others

    def disagreements(self, clips: list[Clip]) -> Iterator[str]:
        """Clips on which the sides did not do the same work: windows, sampled frames."""
        for clip in clips:
            ours, peer = self.runs.get((clip.name, OURS)), self.runs.get((clip.name, PEER))
            if ours and peer:
                for what in ("windows", "frames"):
                    a, b = ours[-1].details[what], peer[-1].details[what]
                    if a != b:
                        yield f"{clip.name}: {a:g} {what}, and {b:g} of the peer's"


class _OfClip:
    """Medians and largest figures of one clip's runs; None where a side has none."""

    def __init__(self, measured: Measured, clip: str) -> None:
        self._measured, self._clip = measured, clip

    def runs(self, side: str) -> list[Usage]:
        return self._measured.runs.get((self._clip, side), [])

    def median(self, side: str, value: Callable[[Usage], float]) -> float | None:
        runs = self.runs(side)
        return statistics.median(map(value, runs)) if runs else None

    def largest(self, side: str, value: Callable[[Usage], float]) -> float | None:
        return max(map(value, self.runs(side)), default=None)


_Figure = tuple[str, float | None, str]


def _clip_rows(measured: Measured, clip: str) -> Iterator[Row]:
    found = _OfClip(measured, clip)
    figures = [*_cpu_figures(found), *_other_figures(found, measured.clip_bytes.get(clip))]
    for name, value, unit in figures:
        if value is not None:
            yield Row(f"{name}/{clip}", value, unit)


def _cpu_figures(found: _OfClip) -> list[_Figure]:
    cpu = {
        side: found.median(side, lambda usage: usage.cpu_s)
        for side in (FLOOR, OURS, OURS_FRAMES, PEER, PEER_FRAMES)
    }
    ours_webp = found.median(OURS, _detail("webp_cpu_s"))
    peer_stage = found.median(PEER, _detail("preview_stage_cpu_s"))
    # A difference of two larger figures: never less than what was measured of it alone.
    ours_previews = _less(cpu[OURS], cpu[OURS_FRAMES], at_least=ours_webp)
    peer_previews = _less(cpu[PEER], cpu[PEER_FRAMES], at_least=peer_stage)
    runs = found.runs(OURS)
    spread = (max(u.cpu_s for u in runs) - min(u.cpu_s for u in runs)) if runs else None
    times = "times less CPU"
    return [
        ("cpu_ratio_vs_peer", _ratio(cpu[PEER], cpu[OURS]), times),
        (
            "cpu_ratio_vs_peer_frames",
            _ratio(cpu[PEER_FRAMES], cpu[OURS_FRAMES]),
            f"{times}, frames",
        ),
        ("cpu_ratio_vs_peer_previews", _ratio(peer_previews, ours_previews), f"{times}, previews"),
        ("cpu_ratio_vs_floor", _ratio(cpu[OURS], cpu[FLOOR]), "of one full decode"),
        ("cpu_ratio_vs_floor_frames", _ratio(cpu[OURS_FRAMES], cpu[FLOOR]), "likewise, frames"),
        ("cpu_s_floor", cpu[FLOOR], "CPU s"),
        ("cpu_s_ours", cpu[OURS], "CPU s"),
        ("cpu_s_ours_frames", cpu[OURS_FRAMES], "CPU s, no previews"),
        ("cpu_s_ours_previews", ours_previews, "CPU s, the difference"),
        ("cpu_s_ours_webp", ours_webp, "CPU s, encoding them"),
        ("cpu_s_ours_spread", spread, "CPU s, from the least run to the most"),
        ("cpu_s_peer", cpu[PEER], "CPU s"),
        ("cpu_s_peer_frames", cpu[PEER_FRAMES], "CPU s, no previews"),
        ("cpu_s_peer_previews", peer_previews, "CPU s, the difference"),
        ("cpu_s_peer_preview_stage", peer_stage, "CPU s, without cutting windows"),
    ]


def _other_figures(found: _OfClip, clip_bytes: int | None) -> list[_Figure]:
    return [
        *(
            (f"wall_s_{side}", found.median(side, lambda usage: usage.wall_s), "s")
            for side in (FLOOR, OURS, PEER)
        ),
        ("peak_mb", found.largest(OURS, lambda run: run.peak_mb), "MB"),
        (
            "peak_mb_peer",
            found.largest(PEER, lambda usage: usage.peak_mb),
            "MB, without its ffmpeg",
        ),
        ("peak_mb_peer_ffmpeg", found.largest(PEER, _detail("ffmpeg_mb")), "MB"),
        ("windows", found.median(OURS, _detail("windows")), ""),
        ("frames", found.median(OURS, _detail("frames")), "sampled frames"),
        ("clip_mb", _scaled(clip_bytes, 1e6), "MB"),
        ("packs_mb", _scaled(found.median(OURS, _detail("pack_bytes")), 1e6), "MB, raw"),
        ("preview_kb", _scaled(found.median(OURS, _detail("preview_bytes")), 1e3), "kB"),
        ("preview_kb_peer", _scaled(found.median(PEER, _detail("preview_bytes")), 1e3), "kB"),
        ("rounds", float(len(found.runs(OURS))) or None, ""),
        ("rounds_peer", float(len(found.runs(PEER))) or None, ""),
    ]


def _detail(name: str) -> Callable[[Usage], float]:
    return lambda usage: usage.details[name]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _less(whole: float | None, part: float | None, *, at_least: float | None) -> float | None:
    if whole is None or part is None:
        return None
    return max(whole - part, at_least or 0.0)


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value / scale
