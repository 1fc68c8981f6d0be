"""Where clips come from: files, folders, and S3 listings. A clip named twice is one clip."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from clipfleet import keys
from clipfleet.errors import ClipfleetError, StoreDenied, StoreUnavailable
from clipfleet.messages import MAX_SOURCE_BYTES, source_bytes
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings

# Files of other kinds in a folder are passed over; a file that is named is always taken.
VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts"),
        *("mpg", "mpeg", "flv", "wmv", "ogv", "3gp", "mxf"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the arguments named: clips, in order, and a line for each that named none."""

    clips: list[ManifestLine]
    problems: list[str]


def find_clips(arguments: Iterable[str], settings: Settings) -> Found:
    """The clips that the arguments name: a file, a folder (searched whole), or an s3:// URL.

    An S3 URL that ends in a slash, or names a bucket alone, is a listing.
    """
    clips: dict[str, ManifestLine] = {}
    problems: list[str] = []
    for argument in arguments:
        names_any = False
        try:
            for line in _expand(argument, settings, problems):
                names_any = True
                if source_bytes(line.source) > MAX_SOURCE_BYTES:
                    problems.append(_too_long(line))
                    continue
                clips.setdefault(line.clip_uuid, line)
        except (StoreUnavailable, StoreDenied):
            raise
        except ClipfleetError as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(f"{argument}: {error.strerror}")
            continue
        if not names_any:
            problems.append(f"{argument}: there is no video file in it")
    return Found(clips=list(clips.values()), problems=problems)


def _too_long(line: ManifestLine) -> str:
    return (
        f"{short_name(line.source)}: its URI takes {source_bytes(line.source):,} bytes, over the "
        f"limit of {MAX_SOURCE_BYTES:,} (a letter beyond ASCII takes 6 to 12); shorten its path"
    )


def _expand(argument: str, settings: Settings, problems: list[str]) -> Iterator[ManifestLine]:
    if argument.startswith("s3://"):
        yield from _list_s3(argument, settings)
        return
    path = Path(os.path.expanduser(argument))  # noqa: PTH111 - Path's raises for unknown users
    if path.is_dir():
        yield from (_local(file) for file in _walk(path, problems))
    elif path.is_file():
        yield _local(path)
    elif path.exists():
        raise ClipfleetError(f"{argument}: neither a file nor a folder")
    else:
        raise ClipfleetError(f"{argument}: there is no such file or folder")


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    """The videos below `folder`, links to folders followed once.

    Folders that cannot be read are passed over, with a line in `problems`.
    """

    def note(error: OSError) -> None:
        problems.append(f"{error.filename}: {error.strerror}")

    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=note):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root) / name
            if (
                path.suffix.lower() in VIDEO_SUFFIXES
                and not name.startswith(".")
                and path.is_file()
            ):
                yield path


def _local(path: Path) -> ManifestLine:
    uri = path.resolve().as_uri()
    return ManifestLine(clip_uuid=keys.clip_uuid(uri), source=uri, num_bytes=path.stat().st_size)


def _list_s3(url: str, settings: Settings) -> Iterator[ManifestLine]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    store = settings.open_store(f"s3://{bucket}")
    listing = not key or key.endswith("/")
    objects = store.list(key) if listing else iter([store.stat(key)])
    for item in objects:
        if not listing or Path(item.key).suffix.lower() in VIDEO_SUFFIXES:
            uri = f"s3://{bucket}/{item.key}"
            yield ManifestLine(clip_uuid=keys.clip_uuid(uri), source=uri, num_bytes=item.size_bytes)


def local_path(line: ManifestLine) -> Path | None:
    """The clip's path on this machine, or None for one that lies elsewhere."""
    parts = urlsplit(line.source)
    if parts.scheme != "file":
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))  # a name need not be UTF-8


def short_name(source: str) -> str:
    """The clip's name as people know it."""
    return unquote(source.rstrip("/").rpartition("/")[2])


def printable(text: str) -> str:
    """The text on one line: what a terminal would act on or hide stands as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
