"""What is done, over restarts and power cuts: one SQLite file in the state folder.

Only the supervisor writes it (`Ledger`); scanner and `colvi-edge status` look things up (`LedgerReader`). It
may be lost: what is not in it is offered again, and the worker finds by content that it has its result.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.system.bounded import json_of
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ipc.typed import made
from colvi_edge.watch.ledger.bounds import IS_SOUND, packed
from colvi_edge.watch.ledger.entries import COLUMNS, Entry, FileState, sound_entry_of
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.ledger.tables import opened_sound, put_aside

_LARGEST_INTEGER = 2**63 - 1  # that SQLite stores; a larger one would be an OverflowError


class Ledger(LedgerReader):
    """The ledger for the supervisor, who also writes: what a method has written is on the disk.

    Each method may raise sqlite3.Error: the disk is full, or failed, or the file is damaged.

    Attributes:
        set_aside: where the previous ledger was put, because it was damaged; None if it was not.
        dropped: how many entries were deleted that no version can have written.
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

    @property
    def changes(self) -> int:
        """How many rows were written since it was opened, of whichever bundle."""
        return self._connection.total_changes

    def begin(self, path: str, signature: Signature) -> int:
        """Count an attempt on a state of a file, before it is made; return how many there were."""
        (attempts,) = self._connection.execute(
            "INSERT INTO entries (path, slot, signature, state, attempts) VALUES (?, ?, ?, 'pending', 1) "
            "ON CONFLICT (path, slot) DO UPDATE SET "
            "attempts = iif(signature = excluded.signature, attempts + 1, 1), "
            "state = iif(signature = excluded.signature, state, 'pending'), "
            "recheck_s = iif(signature = excluded.signature, recheck_s, NULL), "
            "wanted = iif(signature = excluded.signature, wanted, ''), "
            "signature = excluded.signature RETURNING attempts",
            (os.fsencode(path), self._slot, packed(signature)),
        ).fetchone()
        return int(attempts)

    def refund_attempt(self, path: str) -> None:
        """Take back the last attempt: it ended for a reason that is not the file's."""
        self._update(path, "attempts = max(attempts - 1, 0)")

    def reset_attempts(self, path: str) -> None:
        """Count attempts from 0 again: there was an answer, though not a final one."""
        self._update(path, "attempts = 0")

    def finish(
        self,
        path: str,
        state: FileState,
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
            kind: of an error; "" if there is none.
            words: that tell the answer, without the file's name.
            sha256: of the raw file.
            revision: of the sidecar.
            recheck_s: quiet time after which the content is to be looked at once more; None if it is not.
            model: whose result stands now; None if none does, or the model is not known.
            files: how many the result consists of; 0 is not known.
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

    def rechecked(self, path: str) -> None:
        """Note that the content was looked at once more, or need not be."""
        self._update(path, "attempts = 0, recheck_s = NULL")

    def forget(self, path: str) -> None:
        """Drop a file that has changed or gone since it was begun; an earlier result of it stays known.

        A file that was to be judged again is dropped with its result: it cannot be, and counts no more.
        """
        self._connection.execute(
            "DELETE FROM entries WHERE path = ? AND slot = ? AND (state = 'pending' OR wanted != '')",
            (os.fsencode(path), self._slot),
        )
        self.rechecked(path)

    def to_recheck(self) -> list[Entry]:
        """Return the files whose content is to be looked at once more."""
        return list(self._entries("recheck_s IS NOT NULL"))

    def retry(self) -> list[Entry]:
        """Make failed and quarantined files pending, and return them as they were."""
        entries = [*self.in_state("failed"), *self.in_state("quarantined")]
        self._connection.execute(
            "UPDATE entries SET state = 'pending', attempts = 0, recheck_s = NULL, wanted = 'all' "
            "WHERE slot = ? AND state IN ('failed', 'quarantined')",
            (self._slot,),
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
        query = f"UPDATE entries SET wanted = ? WHERE slot = ? AND {which}"  # noqa: S608 - ours
        self._connection.execute(query, (replace.value, self._slot, *values))
        return self.wanted()

    def wanted(self) -> list[Entry]:
        """Return the files that are to be judged though a result of them stands."""
        query = f"SELECT {COLUMNS} FROM entries WHERE slot = ? AND wanted != ''"  # noqa: S608 - ours
        rows = self._connection.execute(query, (self._slot,))
        return list(filter(None, map(sound_entry_of, rows.fetchall())))

    def note_slots(self, slots: Sequence[str]) -> None:
        """Keep which bundles judge, unless that is known already."""
        if list(slots) != self.slots:
            self._note("slots", slots)

    def note_labels(self) -> None:
        """Keep that a file of labels belongs to each result of this bundle, unless that is known already."""
        if self._slot not in self.labelled:
            self._note("labelled", [*self.labelled, self._slot])

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

    def _note(self, what: str, slots: Sequence[str]) -> None:
        self._connection.execute("REPLACE INTO meta VALUES (?, ?)", (what, json.dumps(list(slots))))

    def _drop_unsound(self) -> int:
        with self.explained():
            unsound = f"FROM entries WHERE ({IS_SOUND}) IS NOT TRUE"
            (count,) = self._connection.execute(f"SELECT count(*) {unsound}").fetchone()
            if count:
                self._connection.execute(f"DELETE {unsound}")
        return int(count)

    def _update(self, path: str, assignments: str, *values: object) -> None:
        self._connection.execute(
            f"UPDATE entries SET {assignments} WHERE path = ? AND slot = ?",  # noqa: S608 - ours
            (*values, os.fsencode(path), self._slot),
        )

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = opened_sound(self._path)
            if connection is None:
                self.set_aside = put_aside(self._path)
                connection = opened_sound(self._path)
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"{self._path} cannot be opened: {error}; make room or check its permissions"
            ) from error
        assert connection is not None, "a new ledger is sound"  # noqa: S101
        return connection
