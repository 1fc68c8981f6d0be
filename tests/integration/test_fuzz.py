"""A few hundred of the inputs that `benchmarks/fuzz.py` makes by the ten thousand."""

import functools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fuzz import course as fuzz
from tests.support.fuzz import texts as fuzz_texts
from tests.support.fuzz.child import clip_of
from tests.support.fuzz.mutations import dialect_of, pieces_of
from tests.support.fuzz.readers import ANY_MESSAGE, make_readers
from tests.support.fuzz.seeds import MAKERS, make_seeds
from tests.support.fuzz.trees import every
from tests.support.fuzz.worker import ASKED, REFUSALS, Worker

SEED = 1
CLIPS_OF_A_KIND, TEXTS_OF_A_KIND = 5, 60


@functools.cache
def seeds() -> dict[str, bytes]:
    return make_seeds()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with fuzz.room() as folder:
        yield Worker(folder, decode_s=60.0)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_clip_made_wrong_is_cut_or_refused(worker: Worker, kind: str) -> None:
    place = list(seeds()).index(kind)
    for number in range(place, CLIPS_OF_A_KIND * len(seeds()), len(seeds())):
        _, data, how, asked = clip_of(SEED, number, seeds())
        end, fault = worker.take(data, asked)
        assert not fault, f"{number}, {how}: {fault}"
        assert end == "cut" or end in REFUSALS


@pytest.mark.parametrize("kind", MAKERS)
def test_a_clip_to_start_from_is_cut(worker: Worker, kind: str) -> None:
    asked = random.Random(kind).choice(ASKED)
    assert worker.take(seeds()[kind], asked) == ("cut", "")


def test_a_clip_to_start_from_is_the_same_each_time() -> None:
    assert make_seeds() == seeds()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_is_taken_apart_and_put_together_again(kind: str) -> None:
    data = seeds()[kind]
    dialect = dialect_of(data)
    if dialect is None:
        assert b"".join(pieces_of(data)) == data
        assert len(pieces_of(data)) >= 3
    else:
        parts = dialect.read(data)
        again = dialect.write(parts)
        assert dialect.read(again) == parts
        assert abs(len(again) - len(data)) < 100  # EBML's lengths may take fewer bytes
        assert len(every(parts)) >= 20


def test_inputs_follow_from_their_number_alone() -> None:
    found = [clip_of(SEED, number, seeds())[:3] for number in (7, 8, 7)]
    assert found[0] == found[2] != found[1]


MESSAGES = {"ClipJob", "WindowJob", "AssembleJob"}
MESSAGES |= {f"{queue} message" for queue in ("prepare", "preview", "caption", "assemble")}

Readers = dict[str, fuzz_texts.Reader]


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with fuzz.room() as folder:
        yield make_readers(folder)


def read_all(readers: Readers) -> Counter[tuple[str, str]]:
    """How texts made wrong end, by their kind and by how."""
    ends: Counter[tuple[str, str]] = Counter()
    for number in range(TEXTS_OF_A_KIND * len(readers)):
        kind, text = fuzz_texts.text_of(SEED, number, readers)
        end, fault = fuzz_texts.take(readers[kind], text)
        assert not fault, f"{number}, {kind}: {text[:1000]!r}: {fault}"
        ends[kind, end] += 1
    return ends


def test_texts_made_wrong_are_read_or_refused(readers: Readers) -> None:
    others = {kind: each for kind, each in readers.items() if kind != ANY_MESSAGE}
    ends = read_all(others)
    assert {kind for kind, end in ends if end == "read"} >= {*others} - {"a clip's place"}
    assert {kind for kind, end in ends if end == "MessageInvalid"} >= MESSAGES


def test_no_text_on_a_queue_ends_its_worker(readers: Readers) -> None:
    read_all({ANY_MESSAGE: readers[ANY_MESSAGE]})


# What each input of a stand-in for the child does, by its number.
STAND_IN = """
import json, os, sys, time
for number in range(int(sys.argv[4]), int(sys.argv[5])):
    with open(sys.argv[2] + "/input", "w") as file:
        file.write(str(number))
    if number == 2:
        os.kill(os.getpid(), 11)
    if number == 4:
        time.sleep(60)
    said = {"number": number, "kind": "k", "how": "", "end": "cut", "seconds": 0.1 * number}
    said |= {"fault": "a lie" if number == 5 else "", "resident_mb": 1.0, "peak_mb": 10.0 * number}
    print(json.dumps(said), flush=True)
"""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fuzz.Course:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(fuzz, "PATIENCE_S", 2.0)
    return fuzz.Course("clips", tmp_path, SEED, tmp_path / "kept", module="stand_in")


def test_whoever_ends_its_process_is_counted_and_kept_and_the_rest_goes_on(
    course: fuzz.Course,
) -> None:
    course.run(0, 7)
    assert (course.crashes, course.hangs, course.faults) == (1, 1, {"k": 1})
    assert course.ends == {("k", "cut"): 5}
    assert course.peak_mb == 60.0
    assert course.keep is not None
    kept = {path.name: path.read_text() for path in course.keep.iterdir()}
    assert (kept["clips-1-2"], kept["clips-1-4"]) == ("2", "4")
    assert "ended its process with -11" in kept["clips-1-2.txt"]
    assert "a lie" in kept["clips-1-5.txt"]
