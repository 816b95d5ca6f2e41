"""The daemon's heartbeat: systemd's watchdog and STATUS, status.json, and the metrics file."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from colvi_edge.printable import printable_name
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import End, RefusedStart, Status, count_words, in_work, write_status
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.snapshot import ProcessSnapshot, WorkSnapshot
from colvi_edge.watch.supervisor.telling.journal import LOGGER, told_to_systemd
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.telling.systemd import notify, watchdog_s
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings

_START_S = 60  # asked of systemd for the start, again and again while all goes well

log = logging.getLogger(LOGGER)


class Heartbeat:
    """Says that the daemon is alive in each round, and how it is whenever that has changed."""

    def __init__(
        self,
        settings: WatchSettings,
        status: Path,
        conditions: Conditions,
        ledger: TolerantLedger,
        metrics: Metrics,
        timings: Timings,
        refused: RefusedStart | None = None,
    ) -> None:
        """Remember where to write; nothing is said yet.

        Args:
            settings: of the operator.
            status: file for the status.
            conditions: what is wrong; also where it is raised that a file cannot be written.
            ledger: counts the files in each state.
            metrics: numbers for Prometheus.
            timings: how often it looks for news, and writes without any.
            refused: why the start before failed; told until this one has succeeded.
        """
        self._is_ready = False
        self._root = printable_name(str(settings.folders.root))
        self._once = settings.once
        self._status = status
        self._metrics_file = settings.metrics
        self._conditions = conditions
        self._ledger = ledger
        self._metrics = metrics
        self._timings = timings
        self._refused = refused
        self._started = _utc()
        self._look_at = self._write_at = self._ping_at = 0.0
        self._written: Status | None = None
        watchdog = watchdog_s()
        self._ping_every_s = watchdog / 4 if watchdog else None

    def tick(self, now: float, processes: ProcessSnapshot, work: Callable[[], WorkSnapshot]) -> None:
        """Say what there is to say.

        Args:
            now: of the monotonic clock.
            processes: how scanner and worker are.
            work: tells how work stands; called when it is time to look for news.
        """
        if self._ping_every_s and now >= self._ping_at:
            # In this very round each child was looked at: one past its limit was killed, or hangs on the
            # share, which the status says. What is left for systemd to notice is that this loop hangs.
            notify(WATCHDOG="1")
            self._ping_at = now + self._ping_every_s
        if not self._is_ready:
            self._prepare(now, processes)
        if now >= self._look_at:
            self._look_at = now + self._timings.heartbeat_s
            self._write(now, processes, work(), "", even_if_old=now >= self._write_at)

    def end(self, end: End, now: float, processes: ProcessSnapshot, work: WorkSnapshot) -> None:
        """Say how the daemon ended, and how it was."""
        self._write(now, processes, work, end, even_if_old=True)

    def _prepare(self, now: float, processes: ProcessSnapshot) -> None:
        """Say READY when it is so; a folder that is not there is no reason to wait."""
        is_away = processes.root is not None and not processes.is_here
        if processes.have_started and (processes.scanned is not None or is_away):
            self._is_ready = True
            notify(READY="1")
            log.info("ready", extra={"COLVI_EVENT": "ready"})
            self._look_at = now
        elif now >= self._write_at and not processes.worker_failures and not processes.scanner_failures:
            notify(EXTEND_TIMEOUT_USEC=str(_START_S * 1_000_000))

    def _write(
        self, now: float, processes: ProcessSnapshot, work: WorkSnapshot, end: End, *, even_if_old: bool
    ) -> None:
        counts = self._ledger.counts(anew=bool(end))
        status = self._of(processes, work, counts, end)
        news = replace(status, said="", said_s=0.0, waiting=[])
        if news == self._written and not even_if_old:
            return
        self._written, self._write_at = news, now + self._timings.status_every_s
        notify(STATUS=self._words(status, counts))
        try:
            write_status(self._status, status)
            self._conditions.clear("status")
        except OSError as error:
            self._conditions.raise_("status", "ledger", f"{self._status} cannot be written: {error.strerror}")
        if self._metrics_file:
            try:
                names = {condition.name for condition in status.states}
                self._metrics.write(self._metrics_file, status.pending, names, status.not_read)
                self._conditions.clear("metrics")
            except OSError as error:
                self._conditions.raise_(
                    "metrics", "degraded", f"{self._metrics_file} cannot be written: {error.strerror}"
                )

    def _of(
        self, processes: ProcessSnapshot, work: WorkSnapshot, counts: dict[str, int] | None, end: End
    ) -> Status:
        scanned = processes.scanned
        answered = None
        if counts is not None and self._ledger.is_counted:  # beside what is pending now
            answered = sum(count for state, count in counts.items() if state != "pending")
        return Status(
            folder=self._root,
            started=self._started,
            said=_utc(),
            said_s=time.monotonic(),
            ready=self._is_ready,
            states=list(self._conditions),
            pending=work.pending,
            settling=scanned.settling if scanned else 0,
            waiting=work.waiting,
            last=work.last,
            model=processes.bundles[0].model,
            bundles=processes.bundles if len(processes.bundles) > 1 else [],
            not_read=scanned.not_read if scanned else {},
            once=self._once,
            judged=work.judged,
            errors=work.errors,
            end=end,
            repeated=work.repeated,
            settled_before=scanned.settled_before if scanned else 0,
            unmarked=scanned.unmarked if scanned else 0,
            answered=answered,
            looked=scanned is not None,
            refused=None if self._is_ready else self._refused,
        )

    def _words(self, status: Status, counts: dict[str, int] | None) -> str:
        what = "watching" if status.ready else "starting"
        words = count_words({**(counts or {}), **in_work(status)})
        last = []
        if status.last:
            failed = status.last.outcome == "error"
            last = [f"last: {told_to_systemd(status.last.words) if failed else status.last.words}"]
        return "; ".join([*self._conditions.words(told_to_systemd), f"{what}: {words}", *last])


def _utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
