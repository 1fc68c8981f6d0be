"""Nothing that a stranger wrote is an order to a terminal, however it comes to be shown."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.table import Table

import clipfleet_workers.cli
from clipfleet import logs
from clipfleet.errors import UsageError
from clipfleet.printable import printable, printable_lines
from clipfleet_producer.cli.terminal import Console
from tests.support.cli_here import run_here

ORDERS = {
    "title": ("\x1b]0;PWNED\x07", "\\x1b]0;PWNED\\x07"),
    "colour": ("\x1b[31m", "\\x1b[31m"),
    "C1": ("\x9b31m", "\\x9b31m"),
    "next line": ("\x85", "\\x85"),
    "delete": ("\x7f", "\\x7f"),
    "back": ("\b\r\v\f", "\\x08\\r\\x0b\\x0c"),
    "turned": ("\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"),
    "invisible": ("\u200b\u2060\ufeff\U000e0041", "\\u200b\\u2060\\ufeff\\U000e0041"),
    "separators": ("\u2028\u2029\x1c", "\\u2028\\u2029\\x1c"),
    "half": ("\udcff", "\\udcff"),
}
EVIL = "".join(raw for raw, _ in ORDERS.values())


def is_harmless(said: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in said)


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_stands_as_its_escape(name: str) -> None:
    raw, shown = ORDERS[name]

    assert printable(f"a{raw}é 界") == f"a{shown}é 界"
    assert printable_lines(f"a{raw}\nb") == f"a{shown}\nb"


def test_only_where_lines_are_asked_for_does_a_line_end_stay_one() -> None:
    assert printable("a\nb") == "a\\nb"
    assert printable_lines("a\nb\n") == "a\nb\n"


def logged(formatter: logging.Formatter, message: str, *, fail: bool = False) -> str:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    log = logging.Logger("somebody.else")
    log.addHandler(handler)
    try:
        if fail:
            raise ValueError(f"{EVIL}\n12:00:00 INFO    all is well")
        log.error("%s", message, stack_info=True)
    except ValueError:
        log.exception("%s", message)
    return out.getvalue()


@pytest.mark.parametrize("fail", [True, False])
@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()])
def test_a_log_line_holds_no_order_nor_does_its_traceback(
    formatter: logging.Formatter, fail: bool
) -> None:
    said = logged(formatter, f"clip {EVIL}\n12:00:00 INFO    all is well", fail=fail)

    assert is_harmless(said)
    first, *rest = said.rstrip("\n").split("\n")
    assert "all is well" in first
    assert all(line.startswith("  ") for line in rest), "a line passes for one of the log's"
    if fail and rest:
        assert rest[0] == "  Traceback (most recent call last):"
        assert len(rest) > 3, "a traceback keeps its lines"


def test_a_json_log_is_ascii() -> None:
    assert logged(logs.JsonFormatter(), EVIL).isascii()


def test_a_library_with_a_handler_of_its_own_writes_as_all_others_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = io.StringIO()
    library = logging.getLogger("a.library")
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False

    logs.adopt("a.library")
    said = EVIL.encode(errors="ignore").decode()  # the test's own report takes no half letters
    library.warning(said)

    assert own.getvalue() == ""
    assert caplog.messages == [said], "it did not come to the root's handler"


def test_a_crash_and_a_warning_are_said_without_orders(tmp_path: Path) -> None:
    script = tmp_path / "crash.py"
    script.write_text(
        "import threading, warnings\n"
        "from clipfleet import logs\n"
        "logs.escape_crashes()\n"
        "logs.set_up(log_format='text', verbose=False)\n"
        f"evil = {EVIL!r}\n"
        "def fail(): raise ValueError(evil)\n"
        "warnings.warn(evil)\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "fail()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"import runpy; runpy.run_path({str(script)!r})"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )

    said = ran.stderr.decode("utf-8")
    assert ran.returncode == 1
    assert said.count("ValueError: \\x1b]0;PWNED") == 2
    assert "UserWarning: \\x1b]0;PWNED" in said
    assert is_harmless(said)


def test_what_is_laid_out_on_a_console_holds_no_order_but_its_own() -> None:
    out = io.StringIO()
    console = Console(file=out)
    table = Table("clip", EVIL)
    table.add_row(EVIL, f"[link=http://x]{EVIL}[/link]")
    console.print(table)
    console.print(f"path {EVIL}", markup=False)

    assert is_harmless(out.getvalue())
    assert out.getvalue().count("PWNED") == 4


def test_colours_of_our_own_reach_a_terminal_and_links_of_others_do_not() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", no_color=False)
    console.print("[red]bad[/] [link=http://x]here[/link]")

    assert out.getvalue() == "\x1b[31mbad\x1b[0m here\n"


ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.mark.parametrize(
    "arguments",
    [
        (EVIL,),
        ("prompts", EVIL),
        ("prompts", f"--{EVIL}"),
        ("run", EVIL, "--out", EVIL),
        ("run", EVIL, "--limit", EVIL),
        ("status", EVIL, "--store", "nowhere", "--verbose"),
        ("show", EVIL, "--store", "nowhere"),
        ("export", EVIL, EVIL, "--store", f"nowhere{EVIL}"),
        ("summary", "r", "--store", f"nowhere{EVIL}"),
    ],
)
def test_a_command_says_what_is_wrong_without_orders(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ran = run_here(arguments, env=ENV, cwd=tmp_path)

    assert ran.returncode in (2, 5)
    assert "clipfleet" in ran.stdout.lower() or "Error" in ran.stdout
    assert is_harmless(ran.stdout)


def test_a_worker_says_what_is_wrong_on_one_line_without_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fail() -> None:
        raise UsageError(f"a{EVIL}\nclipfleet-worker: all is well")

    monkeypatch.setattr(clipfleet_workers.cli, "cli", fail)
    monkeypatch.setattr(sys, "argv", ["clipfleet-worker"])
    monkeypatch.setattr(clipfleet_workers.cli, "be_discreet", lambda: None)
    monkeypatch.setattr(logs, "escape_crashes", lambda: None)
    with pytest.raises(SystemExit) as end:
        clipfleet_workers.cli.main()

    said = capsys.readouterr().err
    assert end.value.code == 2
    assert is_harmless(said)
    assert said.count("\n") == 1
