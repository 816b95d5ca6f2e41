"""The ledger as the supervisor uses it: work goes on while it cannot be written or read."""

import copy
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from colvi_edge.printable import counted
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.supervisor.conditions import Conditions

_REST = 20
"""As many times as long as it took to count is rested before it is counted again."""


@dataclass
class _Health:
    """How a ledger is, whichever bundle met it.

    Attributes:
        damage: see `TolerantLedger`.
        is_unwritten: it could not be written, or read, and was not written since.
    """

    damage: str = ""
    is_unwritten: bool = False


class TolerantLedger:
    """Lends the ledger for a use, and raises a condition where SQLite refuses that.

    Attributes:
        ledger: what is lent; used directly by who has to know that a use failed.
    """

    def __init__(self, ledger: Ledger, conditions: Conditions, slots: Sequence[str] = ("",)) -> None:
        """Begin with a ledger that was just opened.

        Args:
            ledger: of this daemon.
            conditions: where it is raised that it cannot be written.
            slots: which bundles judge.
        """
        self.ledger = ledger
        self._slots = slots
        self._conditions = conditions
        self._health = _Health()
        self._counted: dict[str, int] | None = None
        self._count_again_at = 0.0
        self._counted_at = -1  # changes of the ledger

    def of(self, slot: str) -> "TolerantLedger":
        """Return the same ledger as one bundle's."""
        other = copy.copy(self)
        other.ledger, other._slots = self.ledger.of(slot), (slot,)
        return other

    @property
    def damage(self) -> str:
        """What SQLite said of a ledger that is not sound any more; "" of one that is."""
        return self._health.damage

    @contextmanager
    def writing(self) -> Iterator[Ledger]:
        """Lend the ledger; what it does not come to know is found again by content."""
        try:
            yield self.ledger
        except sqlite3.Error as error:
            self._refused(error)
        else:
            self._health.is_unwritten = False
            self._conditions.clear("ledger")

    @contextmanager
    def reading(self) -> Iterator[Ledger]:
        """Lend the ledger; that it can be read does not tell that a full disk has room again."""
        try:
            yield self.ledger
        except sqlite3.Error as error:
            self._refused(error)

    def try_to_write(self) -> None:
        """Find out whether a ledger that could not be written can be written again."""
        if self._health.is_unwritten:
            with self.writing() as ledger:
                ledger.touch()

    @property
    def is_counted(self) -> bool:
        """Whether the ledger is as it was when the files were counted last."""
        return self._counted is not None and self._counted_at == self.ledger.changes

    def counts(self, *, anew: bool = False) -> dict[str, int] | None:
        """Return how many files are in each state; None if it cannot be read.

        Of several bundles that takes longer, 0.5 s of 10^5 files: so it is asked for a small part of the
        time, and what is returned may be some seconds old, see `is_counted`.

        Args:
            anew: however long it takes.
        """
        began = time.monotonic()
        may_be_old = len(self._slots) > 1 and not anew
        if may_be_old and self._counted is not None and began < self._count_again_at:
            return self._counted
        counts = None
        with self.reading() as ledger:
            self._counted_at = ledger.changes
            counts = ledger.counts_of_all(self._slots)
        self._counted, ended = counts, time.monotonic()
        self._count_again_at = ended + _REST * (ended - began)
        return counts

    def has_answer(self, path: str, signature: Signature) -> bool:
        """Return whether there is a final answer for this very state of a file; no, if it cannot be read."""
        entry: Entry | None = None
        with self.reading() as ledger:
            entry = ledger.entry(path)
        return entry is not None and entry.signature == signature and entry.state != "pending"

    def standing(self) -> str:
        """Return how many files have a final answer, in words; "" if none has, or it cannot be read."""
        counts = self.counts(anew=True) or {}
        done, errors = counts.get("done", 0), counts.get("failed", 0) + counts.get("quarantined", 0)
        return ", ".join(
            [*([f"{done:,} done"] if done else []), *([counted(errors, "error")] if errors else [])]
        )

    def remember(self, mount: Mount, output_dir: str | None, results_mount: Mount | None) -> None:
        """Keep where the root is mounted, and where the folder of the results is, if that is another one."""
        with self.reading() as ledger:
            if mount != ledger.mount:
                with self.writing():
                    ledger.mount = mount
            if output_dir and results_mount and results_mount != ledger.results_mount(output_dir):
                with self.writing():
                    ledger.note_results_mount(output_dir, results_mount)

    def _refused(self, error: sqlite3.Error) -> None:
        self._health.is_unwritten = True
        if type(error) is sqlite3.DatabaseError:  # "malformed", "not a database"; what may end is of others
            self._health.damage = f"the ledger is damaged: {error}"
        why = f"the state folder cannot be written: {error}; make room there or check its permissions"
        self._conditions.raise_("ledger", "ledger", why)
