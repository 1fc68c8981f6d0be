"""A command of ours leaves no memory on disk, and runs no code that lies where it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import clipfleet_workers.cli
from clipfleet.process import be_discreet
from tests.support.cli_here import run_here
from tests.support.tree import python_path

COMMANDS = ("clipfleet_producer.cli.main", "clipfleet_workers.cli")

# What a console script does, then what libraries do in its process.
SCRIPT = """
import resource, subprocess, sys
from importlib import import_module

if __name__ == "__main__":
    sys.argv = ["clipfleet", "--version"]
    try:
        import_module(sys.argv_module).main()
    except SystemExit:
        pass
    print("limit", *resource.getrlimit(resource.RLIMIT_CORE))
    subprocess.run(["sh", "-c", "echo child $(ulimit -Sc) $(ulimit -Hc)"], check=True)
    import multiprocessing
    child = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
    child.start()
    child.join()
"""


@pytest.mark.parametrize("module", COMMANDS)
def test_no_memory_is_dumped_and_no_module_comes_from_the_current_folder(
    tmp_path: Path, module: str
) -> None:
    script, clips = tmp_path / "bin/script.py", tmp_path / "clips"
    for folder in (script.parent, clips):
        folder.mkdir()
    script.write_text(SCRIPT.replace("sys.argv_module", repr(module)))
    for name in ("multiprocessing", "pickle", "socket", "workers"):
        (clips / f"{name}.py").write_text("print('code from the clips folder ran')")

    ran = subprocess.run(
        [sys.executable, script],
        cwd=clips,
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    said = sorted(line for line in ran.stdout.splitlines() if "version" not in line)
    assert said == ["child 0 0", "limit 0 0", "spawned"], ran.stderr


@pytest.mark.parametrize("was", [None, "", ":/lib:", "/lib::/usr/lib"])
def test_no_search_path_has_a_part_that_means_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, was: str | None
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    for name in names:
        monkeypatch.setenv(name, was or "")
        if was is None:
            monkeypatch.delenv(name)

    be_discreet()

    # What OpenCV makes of it as it is imported.
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/cv2:{os.environ.get('LD_LIBRARY_PATH', '')}")
    parts = [os.environ[n].split(":") for n in names if os.environ.get(n)]
    assert parts
    assert all(part.startswith("/") for each in parts for part in each)


def test_a_library_takes_no_settings_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True")
    script = (
        "from clipfleet_producer.export.libraries import load\n"
        "print(load('matplotlib', needed_for='--plot').rcParams['text.usetex'])"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": python_path(), "MPLCONFIGDIR": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ran.stdout == "False\n"


def test_each_command_says_once_that_a_file_of_the_current_folder_is_not_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "clipfleet.toml").write_text("lease_s = 3")
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    said = run_here(("prompts", "caption/av"), env=env, cwd=tmp_path).stdout

    assert said.count("./clipfleet.toml is not read") == 1
    assert said.startswith("clipfleet: ./clipfleet.toml is not read")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.delenv("CLIPFLEET_CONFIG", raising=False)
        ran = CliRunner().invoke(
            clipfleet_workers.cli.cli, ["prepare", "--check", "--broker", "redis://"]
        )
    assert ran.stderr.count("./clipfleet.toml is not read") == 1
