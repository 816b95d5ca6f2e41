"""Gathers what `colvi-edge status` tells of a watched folder: the daemon's last status, and the ledger."""

import os
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.entries import Entry, ModelResults
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.rollout import others_of
from colvi_edge.watch.service.lookup import find_state_folder
from colvi_edge.watch.state_folder import StateFolder, is_held
from colvi_edge.watch.status_file import Condition, Status, in_work, read_status

SILENT_AFTER_S = 30.0


@dataclass(frozen=True)
class BundleSummary:
    """What is known of one bundle and its results.

    Attributes:
        slot: name that these bear; "" of the first bundle.
        counts: how many files are in each state.
        results: how many results are of which model.
        wanted: how many files are to be judged again, though a result of them stands.
        started: what its worker said of itself; None if none did.
    """

    slot: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    results: list[ModelResults] = field(default_factory=list)
    wanted: int = 0
    started: WorkerReady | None = None

    @property
    def model(self) -> Model:
        """Return the model that judges, or did last."""
        return self.started.judge if self.started else UNKNOWN

    @property
    def by_model(self) -> list[ModelResults]:
        """Return how many results are of which model, that of the daemon first."""
        if self.model == UNKNOWN:
            return self.results
        mine = sum(found.results for found in self.results if found.model.sha256 == self.model.sha256)
        return [ModelResults(self.model, mine), *others_of(self.results, self.model)]


@dataclass(frozen=True)
class LedgerSummary:
    """What the ledger has of all files; nothing of one that is being made anew.

    Attributes:
        counts: how many files are in each state.
        failed: files with an error record.
        quarantined: files that are not read any more.
        bundles: what it has of the results of each bundle, the first one first.
    """

    counts: dict[str, int] = field(default_factory=dict)
    failed: list[Entry] = field(default_factory=list)
    quarantined: list[Entry] = field(default_factory=list)
    bundles: list[BundleSummary] = field(default_factory=lambda: [BundleSummary()])


@dataclass(frozen=True)
class FolderStatus:
    """How the watching of a folder goes.

    Attributes:
        folder: absolute path.
        said: what its daemon said last, and what keeps a running one from saying more; None if it said
            nothing, or nothing that can be read.
        is_running: whether a daemon has the folder.
        silent_s: seconds since the daemon said something; None if that is not known.
        ledger: what is known of the files.
        asked: which results `colvi-edge retry` asked for without a daemon that has taken that up.
    """

    folder: Path
    said: Status | None
    is_running: bool
    silent_s: float | None
    ledger: LedgerSummary
    asked: Replace

    @property
    def is_silent(self) -> bool:
        """Return whether the daemon runs, but has said nothing for too long."""
        return self.is_running and (self.said is None or (self.silent_s or 0.0) > SILENT_AFTER_S)

    @property
    def did_all(self) -> bool:
        """Return whether the daemon has ended and was to diagnose what was there, and did."""
        said = self.said
        if said is None or said.end != "finished":
            return False
        return said.looked and not said.pending + said.settling

    @property
    def is_well(self) -> bool:
        """Return whether the daemon runs, or did all it was to do, and nothing ails it."""
        if self.said is None or self.said.states or self.said.refused:
            return False
        return not self.is_silent if self.is_running else self.did_all

    @property
    def files(self) -> dict[str, int]:
        """Return how many files are in which state; no file counts twice."""
        final = {state: count for state, count in self.ledger.counts.items() if state != "pending"}
        waiting = in_work(self.said, sum(final.values())) if self.said else {"pending": 0, "settling": 0}
        return {**final, **waiting}

    @property
    def bundles(self) -> list[BundleSummary]:
        """Return what is known of each bundle and its results, the first one first."""
        started = started_of(self.said)
        return [replace(bundle, started=started.get(bundle.slot)) for bundle in self.ledger.bundles]


def started_of(said: Status | None) -> dict[str, WorkerReady | None]:
    """Return what the worker of each bundle said of itself, by the name that its results bear."""
    if said is None:
        return {}
    return {bundle.slot: bundle.model for bundle in said.bundles} or {"": said.model}


def gather_status(folder: Path) -> FolderStatus:
    """Return how the watching of a folder goes.

    Raises:
        UsageError: no daemon ever watched the folder.
        OutputError: what the daemon keeps may not be read.
    """
    state = find_state_folder(folder)
    said, is_running = read_status(state.status), is_held(state.lock)
    if is_running and said and (trouble := _disk_trouble(state.path)):
        said = replace(said, states=[*said.states, trouble])
    silent_s = _silent_s(said, is_running)
    is_told = is_running and said is not None and bool(said.states)
    ledger = _ledger_summary(state.ledger, may_be_gone=is_told)
    asked = Replace.OWN if is_running else _asked(state)
    return FolderStatus(folder.absolute(), said, is_running, silent_s, ledger, asked)


def _ledger_summary(path: Path, *, may_be_gone: bool) -> LedgerSummary:
    """Return what a ledger has; nothing of one that cannot be opened, if a running daemon tells why."""
    try:
        opened = LedgerReader(path)
    except OutputError:
        if not may_be_gone:
            raise
        return LedgerSummary()
    with closing(opened) as ledger, ledger.explained():
        slots = ledger.slots
        of_each = [ledger.of(slot) for slot in slots]
        return LedgerSummary(
            counts=ledger.counts_of_all(slots),
            failed=[entry for one in of_each for entry in one.in_state("failed")],
            quarantined=[entry for one in of_each for entry in one.in_state("quarantined")],
            bundles=[
                BundleSummary(slot, one.counts(), one.models(), one.wanted_count())
                for slot, one in zip(slots, of_each, strict=True)
            ],
        )


def _asked(state: StateFolder) -> Replace:
    """Return what `colvi-edge retry` asked for, and no daemon has taken up yet."""
    with suppress(OSError):
        return state.wanted_again()
    return Replace.OWN


def _disk_trouble(path: Path) -> Condition | None:
    """Return what keeps a daemon from saying it itself: the disk of its state takes nothing."""
    disk = os.statvfs(path)
    if disk.f_flag & os.ST_RDONLY:
        words = "read-only; make it writable"
    elif not disk.f_bfree or (disk.f_files and not disk.f_ffree):
        words = "full; make room there"
    else:
        return None
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Condition("ledger", f"the disk of the state folder is {words}", now)


def _silent_s(said: Status | None, is_running: bool) -> float | None:
    """Return how long ago a daemon said something; of one that has ended by the clock, which may be set."""
    if is_running:
        return max(time.monotonic() - said.said_s, 0.0) if said else 0.0
    try:
        ago = datetime.now(timezone.utc) - datetime.fromisoformat(said.said if said else "")
    except (ValueError, TypeError):  # at no time that there is
        return None
    return max(ago.total_seconds(), 0.0)
