"""`clipfleet`: run clips here, submit them to a fleet, look at its runs."""

import os
import signal
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

import click

from clipfleet import __version__, flags
from clipfleet.config_file import unread_config
from clipfleet.errors import ClipfleetError, ExitCode, UsageError
from clipfleet.printable import printable, printable_lines
from clipfleet.process import be_discreet
from clipfleet.store import STORE_FORMS
from clipfleet.suggestions import did_you_mean
from clipfleet_producer.cli import completion, config, params, results, runs, sets
from clipfleet_producer.cli.groups import CommandGroup, examples

_SETTINGS_NOTE = (
    "Settings and options come from flags, then CLIPFLEET_* variables (CLIPFLEET_BROKER, "
    "CLIPFLEET_CAPTIONING_SAMPLING_FPS, ...), then ~/.config/clipfleet/clipfleet.toml or the file "
    "that CLIPFLEET_CONFIG names."
)


_TITLES = {
    "Do clips": ("run", "submit", "retry", "samples"),
    "Runs": ("runs", "status", "failures", "pause", "resume", "cancel", "feed", "reconcile"),
    "Results": ("show", "summary", "export", "sets", "compare", "delete"),
    "Settings": ("config", "prompts"),
}


@click.group(
    cls=CommandGroup,
    titles=_TITLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_SETTINGS_NOTE,
)
@click.version_option(__version__, prog_name="clipfleet")
def cli() -> None:
    """Caption and preview video clips, on this machine or on a fleet of workers.

    \b
    Start here:
      clipfleet samples clips/             write a few sample clips
      clipfleet run clips/ --out results/  caption and preview them here

    \b
    Exit codes: 0 done; 1 a bug; 2 the command or a setting is wrong; 3 done, but
    some clips failed; 4 no broker; 5 no store; 6 no model; 7 engine died;
    8 workers keep dying; 130 interrupted; 141 nobody reads the output any more.
    """
    if line := unread_config():
        click.echo(f"clipfleet: {line}", err=True)
    for line in flags.unknown_variables(os.environ):
        click.echo(f"clipfleet: {printable(line)}", err=True)


@cli.command(
    cls=flags.GroupedCommand,
    epilog=examples(
        "clipfleet run clips/ --out results/",
        "clipfleet run 'day*/*.mp4' --out s3://bucket/results --enhance-captions",
        "clipfleet run clips.csv --out results/ --dry-run",
        note=_SETTINGS_NOTE,
    ),
)
@click.argument("clips", nargs=-1, metavar="CLIPS...")
@click.option(
    "--out",
    "store",
    help=f"Where results go: {STORE_FORMS}.",
)
@params.clip_flags
@flags.option_flags(
    other_defaults={
        "caption__model_variant": "qwen where there is a GPU, else mini",
        "enhance__model_variant": "qwen_lm; mini where mini captions",
    }
)
def run(clips: tuple[str, ...], **rest: Any) -> None:
    """Caption and preview CLIPS on this machine, with nothing to set up.

    CLIPS are files, folders, patterns ('day*/**/*.mp4'), s3:// URLs of an object or a folder,
    https:// URLs, manifests (.jsonl, .csv, .parquet), or - for a list on standard input.
    A presigned URL's signature is no part of the clip's name, and is kept out of records and logs.

    Starts a private broker and workers, shows progress, and leaves no process behind. Run again
    with the same options, it does only what is missing; Ctrl-C any time.
    """
    from clipfleet_producer.cli import submission

    sys.exit(submission.run(clips, rest))


@cli.command(
    cls=flags.GroupedCommand,
    epilog=examples(
        "clipfleet submit s3://bucket/clips/ --store s3://bucket/results",
        "clipfleet submit clips.jsonl --run night-1 --priority 5",
        "clipfleet submit clips/ --wait",
        note=_SETTINGS_NOTE,
    ),
)
@click.argument("clips", nargs=-1, metavar="CLIPS...")
@params.broker
@click.option("--store", help=f"Where results go, for all to reach: {STORE_FORMS}.")
@click.option("--wait", is_flag=True, help="Follow the run to its end, feeding as it goes.")
@click.option(
    "--priority",
    type=click.IntRange(-1000, 1000),
    help="Runs of a higher priority are fed first. [default: 0]",
)
@click.option(
    "--stage/--no-stage",
    default=None,
    help="Copy clips of this machine to scratch in the store, for workers that do not see its "
    "files. [default: on with a remote store]",
)
@params.clip_flags
@flags.option_flags()
def submit(clips: tuple[str, ...], wait: bool, stage: bool | None, **rest: Any) -> None:
    """Have a fleet caption and preview CLIPS.

    CLIPS are named as for `clipfleet run`. Without --wait it returns at once, with the first
    clips on the queues; whoever runs `clipfleet feed --follow` for the fleet feeds the rest.
    See `clipfleet status RUN --follow`.
    """
    from clipfleet_producer.cli import submission

    sys.exit(submission.submit(clips, rest, wait=wait, stage=stage))


@cli.command(
    epilog=examples("clipfleet samples clips/", "clipfleet samples clips/ --count 100 --seed 7")
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", default=5, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
def samples(folder: Path, count: int, seed: int) -> None:
    """Write sample clips to FOLDER, to try the rest with.

    They show coloured shapes and what happens to them, the world that the model mini understands.
    They come in several codecs, sizes and frame rates, of one window and of several. Beside each
    is the truth about it as JSON: for every window its caption, and its facts one by one.
    """
    from clipfleet_producer.samples import write_samples

    with click.progressbar(
        write_samples(folder, count=count, seed=seed), length=count, label="writing samples"
    ) as bar:
        for _ in bar:
            pass
    shown = printable(str(folder))
    click.echo(f"{count} clips in {shown}, with the truth about each beside it as .json")


@cli.command(
    epilog=examples(
        "clipfleet prompts",
        "clipfleet prompts caption/default > mine.txt",
        "clipfleet run clips/ --captioning-prompt-text @mine.txt",
    )
)
@click.argument("name", required=False, shell_complete=completion.prompts)
def prompts(name: str | None) -> None:
    """List the built-in prompts, or print the one called NAME.

    To change one, such as caption/av, write it to a file, edit it, and give it back.
    """
    from clipfleet.prompts import built_in

    texts = built_in()
    if name is None:
        for each, text in texts.items():
            click.echo(f"{each:26}{textwrap.shorten(text, 80, placeholder=' …')}")
    elif name in texts:
        click.echo(texts[name])
    else:
        meant = did_you_mean(name, texts) or f"; there are {', '.join(texts)}"
        raise UsageError(f"there is no prompt {name}{meant}")


for _command in (*runs.COMMANDS, *results.COMMANDS, *sets.COMMANDS, config.config):
    cli.add_command(_command)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """The console script, once it is imported. Raises `SystemExit` unless all is well."""
    be_discreet()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more as it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.CLOSED_PIPE
    if code:
        sys.exit(code)


def _run() -> int:
    """Carry out the command line; returns the exit code."""
    verbose = "--verbose" in sys.argv or os.environ.get("CLIPFLEET_VERBOSE", "") in ("1", "true")
    try:
        code = cli(prog_name="clipfleet", standalone_mode=False)
    except SystemExit as stop:
        code = stop.code
    except (click.Abort, KeyboardInterrupt):
        print("clipfleet: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        _report(_in_a_line(error))
        return ExitCode.USAGE
    except ClipfleetError as error:
        _report(f"clipfleet: {error}", traceback_too=verbose)
        return error.exit_code
    except Exception as error:
        said = f"clipfleet: bug: {type(error).__name__}: {error} (--verbose shows where)"
        _report(said, traceback_too=verbose)
        return ExitCode.BUG
    return code if isinstance(code, int) else ExitCode.OK


def _in_a_line(error: click.ClickException) -> str:
    """What is wrong with the command line, and which help to read."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "clipfleet"
    if isinstance(error, click.NoSuchOption | click.exceptions.NoSuchCommand):
        # Click names all that are somewhat like it.
        said, meant = error.message, f"; did you mean {(error.possibilities or [''])[0]}?"
        said = said.removesuffix(".") + (meant if error.possibilities else "")
    else:
        said = " ".join(error.format_message().split()).removesuffix(".")
    return f"{command}: {said[:1].lower()}{said[1:]} (see {command} --help)"


def _report(line: str, *, traceback_too: bool = False) -> None:
    from clipfleet_producer.cli.terminal import Console

    if traceback_too:
        print(printable_lines(traceback.format_exc()), end="", file=sys.stderr)
    Console(stderr=True).print(printable(line), markup=False)
