"""What works where little is installed: the producer's side without torch, PyAV and vLLM; previews
without an engine.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import bootstrap
from tests.support import clips

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


NO_ENGINE = """
import importlib.util
for name in ("torch", "vllm", "transformers"):
    assert importlib.util.find_spec(name) is None, name + " is installed"
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment with clipfleet and no extra."""
    return installed(tmp_path_factory.mktemp("bare"), str(ROOT))


@pytest.fixture(scope="module")
def no_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of one that can decode and encode, and has no engine."""
    return installed(tmp_path_factory.mktemp("no-engine"), f"{ROOT}[media]")


def installed(folder: Path, package: str) -> Path:
    """The programs of a virtual environment in the folder, with the package."""
    venv.create(folder)
    pip = [sys.executable, "-m", "pip"]
    flags, environment = bootstrap.as_pip_is_told(pip)
    install = [str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", *flags]
    install += ["--python", str(folder / "bin" / "python")]
    install += [*bootstrap.held_to_hashes(), package]
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


def test_without_an_engine_clips_get_previews_and_records(no_engine: Path, tmp_path: Path) -> None:
    subprocess.run([str(no_engine / "python"), "-c", NO_ENGINE], check=True, cwd=tmp_path)
    (tmp_path / "clip.mp4").write_bytes(clips.encode(400, options={"preset": "ultrafast"}))
    out, kept = tmp_path / "out", ("PATH", "LANG", "TMPDIR")
    done = subprocess.run(
        [str(no_engine / "clipfleet"), "run", "clip.mp4", "--out", "out", "--no-generate-captions"],
        cwd=tmp_path,
        env={name: os.environ[name] for name in kept if name in os.environ}
        | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "mini" not in done.stdout, "no model is named"
    (path,) = out.glob("metas/v0/*.json")
    record = json.loads(path.read_bytes())
    assert (record["valid"], record["models"], record["errors"]) == (True, {}, [])
    assert [window["captions"] for window in record["windows"]] == [{}, {}]
    for window in record["windows"]:
        assert (out / window["preview"]["key"]).stat().st_size == window["preview"]["num_bytes"]
    logs = {log.stem for log in out.glob("runs/*/logs/*.log")}
    assert logs == {"broker", "prepare", "preview", "assemble"}
    assert not (tmp_path / ".cache").exists(), "nothing was downloaded"
