"""The state folder as this daemon holds it: locked, its ledger open, and whether the disk still has it.

Somebody may delete or replace a folder, or a file in it, while a daemon runs. What the daemon holds open goes
on to work, but nobody else can see it, and another daemon could lock what is there now. So it is looked at
every few seconds, and begun anew when it is lost: what the ledger knew is found again by content.
"""

import logging
import math
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.printable import printable_name
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.state_folder import DaemonLock, StateFolder, one_at_a_time, watched_around
from colvi_edge.watch.supervisor.backoff import backoff_s
from colvi_edge.watch.supervisor.signals import Signals
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.supervisor.telling.systemd import notify
from colvi_edge.watch.timings import Timings

log = logging.getLogger(LOGGER)


class HeldState:
    """Folder, lock and ledger of a daemon.

    Attributes:
        folder: its paths.
        ledger: open; of another begin, another one.
        lost: why it was begun anew, in words; "" at the first time.
        renew_at: time of the monotonic clock before which it is not to be begun anew, so that a program
            that removes a file again and again costs little.
    """

    folder: StateFolder
    ledger: Ledger

    def __init__(self, settings: WatchSettings, signals: Signals, timings: Timings) -> None:
        """Remember for whom it is held; nothing is opened yet.

        Args:
            settings: of the operator.
            signals: end every wait.
            timings: how long is waited before a disk or another begin is tried again.
        """
        self.lost = ""
        self.renew_at = 0.0
        self._settings = settings
        self._signals = signals
        self._timings = timings
        self._lock: DaemonLock | None = None
        self._held: dict[Path, os.stat_result | None] = {}  # None: it went when it had just been opened
        self._begun_at = -math.inf
        self._losses = 0

    def begin(self, lost: str = "") -> bool:
        """Make the folder if need be, take its lock and open its ledger, for the first time or anew.

        Another daemon of this folder is waited for. So is a disk that is full or read-only, by a daemon that
        has begun before and by a service: systemd would start it every two seconds, and each of that fail.

        Args:
            lost: why it is begun anew; "" if it is not.

        Returns:
            Whether it is held; if not, a signal ended the wait.

        Raises:
            OutputError: it cannot be made or opened, the first time on a terminal.
            UsageError: another daemon runs, and this one is to run once; or one watches a folder above or
                below this one.
        """
        is_patient = bool(lost) or "NOTIFY_SOCKET" in os.environ
        self.lost, failures = lost, 0
        while True:
            try:
                if not self._taken():
                    return False
                break
            except OutputError as error:
                if not is_patient:
                    raise
                failures += 1
                if failures == 1:
                    log.error("%s; it is tried until that succeeds", error, extra={"COLVI_EVENT": "waiting"})
                notify(READY="1", STATUS=f"waiting: {error}")
                if not self._waited(self._backoff_s(failures)):
                    return False
        now = time.monotonic()
        self._losses = self._losses + 1 if now - self._begun_at < self._timings.same_loss_s else 0
        self._begun_at, self.renew_at = now, now + (self._backoff_s(self._losses) if self._losses else 0.0)
        return True

    def loss(self) -> str:
        """Return what became of what is held, in words; "" if it is as it was, or that cannot be told."""
        for path, held in self._held.items():
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return f"{path} is gone"
            except OSError:  # it will be told by who has to write there
                continue
            if held is None or not os.path.samestat(found, held):
                return f"{path} was replaced"
            if path == self.folder.ledger:
                # In this mode of SQLite it only grows. Nothing more is looked at: to open it and close it
                # again would end the locks that SQLite has on it.
                if found.st_size < held.st_size:
                    return f"{path} was cut"
                self._held[path] = found
        return ""

    def renew(self) -> None:
        """Make the folder again and take the lock in it, so that nobody takes this daemon for none.

        Raises:
            OutputError: that cannot be done.
        """
        self.folder = StateFolder.of(self._settings.folders.root)
        if self._lock and not self._lock.is_current():
            self._lock.close()
            self._lock = None
        if self._lock is None:
            self._lock = DaemonLock(self.folder.lock)
        self._lock.take(self._settings.folders.root)

    def is_for_systemd(self) -> bool:
        """Return whether there is no state directory, which systemd makes when it starts the service."""
        return "NOTIFY_SOCKET" in os.environ and not self.folder.path.parents[1].exists()

    def close(self) -> None:
        """Close the ledger, and give the lock back."""
        self._close_ledger()
        if self._lock:
            self._lock.close()
            self._lock = None

    def _taken(self) -> bool:
        self._close_ledger()  # before another is opened at its path: SQLite mixes up what belongs to both
        self.renew()
        if not self._waited_for_another_daemon():
            return False
        self._refuse_nested()
        self.ledger = Ledger(self.folder.ledger)
        paths = (self.folder.path, self.folder.lock, self.folder.ledger, *_aside(self.folder.ledger))
        self._held = dict.fromkeys(paths)
        for path in paths:
            with suppress(OSError):
                self._held[path] = path.stat()
        return True

    def _close_ledger(self) -> None:
        if self._held:
            self._held = {}
            self.ledger.close()

    def _refuse_nested(self) -> None:
        """Refuse a folder that lies in a watched one, or holds one: two would judge the same files."""
        root, lock = self._settings.folders.root, self._lock
        assert lock is not None  # noqa: S101 # renewed before
        with one_at_a_time(self.folder):
            other = watched_around(root, self.folder)
            if other is None:
                return
            lock.close()  # before the next one looks, so that of two that begin at once one goes on
            self._lock = None
        where = "in which this folder lies" if root.is_relative_to(other) else "which lies in this folder"
        raise UsageError(
            f"{printable_name(str(root))}: found {printable_name(str(other))} watched already, {where}; "
            "expected each file watched by one daemon: end the other, or watch another folder"
        )

    def _waited_for_another_daemon(self) -> bool:
        """Wait for another daemon to end; return False if a signal ends this one first."""
        lock, settings = self._lock, self._settings
        assert lock is not None  # noqa: S101 # renewed before
        if lock.take(settings.folders.root):
            return True
        time.sleep(0.1)  # `colvi-edge status` may just have looked whether it is held
        if lock.take(settings.folders.root):
            return True
        why = f"process {lock.holder()} watches {printable_name(str(settings.folders.root))}"
        if settings.once:
            raise UsageError(f"{why} already, and will diagnose all that is there; see: colvi-edge status")
        log.warning("waiting: %s; this one takes over when it ends", why, extra={"COLVI_EVENT": "waiting"})
        notify(READY="1", STATUS=f"waiting: {why}; this one takes over when it ends")
        while not lock.take(settings.folders.root):
            if not self._waited(1.0):
                return False
        return True

    def _backoff_s(self, failures: int) -> float:
        return backoff_s(failures, self._timings.longest_backoff_s)

    def _waited(self, seconds: float) -> bool:
        """Wait for a while, alive for systemd; return False if a signal came that ends the daemon."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            notify(WATCHDOG="1")
            select.select([self._signals], [], [], min(left, 1.0))
            if self._signals.take() & {signal.SIGTERM, signal.SIGINT}:
                return False
        return True


def _aside(ledger: Path) -> Iterator[Path]:
    """Yield the files that SQLite keeps beside an open ledger."""
    for suffix in ("-wal", "-shm"):
        path = ledger.with_name(ledger.name + suffix)
        if path.exists():
            yield path
