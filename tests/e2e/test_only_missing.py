"""Runs one after the other over the same clips, each asking for more: only that is made."""

import json
from collections import Counter
from pathlib import Path

from clipfleet.queues import CAPTION, ENHANCE, PREVIEW
from tests.e2e.test_run import QUICK, SHORT, records_in
from tests.support.cli import Cli
from tests.support.records import words

WINDOWS = 4  # of the three sample clips


class Output:
    """One output, and what runs into it make: counted by the workers that make it."""

    def __init__(self, cli: Cli, out: Path) -> None:
        self._cli, self.out = cli, out
        self.workers: set[str] = set()

    def made(self, clips: Path, *options: str) -> Counter[str]:
        """Do the clips with these options; how many windows went through each queue."""
        before = set(self.out.glob("runs/*"))
        done = self._cli.run(
            "run", clips, "--out", self.out, *SHORT, *options, CLIPFLEET_ENGINE=QUICK
        )
        assert done.returncode == 0, done.stdout
        (run,) = set(self.out.glob("runs/*")) - before
        self.workers = {log.stem for log in run.glob("logs/*.log")}
        said = "\n".join(log.read_text() for log in run.glob("logs/*.log"))
        counts = {queue: said.count(f"{queue} done") for queue in (PREVIEW, CAPTION, ENHANCE)}
        return Counter({queue: count for queue, count in counts.items() if count})


def test_previews_then_captions_then_enhanced_ones_then_a_prompt_make_each_once(
    cli: Cli, sample_clips: Path, tmp_path: Path
) -> None:
    output = Output(cli, tmp_path / "out")

    assert output.made(sample_clips, "--no-generate-captions") == {PREVIEW: WINDOWS}
    assert output.workers == {"broker", "prepare", "preview", "assemble"}
    previews = {name: record.windows[0].preview for name, record in records_in(output.out).items()}

    assert output.made(sample_clips, "--generate-captions") == {CAPTION: WINDOWS}

    assert output.made(sample_clips, "--enhance-captions") == {ENHANCE: WINDOWS}

    manifest = tmp_path / "clips.jsonl"
    rows = [{"clip": str(path)} for path in sorted(sample_clips.glob("*.mp4"))]
    rows[0]["prompt"] = "Name the colours."
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert output.made(manifest, "--enhance-captions") == {CAPTION: 1, ENHANCE: 1}

    for name, record in records_in(output.out).items():
        assert record.valid
        assert record.windows[0].preview == previews[name]
        assert all(words(window.enhanced) for window in record.windows)
        own = "Name the colours." in record.prompts.values()
        assert own is (name == "sample-000.mp4")
