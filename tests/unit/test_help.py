"""`clipfleet --help`, and what is said of a command line that is wrong."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clipfleet.errors import ExitCode
from clipfleet.flags import unknown_variables
from clipfleet_producer.cli.groups import CommandGroup, summary
from clipfleet_producer.cli.main import cli
from clipfleet_producer.cli.terminal import Console
from tests.support.cli_here import run_here


def commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command but groups, by what is typed for it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands())


def said(tmp_path: Path, *arguments: str, **env: str) -> tuple[int, str]:
    ran = run_here(arguments, env={"HOME": str(tmp_path), **env}, cwd=tmp_path)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("name", ALL)
def test_a_commands_help_has_examples_and_fits_80_columns(name: str) -> None:
    shown = CliRunner().invoke(cli, [*name.split(), "--help"], env={"COLUMNS": "80"}).output

    examples = shown.partition("Examples:\n")[2]
    assert f"  clipfleet {name}" in examples
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_every_command_is_under_a_title_with_its_summary_uncut() -> None:
    shown = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "80"}).output.splitlines()

    assert "Commands:" not in shown
    assert [line for line in shown if len(line) > 80] == []
    for name, command in cli.commands.items():
        (line,) = (each for each in shown if each.split()[:1] == [name])
        assert line.endswith(summary(command))
        assert len(line) <= 80
        assert "..." not in line


def test_a_command_under_no_title_comes_last() -> None:
    group = CommandGroup("g", titles={"First": ("b", "gone")})
    group.add_command(click.Command("a", help="Do a."))
    group.add_command(click.Command("b", help="Do b."))

    shown = CliRunner().invoke(group, ["--help"]).output

    assert shown.index("First:\n  b  Do b\n") < shown.index("Commands:\n  a  Do a\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["rum"], "clipfleet: no such command 'rum'; did you mean run? (see clipfleet --help)"),
        (
            ["run", "--captioning-algoritm", "qwen"],
            "clipfleet run: no such option '--captioning-algoritm'; did you mean "
            "--captioning-algorithm? (see clipfleet run --help)",
        ),
        (
            ["export", "r", "d", "--format", "cvs"],
            "clipfleet export: invalid value for '--format': there is no cvs; did you mean csv? "
            "(see clipfleet export --help)",
        ),
        (["export"], "clipfleet export: missing argument 'RUN' (see clipfleet export --help)"),
        (["prompts", "caption/vav"], "clipfleet: there is no prompt caption/vav; did you mean "
         "caption/av?"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_gets_one_line(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    assert said(tmp_path, *arguments) == (ExitCode.USAGE, line + "\n")


def test_a_model_that_there_is_not_is_named_with_the_one_meant(tmp_path: Path) -> None:
    code, line = said(tmp_path, "run", "x.mp4", "--out", "o", "--captioning-algorithm", "qwn")

    assert code == ExitCode.USAGE
    assert "--captioning-algorithm qwn: there is no model qwn; did you mean qwen?" in line
    assert not (tmp_path / "o").exists()


def test_a_run_that_there_is_not_is_named_with_the_one_meant(tmp_path: Path) -> None:
    (tmp_path / "out/runs/night-1").mkdir(parents=True)

    code, line = said(tmp_path, "failures", "nihgt-1", "--store", "out")

    assert code == ExitCode.USAGE
    assert line.endswith("/out; did you mean night-1?\n")


def test_a_variable_that_nothing_reads_is_named(tmp_path: Path) -> None:
    code, lines = said(tmp_path, "prompts", "caption/av", CLIPFLEET_STOER="s3://b")

    assert code == ExitCode.OK
    assert lines.startswith(
        "clipfleet: the variable CLIPFLEET_STOER means nothing here; did you mean CLIPFLEET_STORE?"
    )


def test_variables_of_settings_options_and_processes_are_known() -> None:
    names = (
        *("CLIPFLEET_STORE", "CLIPFLEET_CLIP_LIMITS__MAX_BYTES", "CLIPFLEET_PREVIEW_QUALITY"),
        *("CLIPFLEET_GENERATE_PREVIEWS", "CLIPFLEET_CONFIG", "CLIPFLEET_VERBOSE", "PATH"),
    )
    assert list(unknown_variables(names)) == []


def test_nobody_reading_the_output_is_no_bug() -> None:
    for code in ("click.echo('x' * 100_000)", "terminal.console.print('x' * 100_000)"):
        script = (
            "import click, os, sys; from clipfleet_producer.cli import main, terminal\n"
            "@main.cli.command()\n"
            f"def long(): {code}\n"
            "sys.argv = ['clipfleet', 'long']; main.main()"
        )
        read, write = os.pipe()
        os.close(read)
        ran = subprocess.run(
            [sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, timeout=60
        )
        os.close(write)
        assert (ran.returncode, ran.stderr) == (ExitCode.CLOSED_PIPE, b"")


@pytest.mark.parametrize("width", [1, 10, 33, 50, 80])
def test_no_word_is_broken_at_any_width(width: int) -> None:
    out = io.StringIO()
    line = "Records: s3://bucket/metas/v0/   run 20260101-120000-ab12 is [bold]no more[/] fed"

    Console(file=out, force_terminal=True, color_system=None, width=width).print(line)

    assert out.getvalue().split() == line.replace("[bold]", "").replace("[/]", "").split()


def test_a_line_is_not_broken_where_there_is_no_terminal() -> None:
    out = io.StringIO()

    Console(file=out, width=10).print("a line of more than ten letters")

    assert out.getvalue() == "a line of more than ten letters\n"
