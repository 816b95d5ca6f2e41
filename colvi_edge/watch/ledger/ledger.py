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

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.system.bounded import json_of
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ipc.typed import WrongTypeError, made
from colvi_edge.watch.ledger.bounds import IS_SOUND, UTC_PATTERN, packed, unpacked
from colvi_edge.watch.ledger.tables import checked, opened, put_aside

State = Literal["pending", "done", "failed", "quarantined"]
"""pending: begun, without a final answer. done: has its sidecar. failed: has an error record. quarantined:
ended the worker too often; not read any more until it changes or the operator says `colvi-edge retry`."""

Wanted = Literal["", "stale", "all"]
"""Whether a file is to be judged though a result of it stands: the values of `Replace` that say so."""

_LARGEST_INTEGER = 2**63 - 1  # that SQLite stores; a larger one would be an OverflowError
_COLUMNS = (
    "path, image, signature, state, attempts, recheck_s, kind, words, sha256, revision, at, "
    "model, files, wanted"
)


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
    model: str
    files: int
    wanted: Wanted


@dataclass(frozen=True)
class Judged:
    """How many results are of one model."""

    model: Model
    results: int


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

    def models(self) -> list[Judged]:
        """Return how many of the results that stand are of which model, the most first.

        Of 10^5 entries it took 0.2 s.
        """
        rows = self._connection.execute(
            "SELECT model, coalesce(name, ''), coalesce(version, ''), results FROM "
            "(SELECT model, count(*) AS results FROM entries WHERE state = 'done' OR model != '' "
            "GROUP BY model) "
            "LEFT JOIN models ON models.sha256 = model ORDER BY results DESC, model"
        )
        return [_judged(*row) for row in rows.fetchall()]

    def wanted_count(self) -> int:
        """Return how many files are to be judged again, though a result of them stands."""
        (count,) = self._connection.execute("SELECT count(*) FROM entries WHERE wanted != ''").fetchone()
        return int(count)

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

    def newest(self) -> Entry | None:
        """Return the last final answer; None before the first."""
        entries = self._entries(
            "state != 'pending' AND at GLOB ? AND length(at) <= 40 ORDER BY at DESC, change DESC LIMIT 1",
            UTC_PATTERN,
        )
        for entry in entries:
            with suppress(ValueError):  # at no time that there is
                datetime.fromisoformat(entry.at)
                return entry
        return None

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
                return opened(f"file:{name}?mode=ro")
            except sqlite3.OperationalError:
                log = self._path.with_name(f"{self._path.name}-wal")
                if log.exists() and log.stat().st_size:
                    raise
                # Nobody has it open; who may only read cannot make the files that go with an open one.
                return opened(f"file:{name}?mode=ro&immutable=1")
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"{self._path} cannot be read: {error}; check its permissions") from error

    def _entries(self, condition: str, *values: bytes | str) -> Iterator[Entry]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE {condition}", values)  # noqa: S608 - ours
        yield from filter(None, map(_entry, rows.fetchall()))


class Ledger(LedgerReader):
    """Also writes. What a method has written is on the disk when it returns.

    Each method may raise sqlite3.Error: the disk is full, or failed, or the file is damaged.

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
        self._named: set[str] = set()  # models whose name was written
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
            "wanted = iif(signature = excluded.signature, wanted, ''), "
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
        model: Model | None = None,
        files: int = 0,
    ) -> None:
        """Write the final answer for the state of the file that was begun last.

        Args:
            path: of the raw file.
            state: what is written.
            kind: as in `WorkDone`, like the next ones.
            words: without the file's name.
            sha256: of the raw file.
            revision: of the sidecar.
            recheck_s: quiet time after which the content is to be looked at once more; None if it is not.
            model: whose result stands now; None if none does, or that is not known.
            files: of which that consists; 0 is not known.
        """
        if model and model.sha256 not in self._named:
            self._connection.execute(
                "REPLACE INTO models VALUES (?, ?, ?)", (model.sha256, model.name, model.version)
            )
            self._named.add(model.sha256)
        self._update(
            path,
            "attempts = 0, wanted = '', state = ?, kind = ?, words = ?, sha256 = ?, revision = ?, "
            "recheck_s = ?, at = ?, model = ?, files = ?",
            *(state, kind, words, sha256, min(revision, _LARGEST_INTEGER), recheck_s),
            datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            *(model.sha256 if model else "", files),
        )

    def checked(self, path: str) -> None:
        """Note that the content need not be looked at once more."""
        self._update(path, "attempts = 0, recheck_s = NULL")

    def forget(self, path: str) -> None:
        """Drop a file that is not any more what was begun; an earlier result of it stays known.

        Unless that was to be replaced: what is not there any more cannot be judged, and counts no more.
        """
        self._connection.execute(
            "DELETE FROM entries WHERE path = ? AND (state = 'pending' OR wanted != '')", (os.fsencode(path),)
        )
        self.checked(path)

    def unchecked(self) -> list[Entry]:
        """Return the files whose content is to be looked at once more."""
        return list(self._entries("recheck_s IS NOT NULL"))

    def retry(self) -> list[Entry]:
        """Make failed and quarantined files pending, and return them as they were."""
        entries = [*self.in_state("failed"), *self.in_state("quarantined")]
        self._connection.execute(
            "UPDATE entries SET state = 'pending', attempts = 0, recheck_s = NULL, wanted = 'all', "
            "change = ? WHERE state IN ('failed', 'quarantined')",
            (self._next_change(),),
        )
        return entries

    def want(self, replace: Replace, model: str) -> list[Entry]:
        """Note that files are to be judged though a result of them stands, until they are; return them.

        Args:
            replace: STALE wants those whose result is of another model, or of one that is not known, and
                those that failed; ALL wants all.
            model: SHA-256 of the one that judges.
        """
        which = "state IN ('done', 'failed')" + (" AND model != ?" if replace is Replace.STALE else "")
        values = (model,) if replace is Replace.STALE else ()
        self._connection.execute(f"UPDATE entries SET wanted = ? WHERE {which}", (replace.value, *values))  # noqa: S608 - ours
        return self.wanted()

    def wanted(self) -> list[Entry]:
        """Return the files that are to be judged though a result of them stands.

        Of 66,666 it took 2.3 s: what is unsound was dropped before, and none is looked at once more.
        """
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE wanted != ''")  # noqa: S608 - ours
        return [
            Entry(os.fsdecode(path), image, signature, *rest)
            for path, image, stored, *rest in rows.fetchall()
            if (signature := unpacked(stored))
        ]

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

    def touch(self) -> None:
        """Write something, to see that it can be done."""
        self._connection.execute(
            "REPLACE INTO meta VALUES ('touched', ?)", (datetime.now(timezone.utc).isoformat(),)
        )

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
            connection = checked(self._path)
            if connection is None:
                self.set_aside = put_aside(self._path)
                connection = checked(self._path)
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"{self._path} cannot be opened: {error}; make room or check its permissions"
            ) from error
        assert connection is not None, "a new ledger is sound"  # noqa: S101
        return connection


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


def _judged(sha256: object, name: object, version: object, results: int) -> Judged:
    """Return a row of `models`; whatever nobody wrote is not known."""
    for named in (
        {"name": name, "version": version, "sha256": sha256},
        {**asdict(UNKNOWN), "sha256": sha256},
    ):
        with suppress(WrongTypeError):
            return Judged(made(Model, named), results)
    return Judged(UNKNOWN, results)
