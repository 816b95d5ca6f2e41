"""The tables of the ledger, and how one of an earlier version comes to have them."""

import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from colvi_edge.watch.ledger.bounds import connected, would_be

_FIRST = """
CREATE TABLE entries (
    path BLOB NOT NULL,               -- relative to the root, by os.fsencode: a name need not be UTF-8
    image TEXT NOT NULL DEFAULT '',   -- of a file that holds several; '' is the file itself
    signature TEXT NOT NULL,          -- "inode:bytes:mtime_ns:ctime_ns"; an inode may exceed SQLite's INTEGER
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,        -- begun since the last answer
    recheck_s REAL,                   -- quiet time after which the content is to be looked at once more
    kind TEXT NOT NULL DEFAULT '',
    words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL DEFAULT '',      -- UTC, of the last final answer
    change INTEGER NOT NULL,          -- counts changes, so that a reader need not read all again
    PRIMARY KEY (path, image)
) WITHOUT ROWID;
CREATE INDEX states ON entries (state);
CREATE INDEX changes ON entries (change);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_SECOND = """
-- Which model's result stands, by its SHA-256; '' if that is not known.
ALTER TABLE entries ADD COLUMN model TEXT NOT NULL DEFAULT '';
-- Of how many files that result consists; 0 if that is not known.
ALTER TABLE entries ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
-- To be judged though a result stands, by `Replace`: 'stale' or 'all'; else ''.
ALTER TABLE entries ADD COLUMN wanted TEXT NOT NULL DEFAULT '';
CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSIONS = (_FIRST, _SECOND)
"""What makes each version of the tables of the one before it. A ledger of a later version is made anew."""

_AS_SECOND = """
CREATE TEMP VIEW entries AS SELECT *, '' AS model, 0 AS files, '' AS wanted FROM main.entries;
CREATE TEMP VIEW models AS SELECT '' AS sha256, '' AS name, '' AS version WHERE 0;
"""
"""Shows a ledger of the first version as one of the second, to who may only read it."""


def opened(name: str) -> sqlite3.Connection:
    """Return a connection to a ledger that is only read; one of an earlier version looks as today's.

    Args:
        name: its URI.

    Raises:
        sqlite3.Error: it is not there, or none.
    """
    connection = connected(name, uri=True)
    try:
        connection.execute("SELECT count(*) FROM meta")
        if _version(connection) == 1:
            connection.executescript(_AS_SECOND)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def checked(path: Path) -> sqlite3.Connection | None:
    """Return a connection to a sound ledger of this version, brought to it if need be; None if it is not one.

    Raises:
        sqlite3.OperationalError: it cannot be opened, or not be written.
    """
    connection = connected(path)
    try:
        version = _version(connection)
        sound = connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        known = 0 <= version <= len(_VERSIONS)
        if sound and known and would_be(connection, "".join(_VERSIONS[:version])):
            connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL lost up to 1,828 acknowledged rows in a power cut, FULL none of 9,101.
            connection.execute("PRAGMA synchronous = FULL")
            steps = "".join(_VERSIONS[version:])
            connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {len(_VERSIONS)}; COMMIT")
            return connection
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError:
        pass
    connection.close()
    return None


def put_aside(path: Path) -> Path:
    """Rename a ledger and the files that go with it; return its new name."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
