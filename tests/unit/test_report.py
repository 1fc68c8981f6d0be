"""What people are shown: any name as it is, no secret."""

import io
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from clipfleet.broker.client import redact
from clipfleet.options import Options
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet_producer.cli.report import WINDOWS_SHOWN, clip_table, print_captions
from clipfleet_workers.steps.assemble import build_record
from tests.support.records import PLAN, clip_record, completed, previewed, words


@pytest.mark.parametrize("name", ["car[1080p].mp4", "a[/b].mp4", "[red]x[/red].mp4"])
def test_a_clips_name_is_shown_as_it_is(name: str) -> None:
    out = io.StringIO()
    line = ManifestLine(clip_uuid=clip_record().span_uuid, source=f"s3://bucket/{name}")
    Console(file=out, width=200).print(clip_table([(line, clip_record())], enhance=False))
    assert name.rpartition("/")[2] in out.getvalue()


def captioned() -> ClipRecord:
    """A record with two windows, each with its caption and its preview."""
    spans = ((0, 255), (256, 399))
    parts = [{"caption": completed(f"A car, {s}."), "preview": previewed(s, e)} for s, e in spans]
    return build_record(PLAN, parts, options=Options())


def test_captions_are_shown_with_the_preview_to_hold_them_against() -> None:
    out = io.StringIO()
    record = captioned()
    line = ManifestLine(clip_uuid=record.span_uuid, source="s3://bucket/a[b].mp4")
    print_captions(Console(file=out, width=60), [(line, record)], "/my  results")
    shown = out.getvalue()
    assert len(record.windows) == 2
    for window in record.windows:
        assert f"a[b].mp4, frames {window.start_frame}–{window.end_frame}" in shown
        assert words(window.caption) in shown
        assert window.preview
        assert f"/my  results/{window.preview.key}\n" in shown, "in one piece, to be copied"


def test_what_a_model_wrote_is_shown_and_not_obeyed() -> None:
    out = io.StringIO()
    parts = [
        {"caption": completed("A \x1b[31mred\x1b]0;title\x07 car."), "preview": previewed(0, 9)}
    ]
    record = build_record(
        PLAN.model_copy(update={"windows": PLAN.windows[:1]}), parts, options=Options()
    )
    line = ManifestLine(clip_uuid=record.span_uuid, source="s3://bucket/a.mp4")
    print_captions(Console(file=out, width=200), [(line, record)], "/results")
    assert "A \\x1b[31mred\\x1b]0;title\\x07 car." in out.getvalue()


def test_of_many_windows_the_first_alone_is_shown() -> None:
    out = io.StringIO()
    record = captioned()
    lines = [
        (ManifestLine(clip_uuid=record.span_uuid, source=f"s3://bucket/{i}.mp4"), record)
        for i in range(WINDOWS_SHOWN + 1)
    ]
    print_captions(Console(file=out, width=200), lines, "/results")
    assert out.getvalue().count("preview ") == 1


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
        "import signal, clipfleet_producer.cli.main as c; c.cli = lambda **_: None; c.main(); "
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
