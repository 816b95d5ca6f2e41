"""The tables of the ledger, and how one of an earlier version comes to have them."""

import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from colvi_edge.watch.ledger.bounds import connected, would_be

_FIRST = """
CREATE TABLE entries (
    path BLOB NOT NULL,
    image TEXT NOT NULL DEFAULT '',
    signature TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    recheck_s REAL,
    kind TEXT NOT NULL DEFAULT '',
    words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL DEFAULT '',
    change INTEGER NOT NULL,
    PRIMARY KEY (path, image)
) WITHOUT ROWID;
CREATE INDEX states ON entries (state);
CREATE INDEX changes ON entries (change);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
"""Of colvi-edge 0.1.0. `image` was never other than empty, and the changes were counted for nobody."""

_SECOND = """
ALTER TABLE entries ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN wanted TEXT NOT NULL DEFAULT '';
CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID;
"""
_THIRD = """
CREATE TABLE files (
    path BLOB NOT NULL PRIMARY KEY,
    signature TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    recheck_s REAL,
    kind TEXT NOT NULL DEFAULT '',
    words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    files INTEGER NOT NULL DEFAULT 0,
    wanted TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
INSERT INTO files SELECT path, signature, state, attempts, recheck_s, kind, words, sha256, revision, at,
    model, files, wanted FROM entries WHERE image = '';
UPDATE files SET kind = 'rejected' WHERE state = 'done' AND kind = '' AND words GLOB 'rejected*';
DROP TABLE entries;
ALTER TABLE files RENAME TO entries;
CREATE INDEX states ON entries (state);
"""
_FOURTH = """
CREATE TABLE slots (
    path BLOB NOT NULL,               -- relative to the root, by os.fsencode: a name need not be UTF-8
    slot TEXT NOT NULL DEFAULT '',    -- whose results: '' of the first bundle, else the name that they bear
    signature TEXT NOT NULL,          -- "inode:bytes:mtime_ns:ctime_ns"; an inode may exceed SQLite's INTEGER
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,        -- begun since the last answer
    recheck_s REAL,                   -- quiet time after which the content is to be looked at once more
    kind TEXT NOT NULL DEFAULT '',
    words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL DEFAULT '',      -- UTC, of the last final answer
    model TEXT NOT NULL DEFAULT '',   -- whose result stands, by its SHA-256; '' if that is not known
    files INTEGER NOT NULL DEFAULT 0, -- of which that result consists; 0 if that is not known
    wanted TEXT NOT NULL DEFAULT '',  -- 'stale', 'all': to be judged though a result stands, by `Replace`
    PRIMARY KEY (path, slot)
) WITHOUT ROWID;
INSERT INTO slots SELECT path, '', signature, state, attempts, recheck_s, kind, words, sha256, revision, at,
    model, files, wanted FROM entries;
DROP TABLE entries;
ALTER TABLE slots RENAME TO entries;
CREATE INDEX states ON entries (slot, state);
"""
_VERSIONS = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""What makes each version of the tables of the one before it. A ledger of a later version is made anew.

The second version with 10^5 entries became the third in 0.6 s, in one transaction."""

_WITHOUT_SLOTS = "CREATE TEMP VIEW entries AS SELECT *, '' AS slot FROM main.entries;"
_AS_TODAY = {
    1: """
CREATE TEMP VIEW entries AS SELECT *, '' AS model, 0 AS files, '' AS wanted, '' AS slot FROM main.entries;
CREATE TEMP VIEW models AS SELECT '' AS sha256, '' AS name, '' AS version WHERE 0;
""",
    2: _WITHOUT_SLOTS,
    3: _WITHOUT_SLOTS,
}
"""Shows a ledger of each earlier version with all columns that are read, to who may only read it."""


def opened_to_read(name: str) -> sqlite3.Connection:
    """Return a connection to a ledger that is only read; one of an earlier version looks as today's.

    Args:
        name: its URI.

    Raises:
        sqlite3.Error: it is not there, or none.
    """
    connection = connected(name, uri=True)
    try:
        connection.execute("SELECT count(*) FROM meta")
        connection.executescript(_AS_TODAY.get(_version(connection), ""))
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def opened_sound(path: Path) -> sqlite3.Connection | None:
    """Return a connection to a sound ledger, brought to this version if need be; None if it is none.

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
