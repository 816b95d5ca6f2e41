"""Tells the world how the daemon is: systemd's STATUS and watchdog, status.json, and the metrics file."""

import logging
import sqlite3
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

from colvi_edge.printable import printable_name
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import (
    WAITING_SHOWN,
    End,
    RefusedStart,
    Status,
    Waiting,
    count_words,
    in_work,
    write_status,
)
from colvi_edge.watch.supervisor.children.scanner import Lookout
from colvi_edge.watch.supervisor.children.workers import Workers
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Desk
from colvi_edge.watch.supervisor.telling.journal import LOGGER, told_to_systemd
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.telling.systemd import notify, watchdog_s

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 10.0  # also without news: what is older than 30 s is taken for silence
_START_S = 60  # asked of systemd for the start, again and again while all goes well

log = logging.getLogger(LOGGER)


class Reporter:
    """Looks at the parts of the daemon, and says what is new.

    Attributes:
        ready: whether READY was said.
        end: how the daemon ended; "" while it runs.
    """

    def __init__(
        self,
        settings: WatchSettings,
        status: Path,
        parts: tuple[Conditions, Ledger, Metrics, Desk, Lookout, Workers],
        refused: RefusedStart | None = None,
    ) -> None:
        """Remember whom to ask, and where to write.

        Args:
            settings: of the operator.
            status: file for the status.
            parts: of the daemon.
            refused: why the start before failed; told until this one has succeeded.
        """
        self.ready = False
        self.end: End = ""
        self._root = printable_name(str(settings.root))
        self._once = settings.once
        self._status = status
        self._metrics_file = settings.metrics
        self._conditions, self._ledger, self._metrics, self._desk, self._lookout, self._workers = parts
        self._refused = refused
        self._started = _utc()
        self._look_at = self._say_at = self._ping_at = 0.0
        self._said: object = None
        watchdog = watchdog_s()
        self._ping_every_s = watchdog / 4 if watchdog else None

    def tick(self, now: float) -> None:
        """Say what there is to say."""
        if self._ping_every_s and now >= self._ping_at:
            # In this very round each child was looked at: one past its limit was killed, or hangs on the
            # share, which the status says. What is left for systemd to notice is that this loop hangs.
            notify(WATCHDOG="1")
            self._ping_at = now + self._ping_every_s
        if not self.ready:
            self._prepare(now)
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self.say(now, even_if_old=now >= self._say_at)

    def say(self, now: float, *, even_if_old: bool = True) -> None:
        """Write status and metrics."""
        status = self._now()
        news = replace(status, said="", said_s=0.0, waiting=[])
        if news == self._said and not even_if_old:
            return
        self._said, self._say_at = news, now + SAY_EVERY_S
        notify(STATUS=self._words(status))
        try:
            write_status(self._status, status)
            self._conditions.clear("status")
        except OSError as error:
            self._conditions.raise_("status", "ledger", f"{self._status} cannot be written: {error.strerror}")
        if self._metrics_file:
            try:
                states = {state.name for state in status.states}
                self._metrics.write(self._metrics_file, status.pending, states, status.not_read)
                self._conditions.clear("metrics")
            except OSError as error:
                self._conditions.raise_(
                    "metrics", "degraded", f"{self._metrics_file} cannot be written: {error.strerror}"
                )

    def _prepare(self, now: float) -> None:
        """Say READY when it is so; a folder that is not there is no reason to wait."""
        root = self._lookout.root
        seen = self._lookout.scanned is not None or (root is not None and root.state != "here")
        if self._workers.started and seen:
            self.ready = True
            notify(READY="1")
            log.info("ready", extra={"COLVI_EVENT": "ready"})
            self._look_at = now
        elif now >= self._say_at and not self._workers.failures and not self._lookout.failures:
            notify(EXTEND_TIMEOUT_USEC=str(_START_S * 1_000_000))

    def _now(self) -> Status:
        schedule, scanned = self._desk.schedule, self._lookout.scanned
        waiting = (Waiting(piece.path, piece.kind, piece.words) for piece in schedule if piece.failures)
        return Status(
            folder=self._root,
            started=self._started,
            said=_utc(),
            said_s=time.monotonic(),
            ready=self.ready,
            states=list(self._conditions),
            pending=schedule.pending,
            settling=scanned.settling if scanned else 0,
            waiting=list(islice(waiting, WAITING_SHOWN)),
            last=self._desk.last,
            model=self._workers.started,
            not_read=scanned.not_read if scanned else {},
            once=self._once,
            judged=self._desk.judged,
            errors=self._desk.errors,
            end=self.end,
            repeated=schedule.repeated,
            settled_before=scanned.settled_before if scanned else 0,
            answered=self._answered(),
            looked=scanned is not None,
            refused=None if self.ready else self._refused,
        )

    def _answered(self) -> int | None:
        """Return how many files have a final answer; None if that cannot be told, which `_words` says."""
        with suppress(sqlite3.Error):
            return sum(count for state, count in self._ledger.counts().items() if state != "pending")
        return None

    def _words(self, status: Status) -> str:
        waiting = in_work(status)
        try:
            counts = count_words({**self._ledger.counts(), **waiting})
        except sqlite3.Error as error:
            self._desk.note(error)
            counts = count_words(waiting)
        what = "watching" if status.ready else "starting"
        last = []
        if status.last:
            words, failed = status.last.words, status.last.outcome == "error"
            last = [f"last: {told_to_systemd(words) if failed else words}"]
        states = self._conditions.words(told_to_systemd)
        return "; ".join([*states, f"{what}: {counts}", *last])


def _utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
