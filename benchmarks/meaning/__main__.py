"""How accurate captions are through the embedded stack, and whether vLLM and transformers agree.

Sample clips of an unseen seed go through `clipfleet run`, with previews and enhanced captions; what
the records say is held against the truth, fact by fact. Then the same frames and prompt go through
our vLLM engine and through the model authors' own code.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, publish
from clipfleet import prompts
from clipfleet.records import ClipRecord
from clipfleet_producer.samples import write_samples
from clipfleet_workers.inference.positions import authors_positions
from clipfleet_workers.inference.weights import MINI_FOLDER
from tests.support.meaning.engine import LONGEST, mini_engine, our_tokens
from tests.support.meaning.reference import Reference
from tests.support.meaning.score import kept, score
from tests.support.meaning.windows import cut_windows

SEED, PARITY_SEED, PARITY_CLIPS = 20_261_124, 2_718, 12


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 clips in place of 500")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--sampling-fps", default="2.0", help="[default: 2.0]")
    parser.add_argument("--no-parity", action="store_true", help="leave the comparison out")
    arguments = parser.parse_args()
    count = 40 if arguments.quick else 500
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as folder:
        rows = measure_truth(Path(folder), count, arguments.sampling_fps)
        if not arguments.no_parity:
            rows += measure_parity(Path(folder))
    title = f"{count} unseen sample clips through the embedded stack"
    settings = {"sampling": f"{arguments.sampling_fps} frames a second"}
    publish(title, rows, json_file=arguments.json, settings=settings)


def measure_truth(folder: Path, count: int, sampling_fps: str) -> list[Row]:
    """Run the clips and judge their records."""
    for number, _ in enumerate(write_samples(folder / "clips", count=count, seed=SEED), 1):
        print(f"\rwriting sample clips {number}/{count}", end="", file=sys.stderr)
    print("\rrunning                      ", file=sys.stderr)
    out = folder / "out"
    command = [str(Path(sys.executable).with_name("clipfleet")), "run", str(folder / "clips")]
    command += ["--out", str(out), "--enhance-captions", "--captioning-algorithm", "mini"]
    command += ["--captioning-sampling-fps", sampling_fps]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    records = [
        ClipRecord.model_validate_json(path.read_bytes()) for path in out.glob("metas/v0/*.json")
    ]
    assert len(records) == count
    found, enhanced = score(records, truth=folder / "clips"), kept(records)
    for line in found.mistakes:
        print(line, file=sys.stderr)
    rows = [
        Row("clips", count, ""),
        Row("windows", found.captions, ""),
        Row("facts_right", found.facts_right, "of single facts"),
        Row("captions_right", found.wholly_right, "of captions, nothing wrong in them"),
        Row("enhanced_facts_kept", enhanced.facts_right, "of the caption's facts"),
        Row("enhanced_wholly_kept", enhanced.wholly_right, "of enhanced captions"),
        Row("enhanced_longer", enhanced.longer / enhanced.captions, "of enhanced captions"),
        Row("enhanced_words_ratio", enhanced.words_ratio, "times the caption's words"),
    ]
    return rows + [
        Row(f"facts_right/{kind}", share, f"of {found.seen[kind]}")
        for kind, share in found.by_kind().items()
    ]


def measure_parity(folder: Path) -> list[Row]:
    """The share of windows whose answers agree in every token, in both precisions."""
    print("comparing with transformers", file=sys.stderr)
    windows = list(
        cut_windows(write_samples(folder / "parity", count=PARITY_CLIPS, seed=PARITY_SEED))
    )
    rows = [Row("parity/windows", len(windows), "")]
    for dtype in ("float32", "bfloat16"):
        with mini_engine(dtype, folder / "cache") as engine:
            ours = our_tokens(engine, windows)
        reference = Reference(MINI_FOLDER, dtype)
        for name, positions in (
            (dtype, authors_positions()),
            (f"{dtype}_transformers_positions", contextlib.nullcontext()),
        ):
            with positions:
                theirs = [
                    reference.tokens(video, prompts.CAPTION["default"], most=LONGEST)
                    for video in windows
                ]
            same = sum(a == b for a, b in zip(ours, theirs, strict=True))
            rows.append(Row(f"parity/{name}", same / len(windows), "of windows, token by token"))
    return rows


if __name__ == "__main__":
    main()
