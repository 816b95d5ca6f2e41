"""What is done, over restarts and power cuts: one SQLite file in the state folder.

Only the supervisor writes it (`Ledger`); scanner and `colvi-edge status` look things up (`LedgerReader`). It
may be lost: what is not in it is offered again, and the worker finds by content that it has its result.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from colvi_edge.errors import OutputError
from colvi_edge.outputs.reading import json_of
from colvi_edge.watch.ledger_bounds import IS_SOUND, UTC_PATTERN, connected, packed, unpacked, would_be
from colvi_edge.watch.messages import Mount, Signature
from colvi_edge.watch.typed import WrongTypeError, made

State = Literal["pending", "done", "failed", "quarantined"]
"""pending: begun, without a final answer. done: has its sidecar. failed: has an error record. quarantined:
ended the worker too often; not read any more until it changes or the operator says `colvi-edge retry`."""

_LARGEST_INTEGER = 2**63 - 1  # that SQLite stores; a larger one would be an OverflowError
_VERSION = 1  # of the tables; a ledger of another version is made anew
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
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
CREATE INDEX IF NOT EXISTS states ON entries (state);
CREATE INDEX IF NOT EXISTS changes ON entries (change);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "path, image, signature, state, attempts, recheck_s, kind, words, sha256, revision, at"


@dataclass(frozen=True)
class Entry:
    """What is known of one file; the attributes are the columns of the table."""

    path: str
    image: str
    signature: Signature
    state: State
    attempts: int
    recheck_s: float | None
    kind: str
    words: str
    sha256: str
    revision: int
    at: str


class LedgerReader:
    """Looks things up. Between two calls it holds no transaction, which would stand in the writer's way."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at a path.

        Raises:
            OutputError: it is not there, or may not be read.
        """
        self._path = path
        self._connection = self._connect()
        self._judged: dict[str, Signature] = {}
        self._seen = 0  # the last change that is in it

    def entry(self, path: str) -> Entry | None:
        """Return what is known of a file; None if nothing is."""
        return next(self._entries("path = ? AND image = ''", os.fsencode(path)), None)

    def judged(self) -> Mapping[str, Signature]:
        """Return each file that needs no work, with the state in which it needs none.

        The mapping is one and the same, brought up to date: for 10^5 files the first call took 0.3 s,
        the next 0.03 ms.
        """
        rows = self._connection.execute(
            "SELECT path, signature, state, change FROM entries WHERE change > ? AND image = '' "
            "AND typeof(path) = 'blob' AND typeof(change) = 'integer'",
            (self._seen,),
        )
        for path, stored, state, change in rows:
            signature = None if state == "pending" else unpacked(stored)
            if signature is None:
                self._judged.pop(os.fsdecode(path), None)
            else:
                self._judged[os.fsdecode(path)] = signature
            self._seen = max(self._seen, change)
        return self._judged

    def in_state(self, state: State) -> Iterator[Entry]:
        """Yield the entries of a state, by path."""
        return self._entries("state = ? ORDER BY path", state)

    def counts(self) -> dict[str, int]:
        """Return how many files are in each state."""
        rows = self._connection.execute("SELECT state, count(*) FROM entries GROUP BY state").fetchall()
        found = {state: count for state, count in rows if isinstance(state, str)}
        return {state: found.get(state, 0) for state in get_args(State)}

    def last_done_at(self) -> str:
        """Return when the last sidecar was written, in UTC; "" before the first."""
        (at,) = self._connection.execute(
            "SELECT max(at) FROM entries WHERE state = 'done' AND at GLOB ? AND length(at) <= 40",
            (UTC_PATTERN,),
        ).fetchone()
        with suppress(TypeError, ValueError):  # nothing is done yet, or it was at no time that there is
            datetime.fromisoformat(at)
            return str(at)
        return ""

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what SQLite says against looking things up into an OutputError."""
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"{self._path} cannot be read: {error}; the daemon makes it anew when it starts"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        name = quote(os.fsencode(self._path))
        try:
            try:
                return _opened(f"file:{name}?mode=ro")
            except sqlite3.OperationalError:
                log = self._path.with_name(f"{self._path.name}-wal")
                if log.exists() and log.stat().st_size:
                    raise
                # Nobody has it open; who may only read cannot make the files that go with an open one.
                return _opened(f"file:{name}?mode=ro&immutable=1")
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"{self._path} cannot be read: {error}; check its permissions") from error

    def _entries(self, condition: str, *values: bytes | str) -> Iterator[Entry]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE {condition}", values)  # noqa: S608 - ours
        yield from filter(None, map(_entry, rows.fetchall()))


class Ledger(LedgerReader):
    """Also writes. What a method has written is on the disk when it returns.

    Each method may raise sqlite3.OperationalError: the disk is full, or failed.

    Attributes:
        set_aside: where the previous ledger was put, because it was damaged; None if it was not.
        dropped: entries that nobody can have written, and that are no more.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the ledger; a damaged one is put aside under another name, and a new one begun.

        Raises:
            OutputError: it cannot be opened.
        """
        self.set_aside: Path | None = None
        super().__init__(path)
        self.dropped = self._drop_unsound()
        (self._changes,) = self._connection.execute("SELECT ifnull(max(change), 0) FROM entries").fetchone()

    def begin(self, path: str, signature: Signature) -> int:
        """Count an attempt on a state of a file, before it is made; return how many there were."""
        (attempts,) = self._connection.execute(
            "INSERT INTO entries (path, signature, state, attempts, change) VALUES (?, ?, 'pending', 1, ?) "
            "ON CONFLICT (path, image) DO UPDATE SET "
            "attempts = iif(signature = excluded.signature, attempts + 1, 1), "
            "state = iif(signature = excluded.signature, state, 'pending'), "
            "recheck_s = iif(signature = excluded.signature, recheck_s, NULL), "
            "signature = excluded.signature, change = excluded.change RETURNING attempts",
            (os.fsencode(path), packed(signature), self._next_change()),
        ).fetchone()
        return int(attempts)

    def hand_back(self, path: str) -> None:
        """Take back the last attempt: it ended for a reason that is not the file's."""
        self._update(path, "attempts = max(attempts - 1, 0)")

    def answered(self, path: str) -> None:
        """Forget the attempts: there was an answer, though not a final one."""
        self._update(path, "attempts = 0")

    def finish(
        self,
        path: str,
        state: State,
        *,
        kind: str = "",
        words: str = "",
        sha256: str = "",
        revision: int = 0,
        recheck_s: float | None = None,
    ) -> None:
        """Write the final answer for the state of the file that was begun last."""
        self._update(
            path,
            "attempts = 0, state = ?, kind = ?, words = ?, sha256 = ?, revision = ?, recheck_s = ?, at = ?",
            *(state, kind, words, sha256, min(revision, _LARGEST_INTEGER), recheck_s),
            datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        )

    def checked(self, path: str) -> None:
        """Note that the content need not be looked at once more."""
        self._update(path, "attempts = 0, recheck_s = NULL")

    def forget(self, path: str) -> None:
        """Drop a file that is not any more what was begun; an earlier result of it stays known."""
        self._connection.execute(
            "DELETE FROM entries WHERE path = ? AND state = 'pending'", (os.fsencode(path),)
        )
        self.checked(path)

    def unchecked(self) -> list[Entry]:
        """Return the files whose content is to be looked at once more."""
        return list(self._entries("recheck_s IS NOT NULL"))

    def retry(self) -> list[Entry]:
        """Make failed and quarantined files pending, and return them as they were."""
        entries = [*self.in_state("failed"), *self.in_state("quarantined")]
        self._connection.execute(
            "UPDATE entries SET state = 'pending', attempts = 0, recheck_s = NULL, change = ? "
            "WHERE state IN ('failed', 'quarantined')",
            (self._next_change(),),
        )
        return entries

    @property
    def mount(self) -> Mount | None:
        """The root's mount when it was last seen; None before that."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'mount'").fetchone()
        try:
            return made(Mount, json_of(row[0])) if row else None
        except (ValueError, TypeError):
            return None

    @mount.setter
    def mount(self, mount: Mount) -> None:
        self._connection.execute("REPLACE INTO meta VALUES ('mount', ?)", (json.dumps(asdict(mount)),))

    def results_mount(self, folder: str) -> Mount | None:
        """Return the mount of the folder of the results when it was last seen; None before that."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'results mount'").fetchone()
        try:
            kept = json_of(row[0]) if row else {}
            return made(Mount, kept["mount"]) if kept.get("folder") == folder else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def note_results_mount(self, folder: str, mount: Mount) -> None:
        """Keep the mount of the folder of the results, of the last such folder."""
        kept = json.dumps({"folder": folder, "mount": asdict(mount)})
        self._connection.execute("REPLACE INTO meta VALUES ('results mount', ?)", (kept,))

    def _drop_unsound(self) -> int:
        with self.explained():
            unsound = f"FROM entries WHERE ({IS_SOUND}) IS NOT TRUE"
            (count,) = self._connection.execute(f"SELECT count(*) {unsound}").fetchone()
            if count:
                self._connection.execute(f"DELETE {unsound}")
        return int(count)

    def _update(self, path: str, assignments: str, *values: object) -> None:
        self._connection.execute(
            f"UPDATE entries SET {assignments}, change = ? WHERE path = ? AND image = ''",  # noqa: S608 - ours
            (*values, self._next_change(), os.fsencode(path)),
        )

    def _next_change(self) -> int:
        self._changes += 1
        return self._changes

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = _checked(self._path)
            if connection is None:
                self.set_aside = _put_aside(self._path)
                connection = _checked(self._path)
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"{self._path} cannot be opened: {error}; make room or check its permissions"
            ) from error
        assert connection is not None, "a new ledger is sound"  # noqa: S101
        return connection


def _opened(name: str) -> sqlite3.Connection:
    connection = connected(name, uri=True)
    try:
        connection.execute("SELECT count(*) FROM meta")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _checked(path: Path) -> sqlite3.Connection | None:
    """Return a connection to a sound ledger of this version, new if need be; None if it is not one."""
    connection = connected(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        sound = connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        if sound and version in (0, _VERSION) and would_be(connection, _TABLES):
            connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL lost up to 1,828 acknowledged rows in a power cut, FULL none of 9,101.
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"{_TABLES}; PRAGMA user_version = {_VERSION}")
            return connection
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError:
        pass
    connection.close()
    return None


def _put_aside(path: Path) -> Path:
    """Rename a ledger and the files that go with it; return its new name."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _entry(row: tuple[Any, ...]) -> Entry | None:
    """Return the entry of a row; None if no row like it was ever written."""
    path, image, packed, *rest = row
    signature = unpacked(packed)
    if signature is None or not isinstance(path, bytes):
        return None
    names = [field.name for field in fields(Entry)]
    values = dict(zip(names, (os.fsdecode(path), image, asdict(signature), *rest), strict=True))
    try:
        return made(Entry, values)
    except WrongTypeError:
        return None
