"""A database for what is too long for memory: on disk, without a name, gone with its process."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from clipfleet.errors import ClipfleetError, ExitCode

_CACHE_KIB = 32 * 1024


class SpoolFull(ClipfleetError):
    """There is no room for temporary files."""

    exit_code = ExitCode.USAGE


@contextmanager
def open_spool(table: str) -> Iterator[sqlite3.Connection]:
    """A database of one `table` (its definition), in one transaction that is never committed.

    SQLite's own temporary database, whose file it unlinks as it makes it: nothing is left of it
    even after kill -9. Raises `SpoolFull`, also for what goes wrong with it in the block.
    """
    with naming_spool_errors(), closing(_connect()) as db:
        # Nothing of it outlives the process, so nothing need be kept for after a crash.
        for setting in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE"):
            db.execute(f"PRAGMA {setting}")
        db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")  # bounds what is sorted in memory, too
        db.execute(f"CREATE TABLE {table}")
        db.execute("BEGIN")
        yield db


@contextmanager
def naming_spool_errors() -> Iterator[None]:
    """Raises `SpoolFull` for whatever SQLite says."""
    try:
        yield
    except sqlite3.Error as error:
        raise SpoolFull(
            f"the list of clips cannot be kept on disk ({error}); set TMPDIR to a folder with room"
        ) from error


def _connect() -> sqlite3.Connection:
    # A generator may be gone on with by another thread than began it; never by two at once.
    return sqlite3.connect("", isolation_level=None, check_same_thread=False)
