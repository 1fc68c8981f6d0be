"""Sets up .venv with everything that running and testing clipfleet needs. Run by the Makefile.

Does nothing, at once, when that is done already. Standard library only: it runs before anything is
installed. System packages are installed with apt when root, and named otherwise.
"""

import ctypes.util
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / ".bootstrap-done"
TORCH = "torch==2.13.0"
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
    torch_index = cpu_torch() if extra == "cpu" else []
    what = ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[{extra},dev]"]
    step("installing clipfleet, vLLM and the rest", [*pip(), *torch_index, *what])
    STAMP.write_text(wanted)


def cpu_torch() -> list[str]:
    """Install a CPU build of torch; returns the pip flags that found it.

    From wherever pip is configured to look, else from PyTorch's own index of CPU builds.
    """
    if platform.system() == "Darwin":
        return []
    command = [*pip(), f"{TORCH}+cpu"]
    try:
        step("installing torch, CPU build", command, may_fail=True)
    except subprocess.CalledProcessError:
        index = ["--extra-index-url", TORCH_CPU_INDEX]
        step("installing torch from PyTorch's index", [*command, *index])
        return index
    return []


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


def pip() -> list[str]:
    """The command that installs into .venv."""
    python = str(VENV / "bin" / "python")
    return [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]


def fingerprint(extra: str) -> str:
    """Changes when what is to be installed changes."""
    digest = hashlib.sha256(extra.encode())
    for name in ("pyproject.toml", "constraints.txt", "bootstrap.py"):
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
        print(f"{clear}  {title}: not there   ", flush=True)
        raise subprocess.CalledProcessError(done.returncode, command)
    else:
        print(f"{clear}{done.stdout}{done.stderr}", file=sys.stderr)
        stop(f"{title} failed; the output is above. The same command again goes on from here.")


def stop(message: str) -> None:
    """End with one message."""
    print(f"clipfleet: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
