"""What people are shown: any name as it is, no secret."""

import io
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from clipfleet.broker import redact
from clipfleet.records import ManifestLine
from producer.report import clip_table, standing
from tests.unit.records import clip_record

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["car[1080p].mp4", "a[/b].mp4", "[red]x[/red].mp4"])
def test_a_clips_name_is_shown_as_it_is(name: str) -> None:
    out = io.StringIO()
    line = ManifestLine(clip_uuid=clip_record().span_uuid, source=f"s3://bucket/{name}")
    Console(file=out, width=200).print(clip_table([(line, clip_record())], enhance=False))
    assert name.rpartition("/")[2] in out.getvalue()


def test_a_clip_without_a_record_is_missing() -> None:
    counts = standing([None, clip_record()])
    assert (counts["clips"], counts["done"], counts["missing"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://host:6379/0"),
        ("redis://:pa/ss#w@host/0", "redis://host/0"),
        ("redis://user:a@b@host", "redis://host"),
        ("redis://host", "redis://host"),
        ("rediss://[::1]:6379", "rediss://[::1]:6379"),
        ("nonsense", "(none)"),
    ],
)
def test_a_brokers_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_hang_up_that_the_caller_ignores_stays_ignored() -> None:
    code = (
        "import signal, producer.cli as c; c.cli = lambda **_: None; c.main(); "
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"
