"""What every task works with: the store, the broker, the run's options, the engine."""

import functools
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.broker.client import Broker, Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import (
    ClipMissing,
    MessageInvalid,
    ObjectMissing,
    ScratchGone,
    StoreFull,
    StoreUnavailable,
)
from clipfleet.files import NotAFile, mtime, open_file
from clipfleet.messages import ClipJob, Message
from clipfleet.options import Options
from clipfleet.presigned import bare, shown
from clipfleet.runs import RunHead, RunSources
from clipfleet.settings import Settings
from clipfleet.sources import AllowedSources, check_allowed, not_allowed, path_of
from clipfleet.store import Store
from clipfleet.store.download import PIECE_BYTES, download
from clipfleet_workers.inference.loaded_model import LoadedModel
from clipfleet_workers.sources.s3 import Buckets, check_size

log = logging.getLogger("clipfleet")

_OPTIONS_KEPT = 64
_CANCELLED_KEPT_S = 2.0
_FETCH_BYTES = PIECE_BYTES


@dataclass(frozen=True, kw_only=True)
class OpenClip:
    """A clip as a file of this machine, and what tells it from one that takes its place."""

    file: BinaryIO
    etag: str | None = None
    mtime: str | None = None  # ISO 8601, UTC


class Context:
    """One process's connections, made on first use so that a pool's children make their own."""

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM) -> None:
        self.settings, self._clock = settings, clock
        self.models: dict[str, LoadedModel] = {}
        self.stopping = threading.Event()
        self.engine_dead = False
        self._options = functools.lru_cache(_OPTIONS_KEPT)(self._options_of)
        self._cancelled: dict[str, tuple[bool, float]] = {}
        self._left: set[str] = set()
        self._buckets = Buckets(settings)

    @functools.cached_property
    def store(self) -> Store:
        """The output root."""
        return self.settings.open_store()

    @functools.cached_property
    def broker(self) -> Broker:
        """The broker, for events."""
        return self.settings.open_broker()

    def refuse(self, queue: str, reason: str) -> None:
        """Say, here and in the broker, that a message was dropped."""
        log.error(
            "a message on %s is refused: %s", queue, reason, extra={"action": "message_refused"}
        )
        self.broker.refuse(queue, reason, worker=socket.gethostname())

    def leave(self, reason: str) -> None:
        """Say, once for each reason, that a message is left to newer workers."""
        if reason not in self._left and len(self._left) < _OPTIONS_KEPT:
            self._left.add(reason)
            log.warning("%s", reason, extra={"action": "message_left"})

    def options(self, message: Message) -> Options:
        """The options of the message's run, read from the store once.

        Raises `MessageInvalid` where neither the run's options nor those of one of its clips have
        the hash that it names, `NewerVersion` where a newer clipfleet wrote them.
        """
        return self._options(message.run_id, message.options_hash)

    def _options_of(self, run_id: str, options_hash: str) -> Options:
        options = self._read_options(run_id, keys.run_options(run_id))
        if options.hash != options_hash:  # the clip may have some of its own
            options = self._read_options(run_id, keys.run_variant(run_id, options_hash))
        if options.hash != options_hash:
            raise MessageInvalid(f"run {run_id} has other options than the message names")
        return options

    def _read_options(self, run_id: str, key: str) -> Options:
        try:
            return Options.from_json(self.store.get(key))
        except ObjectMissing:
            raise MessageInvalid(
                f"run {run_id} has no options in the store of the hash that the message names"
            ) from None
        except ValidationError as error:
            raise MessageInvalid(
                f"the options of run {run_id} are not of this version: {error}"[:500]
            ) from None

    def cancelled(self, message: Message) -> bool:
        """Whether the message's run is cancelled, as of two seconds ago at most.

        Raises `BrokerError`, `StoreError`.
        """
        now = self._clock.monotonic()
        said, until = self._cancelled.get(message.run_id, (False, 0.0))
        if now >= until:
            # The store decides: whoever reaches the broker can put a word there.
            said = self.broker.cancelled(message.run_id) and not self._is_active(message.run_id)
            if len(self._cancelled) >= _OPTIONS_KEPT:
                self._cancelled.clear()
            self._cancelled[message.run_id] = (said, now + _CANCELLED_KEPT_S)
        return said

    def _is_active(self, run_id: str) -> bool:
        """Whether the run is there and to be fed, as the store has it."""
        try:
            manifest_version = self._head(run_id).manifest_version
        except (ObjectMissing, ValidationError):
            return False
        return self.store.exists(keys.active(run_id, manifest_version))

    def _head(self, run_id: str) -> RunHead:
        return RunHead.read(self.store.get(keys.run_head(run_id)))

    def may_upload(self, job: ClipJob, file: BinaryIO) -> bool:
        """Whether the clip that was opened lies where its run may copy clips from.

        Of a staged one, its source is what the producer read. Raises `StoreError`.
        """
        try:
            manifest_version = self._head(job.run_id).manifest_version
            key = keys.run_sources(job.run_id, manifest_version)
            found = RunSources.read(self.store.get(key))
            allowed = AllowedSources(found.allowed)
        except (ObjectMissing, ValueError):
            return False
        if job.staged or urlsplit(job.source).scheme != "file":
            return allowed.covers(job.source)
        return allowed.covers_open_file(path_of(job.source), file.fileno())

    @contextmanager
    def open_clip(self, job: ClipJob) -> Iterator[OpenClip]:
        """The clip as a file on this machine, fetched first where it lies in a store.

        Raises `ClipError` or a `StoreError`.
        """
        limit = self.settings.clip_limits.max_bytes
        scheme = urlsplit(job.source).scheme
        if not job.staged and scheme == "file":
            with _open_file(Path(path_of(job.source)), limit, self.settings.sources) as file:
                yield OpenClip(file=file, mtime=mtime(file))
            return
        if not job.staged:
            check_allowed(job.source, self.settings.sources)
        with _temporary_file() as file:
            clip = OpenClip(file=file, mtime=job.mtime)
            if job.staged:
                self._fetch_staged(job, file)
            elif scheme == "s3":
                with _disk_errors():
                    found = self._buckets.fetch(
                        job.source, file, limit=limit, piece_bytes=_FETCH_BYTES
                    )
                clip = OpenClip(
                    file=file, etag=found.etag, mtime=None if found.etag else found.modified
                )
            elif scheme == "https":
                clip = OpenClip(file=file, etag=_download(self._address(job), file, self.settings))
            else:
                said = f"workers cannot read {scheme or 'such'} sources: {shown(job.source)}"
                raise ClipMissing(said)
            yield clip

    def _address(self, job: ClipJob) -> str:
        """The address to ask for the clip by: with its signature, where scratch has one."""
        if not self.settings.store:  # and so no scratch
            return job.source
        try:
            found = self.store.get(job.scratch.address)
        except ObjectMissing:
            return job.source
        address = found.decode(errors="replace")
        return address if bare(address) == job.source else job.source

    def _fetch_staged(self, job: ClipJob, file: BinaryIO) -> None:
        key, limit = job.scratch.source, self.settings.clip_limits.max_bytes
        try:
            with _disk_errors():
                download(
                    self.store,
                    key,
                    file,
                    check=lambda info: check_size(info.size_bytes, limit),
                    piece_bytes=_FETCH_BYTES,
                )
        except ObjectMissing:
            raise ScratchGone(f"the bytes of clip {job.clip_uuid} are gone") from None

    def interrupt(self) -> None:
        """Have every task that waits for an engine give its message back, and every new one."""
        self.stopping.set()
        for engine in {model.engine for model in self.models.values()}:
            engine.interrupt()

    def busy(self) -> float | None:
        """The share of the time since this was last asked in which an engine worked; None: none."""
        models = {id(model): model for model in self.models.values()}.values()
        return max((model.busy.share() for model in models), default=None)

    def close_models(self) -> None:
        """Let the engines go."""
        for engine in {model.engine for model in self.models.values()}:
            engine.close()

    def emit(self, job: Message, /, *, step: str, **fields: Any) -> None:
        """Tell whoever watches the run what was just done."""
        self.broker.emit(job.run_id, Event(step=step, clip_uuid=job.clip_uuid, **fields))


def _download(url: str, file: BinaryIO, settings: Settings) -> str | None:
    """Copy a clip from the web to a file, a piece at a time; returns its ETag."""
    from clipfleet_workers.sources.https import read_https

    total, etags = 0, list[str | None]()
    pieces = read_https(
        url,
        private=settings.fetch_private,
        within_s=settings.clip_limits.max_decode_s,
        allowed=settings.sources,
        on_etag=etags.append,
    )
    with closing(pieces):
        for piece in pieces:
            total += len(piece)
            check_size(total, settings.clip_limits.max_bytes)
            with _disk_errors():
                file.write(piece)
    with _disk_errors():
        file.seek(0)
    return etags[-1]


@contextmanager
def _temporary_file() -> Iterator[BinaryIO]:
    with _disk_errors():  # a full disk may have no room for a name
        file = tempfile.TemporaryFile(prefix="clipfleet-")  # noqa: SIM115
    try:
        yield file
    finally:
        # What did not fit is tried once more as it is closed, and that would hide why it did not.
        with suppress(OSError):
            file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What this machine's disk refuses as `StoreFull`: there will be room again."""
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "the folder for temporary files"
        raise StoreFull(f"the clip does not fit in {where} ({error.strerror})") from None


def _open_file(path: Path, limit: int, allowed: AllowedSources | None) -> BinaryIO:
    """The file, held to what is allowed before it is looked at, and again once it is open."""
    name = os.fsencode(path).decode(errors="replace")  # records are UTF-8
    if allowed is not None and not allowed.covers_path(os.fspath(path)):
        raise not_allowed(name)
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open_file(path))
            check_size(os.fstat(file.fileno()).st_size, limit)
            if allowed is not None and not allowed.covers_open_file(os.fspath(path), file.fileno()):
                raise not_allowed(name)
            stack.pop_all()
            return file
    except NotAFile:
        raise ClipMissing(f"the clip is not a file: {name}") from None
    except FileNotFoundError:
        raise ClipMissing(f"the clip is not there: {name}") from None
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise ClipMissing(f"the clip cannot be read: {name} ({error.strerror})") from None
    except OSError as error:  # a disk or a network that may come back
        raise StoreUnavailable(f"{name} cannot be read just now ({error.strerror})") from None
