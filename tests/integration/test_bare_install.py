"""The producer's side installs and runs where there is no torch, no PyAV and no vLLM."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("run", "submit", "status", "feed", "pause", "resume", "cancel", "failures", "retry"),
    *("reconcile", "export", "show", "summary", "samples", "prompts"),
)
PACKAGES = {"clipfleet", "clipfleet_producer", "clipfleet_workers"}
INSTALLED = "from importlib.metadata import files; print(*files('clipfleet'), sep='\\n')"
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
for package in ("clipfleet", "clipfleet_producer"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith(("__main__", "reaper")):
            importlib.import_module(module.name)
heavy = {"torch", "av", "vllm", "numpy", "transformers"}
for name in heavy:
    assert importlib.util.find_spec(name) is None, name + " is installed"
import clipfleet
assert [getattr(clipfleet, name) for name in clipfleet.__all__]
assert not heavy & set(sys.modules)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment with clipfleet and no extra."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder)
    pip = [sys.executable, "-m", "pip"]
    flags, environment = bootstrap.as_pip_is_told(pip)
    install = [str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", *flags]
    install += ["--python", str(folder / "bin" / "python")]
    install += [*bootstrap.held_to_hashes(), str(ROOT)]
    subprocess.run(install, env=environment, check=True)
    return folder / "bin"


def test_every_module_imports_without_the_heavy_packages(bare: Path, tmp_path: Path) -> None:
    code = "import importlib.util\n" + IMPORT_EVERYTHING
    subprocess.run([str(bare / "python"), "-c", code], check=True, cwd=tmp_path)


def test_all_that_is_installed_has_our_name_and_is_typed(bare: Path) -> None:
    listed = subprocess.run(
        [str(bare / "python"), "-c", INSTALLED], capture_output=True, text=True, check=True
    )
    files = {Path(line) for line in listed.stdout.splitlines()}
    tops = {path.parts[0] for path in files if ".." not in path.parts}

    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert {str(path.parent) for path in files if path.name == "py.typed"} == PACKAGES


def test_the_check_fails_where_a_heavy_package_is_installed(tmp_path: Path) -> None:
    code = "import importlib.util\n" + IMPORT_EVERYTHING
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "is installed" in done.stderr


def test_help_works_for_every_command(bare: Path, tmp_path: Path) -> None:
    for command in ((), *((name,) for name in COMMANDS)):
        done = subprocess.run(
            [str(bare / "clipfleet"), *command, "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage: clipfleet" in done.stdout


def test_samples_without_pyav_say_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(bare / "clipfleet"), "samples", str(tmp_path / "clips")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'clipfleet[media]'" in done.stderr
    assert "Traceback" not in done.stderr
