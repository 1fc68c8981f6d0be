"""Sets up .venv with everything that running and testing clipfleet needs. Run by the Makefile.

Does nothing, at once, when that is done already. Standard library only: it runs before anything is
installed. System packages are installed with apt when root, and named otherwise.
"""

import ast
import contextlib
import ctypes.util
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / ".bootstrap-done"
# Versions and the hashes of their files: what is installed of them is that, or set-up ends.
HASHES = ROOT / "hashes.txt"
TORCH = "torch==2.13.0"
ENGINE = """
from clipfleet_workers.inference.vllm_engine.placeholders import install
install()
import vllm.model_executor.models.qwen2_5_vl, vllm.v1.engine.async_llm, vllm.v1.worker.cpu_worker
"""
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# What the tests' S3 server is made of, by the program that shows it is there.
TEST_PACKAGES = {"radosgw": "radosgw", "ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd"}


def main() -> None:
    """Set up; `--tests` also for the tests."""
    for_tests = "--tests" in sys.argv[1:]
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        stop(
            f"clipfleet needs Python 3.11, 3.12 or 3.13, and this is {platform.python_version()}; "
            "name one: make PYTHON=python3.12 …"
        )
    system_packages(for_tests)
    extra = "gpu" if shutil.which("nvidia-smi") else "cpu"
    wanted = fingerprint(extra)
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    print(f"setting up .venv ({extra}); the first time takes a few minutes", flush=True)
    if STAMP.is_file() and STAMP.read_text().splitlines()[:1] != wanted.splitlines()[:1]:
        shutil.rmtree(VENV)  # another Python's, or moved here from elsewhere: it cannot be mended
    STAMP.unlink(missing_ok=True)
    if not (VENV / "bin" / "python").exists():
        step("making .venv", [sys.executable, "-m", "venv", str(VENV)])
    pip = [str(VENV / "bin" / "python"), "-m", "pip"]
    if not (VENV / "bin" / "uv").exists():
        install_uv(pip)
    flags, environment = as_pip_is_told(pip)
    command = [str(VENV / "bin" / "uv"), "pip", "install", "-q"]
    command += ["--python", str(VENV / "bin" / "python"), *flags, *held_to_hashes()]
    title = "installing clipfleet, vLLM and the rest"
    what = ["-e", f"{ROOT}[{extra},dev]"]
    if extra == "gpu" or platform.system() == "Darwin":
        step(title, [*command, *what], environment)
    else:
        install_with_cpu_torch(title, [*command, *what, f"{TORCH}+cpu"], environment)
    compile_engine()
    STAMP.write_text(wanted)


def install_uv(pip: list[str]) -> None:
    """Install uv with pip, which takes hashes from a list of all that it is to install alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(entry("uv", HASHES.read_text()))
        wanted.flush()
        quiet = ["-qq", "--disable-pip-version-check", "--require-hashes"]
        step("installing uv", [*pip, "install", *quiet, "-r", wanted.name])


def entry(name: str, text: str) -> str:
    """The lines of a package in a list with hashes. Raises LookupError where it is not in there."""
    lines = text.splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if line.startswith(f"{name}==")), None)
    if start is None:
        raise LookupError(f"no {name} in the list of hashes")
    end = next(n for n, line in enumerate(lines[start:], start) if not line.endswith("\\\n"))
    return "".join(lines[start : end + 1])


def held_to_hashes() -> list[str]:
    """uv's flags by which it installs, and builds with, the files of hashes.txt and no others.

    What is not in there, torch and a few of its like, has no hash to be held to.
    """
    return ["--constraints", str(HASHES), "--build-constraints", str(HASHES)]


def compile_engine() -> None:
    """Import once what each start of an engine does: some five thousand modules, compiled by that.

    uv compiles nothing, and all of it would take three times as long.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [str(VENV / "bin" / "python"), "-c", ENGINE]
    with contextlib.suppress(subprocess.CalledProcessError):  # the first start will say why
        step("compiling the engine", command, environment, may_fail=True)


def install_with_cpu_torch(title: str, command: list[str], environment: dict[str, str]) -> None:
    """Install, with torch's CPU build from where pip is told to look, else from PyTorch's index."""
    try:
        step(title, command, environment, may_fail=True)
    except subprocess.CalledProcessError as error:
        if TORCH.partition("=")[0] not in error.stderr:
            stop(f"{error.stderr}{title} failed; the same command again goes on from here.")
        step(f"{title}, torch from PyTorch", [*command, "--index", TORCH_CPU_INDEX], environment)


def as_pip_is_told(pip: list[str]) -> tuple[list[str], dict[str, str]]:
    """What pip's configuration says, which uv does not read: as uv's flags and its environment."""
    told = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True)
    lines = [line.partition("=") for line in told.stdout.splitlines()]
    values = {}
    for section in ("global", "install", ":env:"):  # of two that say the same, the later holds
        for key, _, value in lines:
            if key.startswith(f"{section}."):
                values[key.removeprefix(f"{section}.")] = ast.literal_eval(value)
    flags = ["--index-strategy", "unsafe-best-match"]  # pip's way with several indexes
    for name, flag in (
        ("index-url", "--default-index"),
        ("extra-index-url", "--index"),
        ("find-links", "--find-links"),
        ("trusted-host", "--allow-insecure-host"),
        ("constraint", "--constraints"),
    ):
        flags += [part for value in values.get(name, "").split() for part in (flag, value)]
    if values.get("no-index") in ("1", "true", "yes", "on"):
        flags.append("--no-index")
    environment = dict(os.environ)
    for name, variables in (
        ("cert", ["SSL_CERT_FILE"]),
        ("proxy", ["HTTP_PROXY", "HTTPS_PROXY"]),
        ("timeout", ["UV_HTTP_TIMEOUT"]),
    ):
        for variable in variables if name in values else ():
            environment.setdefault(variable, values[name])
    return flags, environment


def system_packages(for_tests: bool) -> None:
    """Install what is missing of the system's packages, or say what to install."""
    if platform.system() != "Linux":
        return
    missing = [] if ctypes.util.find_library("numa") else ["libnuma1"]
    if for_tests:
        missing += [
            package for program, package in TEST_PACKAGES.items() if not shutil.which(program)
        ]
    if not have_ensurepip():
        missing.append("python3-venv")
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        stop(
            "these system packages are missing: "
            f"{' '.join(missing)}; install them, for example with\n"
            f"  sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    step("updating apt's lists", ["apt-get", "update", "-qq"], environment)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    step(f"installing {' '.join(missing)}", install, environment)


def have_ensurepip() -> bool:
    """Whether this Python can make virtual environments; Debian's comes without."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return False
    return True


def fingerprint(extra: str) -> str:
    """Changes when what is to be installed changes."""
    digest = hashlib.sha256(extra.encode())
    for name in ("pyproject.toml", "hashes.txt", "bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return f"{platform.python_version()} {sys.prefix} {ROOT}\n{digest.hexdigest()}"


def step(
    title: str,
    command: list[str],
    environment: dict[str, str] | None = None,
    *,
    may_fail: bool = False,
) -> None:
    """Run one command quietly, with its time ticking on a terminal. On failure shows its output."""
    started = time.monotonic()
    finished = threading.Event()

    def tick() -> None:
        while not finished.wait(1.0):
            print(f"\r  {title} … {time.monotonic() - started:.0f} s ", end="", flush=True)

    if sys.stdout.isatty():
        threading.Thread(target=tick, daemon=True).start()
    else:
        print(f"  {title} …", flush=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finished.set()
    seconds = time.monotonic() - started
    clear = "\r" if sys.stdout.isatty() else ""
    if done.returncode == 0:
        print(f"{clear}  {title}: {seconds:.0f} s   ", flush=True)
    elif may_fail:
        print(f"{clear}  {title}: no   ", flush=True)
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    else:
        print(f"{clear}{done.stdout}{done.stderr}", file=sys.stderr)
        stop(f"{title} failed; the output is above. The same command again goes on from here.")


def stop(message: str) -> None:
    """End with one message."""
    print(f"clipfleet: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
