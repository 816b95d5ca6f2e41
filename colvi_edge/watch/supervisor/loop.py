"""The supervisor: starts and watches scanner and worker, carries work between them, and tells how things are.

    scanner ──FileReady──▶ desk ──Work──▶ worker
                            ▲  └─ ledger     │
                            └────WorkDone────┘

One loop, no threads. Nothing under the watched folder is opened here and no image library is loaded, so that
the loop comes round whatever a share or a file does to the children.
"""

import faulthandler
import logging
import os
import selectors
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from datetime import datetime
from typing import cast

from colvi_edge.choices import Replace
from colvi_edge.errors import ColviEdgeError, OutputError
from colvi_edge.outputs.names import is_temporary_name
from colvi_edge.printable import counted
from colvi_edge.watch.ipc.child import leave_no_core
from colvi_edge.watch.ipc.messages import (
    Degraded,
    FileReady,
    Finish,
    Message,
    Published,
    PublisherSettings,
    RootState,
    Scanned,
    ScannerSettings,
    Settles,
    StartRefused,
    WorkDone,
    WorkerReady,
    WorkerSettings,
)
from colvi_edge.watch.ipc.words import Trouble
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import Status, note_refusal, read_status
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.children.publisher import Publishing
from colvi_edge.watch.supervisor.children.scanner import Lookout
from colvi_edge.watch.supervisor.children.workers import Workers
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Desk
from colvi_edge.watch.supervisor.heartbeat import Reporter
from colvi_edge.watch.supervisor.held_state import HeldState
from colvi_edge.watch.supervisor.once import Drain
from colvi_edge.watch.supervisor.queue import OUTAGES
from colvi_edge.watch.supervisor.signals import Signals
from colvi_edge.watch.supervisor.telling import journal
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.telling.systemd import notify

__all__ = ["WatchSettings", "watch"]

STOP_LIMIT_S = 10.0  # for what is outstanding; the unit gives 15 s for all
END_LIMIT_S = 1.0  # for children that were killed; what hangs on a share is left to the kernel
PAUSED_AFTER_S = 5.0  # between two rounds
_BUSY_ROUND_S = 0.2  # a memory bomb grows by some hundred MB within that
_IDLE_ROUND_S = 1.0
STATE_EVERY_S = 2.0  # between two looks at the state folder
TOLD_S = 60.0  # how long it is said that it was lost and begun anew
_RESTART = 75  # EX_TEMPFAIL: start me again, and the folder will be writable

COMMANDS: Mapping[str, Sequence[str]] = {
    role: (sys.executable, "-m", f"colvi_edge.watch.{role}") for role in ("scanner", "worker", "publisher")
}

log = logging.getLogger(journal.LOGGER)


def watch(settings: WatchSettings, commands: Mapping[str, Sequence[str]] = COMMANDS) -> int:
    """Diagnose each raw file of a folder as soon as it is finished, until a signal ends that.

    Args:
        settings: of the operator.
        commands: that start "scanner", "worker" and "publisher".

    Returns:
        The exit code: 0; 1 after `once`, if a file failed or was left; 75 if systemd is to start the service
        again, so that it may write into a folder that was not there before.

    Raises:
        ColviEdgeError: the worker cannot start, or the state folder cannot be used.
    """
    faulthandler.enable(2)  # where systemd's watchdog ends this process, it says what it was doing
    leave_no_core()
    journal.set_up(settings.log_names)
    settings = settings.absolute()
    with Signals() as signals, closing(HeldState(settings, signals)) as state:
        lost = ""
        while state.begin(lost):
            before = _said_before(state)
            with closing(Supervisor(settings, state, signals, commands, before)) as supervisor:
                try:
                    exit_code = supervisor.run()
                except ColviEdgeError as error:
                    supervisor.note_refusal(str(error))
                    raise
            if not supervisor.lost:
                return exit_code
            lost = supervisor.lost
        return 0


class Supervisor:
    """The loop, and what comes round in it.

    Attributes:
        lost: what became of the state folder, so that all has to begin anew; "" as long as it is there.
    """

    def __init__(
        self,
        settings: WatchSettings,
        state: HeldState,
        signals: Signals,
        commands: Mapping[str, Sequence[str]],
        before: Status | None = None,
    ) -> None:
        """Put the parts together; nothing is started yet.

        Args:
            settings: of the operator.
            state: held.
            signals: end and reload.
            commands: that start the children.
            before: what the daemon before this one said last.
        """
        now = time.monotonic()
        self.lost = ""
        folder, ledger = state.folder, state.ledger
        self._settings = settings
        self._state = state
        self._folder = folder
        self._signals = signals
        self._commands = commands
        self._conditions = Conditions()
        metrics = Metrics(str(settings.root), _seconds(ledger.last_done_at()))
        self._desk = Desk(ledger, metrics, self._conditions, now, settings.anew)
        self._lookout = Lookout(self._start_scanner, self._conditions)
        self._workers = Workers(self._start_worker, settings.bundle, self._conditions)
        self._publishing = Publishing(self._start_publisher if settings.report else None, self._conditions)
        parts = (self._conditions, ledger, metrics, self._desk, self._lookout, self._workers)
        self._before = before
        self._reporter = Reporter(settings, folder.status, parts, before.refused if before else None)
        self._drain = (
            Drain(self._desk, self._lookout, self._workers, self._conditions, now) if settings.once else None
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ)
        self._exit_code: int | None = None
        self._stopping = self._reloading = self._drained = False
        self._late_root = False  # the folder was not there when this process began
        self._output_dir = str(settings.output_dir) if settings.output_dir else None
        self._mount = ledger.mount  # of the folder when it was last seen
        self._results_mount = ledger.results_mount(self._output_dir) if self._output_dir else None
        self._round_at = now
        if ledger.set_aside:
            why = f"the ledger was damaged, is now {ledger.set_aside}, and is made anew from what is found"
            self._conditions.raise_("rebuilding", "degraded", why)
        elif ledger.dropped:
            why = f"{ledger.dropped} entries of the ledger were damaged, and are made anew from what is found"
            self._conditions.raise_("rebuilding", "degraded", why)
        self._state_at = 0.0
        self._told_until = now + TOLD_S
        if state.lost:
            self._conditions.raise_("state", "degraded", f"{state.lost}; all is made anew from what is found")

    def run(self) -> int:
        """Go round until a signal comes, a folder is drained or the state is lost; return the exit code."""
        with suppress(OSError):  # who deletes the whole folder now need not hurry
            for litter in filter(lambda path: is_temporary_name(path.name), self._folder.path.iterdir()):
                litter.unlink()
        log.info("watching %s", self._settings.root, extra={"COLVI_EVENT": "started"})
        with self._drain.bar if self._drain else nullcontext():
            while self._exit_code is None and not self.lost:
                self._round()
            self._stop()
        return self._drain.summary() if self._drain and not self.lost else self._exit_code or 0

    def note_refusal(self, why: str) -> None:
        """Say in the status why this daemon could not start, and else what the one before had said."""
        before = self._before or read_status(self._folder.status)
        if before:
            note_refusal(self._folder.status, before, why)

    def close(self) -> None:
        """End what is still running, without waiting for it."""
        for child in self._children():
            child.kill("the supervisor ends")
        until = time.monotonic() + END_LIMIT_S
        while not all(child.reap() for child in self._children()) and time.monotonic() < until:
            time.sleep(0.01)
        self._selector.close()

    # --- the loop

    def _round(self) -> None:
        self._look_after_all(time.monotonic())
        now = time.monotonic()
        longest_s = _BUSY_ROUND_S if self._desk.schedule.given else _IDLE_ROUND_S
        due = self._desk.schedule.wake_at(now)
        for key, _ in self._selector.select(longest_s if due is None else min(longest_s, due - now)):
            if key.fileobj is self._signals:
                self._obey(self._signals.take())
            else:
                self._hear(cast(Child, key.fileobj))

    def _look_after_all(self, now: float) -> None:
        for child in self._children():
            if child.reap():
                self._bury(child, now)
        if now - self._round_at > PAUSED_AFTER_S:
            # The machine or this process stood still, and nobody else can be blamed for that.
            self._workers.moved_at = now
            for child in self._children():
                child.heard_at = now
        self._round_at = now
        mount = self._lookout.mount(now)
        given = self._desk.schedule.given.values()
        longest = max((piece.signature.bytes for piece in given), default=0)
        if self._workers.limit(bool(given), mount is not None, now, longest):
            self._desk.absolve()
        if not self._stopping:
            self._look_after_state(now)
            self._lookout.tick(now)
            self._workers.tick(idle=not self._desk.schedule.given, now=now)
            if self._workers.started:
                self._desk.judge_with(self._workers.started.judge, self._settings.root, now, self._asked)
            self._take_up_retry(now)
            self._give(now)
            if self._drain and self._drain.is_over(now):
                self._exit_code, self._drained = 0, True
        self._publishing.tick(self._desk.answers, mount, now, self._results_mount)
        self._name_trouble()
        self._reporter.tick(now)
        if self._reloading and not self._workers.is_reloading:
            self._reloading = False
            notify(READY="1")

    def _look_after_state(self, now: float) -> None:
        """See whether the state folder still is what is held; begin anew if it is not."""
        if now < self._state_at:
            return
        self._state_at = now + STATE_EVERY_S
        self._desk.try_to_write()
        lost = self._state.loss() or self._desk.damage
        if not lost:
            if now >= self._told_until:  # who looks every half minute has seen it by then
                self._conditions.clear("state")
            return
        self._conditions.raise_("state", "ledger", lost)
        if now < self._state.renew_at:
            return
        try:
            self._state.renew()
        except OutputError as error:
            self._conditions.raise_("state", "ledger", f"{lost}, and cannot be made again: {error}")
            if self._state.is_for_systemd():
                self._exit_code = _RESTART
        else:
            self.lost = lost

    def _children(self) -> list[Child]:
        return [*self._lookout, *self._workers, *self._publishing]

    def _obey(self, signals: set[signal.Signals]) -> None:
        if signals & {signal.SIGTERM, signal.SIGINT}:
            self._exit_code = 0
        elif signal.SIGHUP in signals and not self._stopping:
            self._lookout.rescan()
            if self._workers.started:
                log.info("reload", extra={"COLVI_EVENT": "reload"})
                notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
                self._workers.reload(time.monotonic())
                self._reloading = True

    # --- children

    def _start_scanner(self) -> Child:
        settings = self._settings.for_scanner(self._folder, self._mount, self._results_mount)
        return self._listen_to("scanner", settings)

    def _start_worker(self, bundle: str) -> Child:
        return self._listen_to("worker", self._settings.for_worker(self._folder, bundle))

    def _start_publisher(self) -> Child:
        return self._listen_to("publisher", self._settings.for_publisher())

    def _listen_to(self, role: str, first: ScannerSettings | WorkerSettings | PublisherSettings) -> Child:
        child = Child(role, self._commands[role], first)
        self._selector.register(child, selectors.EVENT_READ)
        return child

    def _hear(self, child: Child) -> bool:
        """Take what a child said; return whether there was anything."""
        messages = child.receive()
        if messages is None:
            self._selector.unregister(child)  # it ended, or will be silent for too long
        if not messages:
            return False
        now = time.monotonic()
        if child is self._lookout.scanner:
            self._lookout.heard()
        for message in messages:
            if child is self._lookout.scanner:
                self._scanner_said(message, now)
            elif child in self._publishing:
                if isinstance(message, Published):
                    self._publishing.said(message, now)
            else:
                self._worker_said(child, message, now)
        return True

    def _bury(self, child: Child, now: float) -> None:
        """Take note of a child that has ended, once all that it said is heard."""
        while child in self._selector.get_map() and self._hear(child):
            pass
        if child in self._selector.get_map():  # what it started lives on, and holds the line
            self._selector.unregister(child)
        child.close()
        if child is self._lookout.scanner:
            self._lookout.ended(now)
            return
        if child in self._publishing:
            self._publishing.ended(now)
            return
        busy = child is self._workers.current and bool(self._desk.schedule.given)
        self._workers.ended(child, busy, now)
        if busy and self._workers.held_up:
            self._desk.wait_for_share(child.end, now)
        elif busy:
            self._desk.worker_died(child.end, now)

    def _scanner_said(self, message: Message, now: float) -> None:
        if isinstance(message, FileReady):
            self._desk.offer(message, now)
        elif isinstance(message, Settles):
            self._lookout.settles(message)
        elif isinstance(message, RootState | Scanned | Degraded):
            if self._lookout.said(message, now):
                self._desk.schedule.hurry(now)
            if isinstance(message, RootState):
                self._note_root(message)
            elif isinstance(message, Scanned):
                self._conditions.clear("rebuilding")

    def _note_root(self, root: RootState) -> None:
        if root.mount:
            self._desk.remember(root.mount, self._output_dir, root.results_mount)
            self._mount, self._results_mount = root.mount, root.results_mount
        if root.state != "here":
            self._late_root |= self._lookout.scanned is None

    def _worker_said(self, child: Child, message: Message, now: float) -> None:
        if isinstance(message, WorkerReady | StartRefused):
            self._workers.said(child, message, now)
        elif isinstance(message, WorkDone):
            self._desk.finished(message, now)
            self._workers.answered(now)
            if message.kind == "read-only" and self._late_root and "NOTIFY_SOCKET" in os.environ:
                # The service's sandbox was made when there was no folder that could be writable in it.
                log.warning("the folder is there now; the service starts again, to be allowed to write to it")
                self._exit_code = _RESTART

    # --- work

    def _give(self, now: float) -> None:
        worker, mount = self._workers.current, self._lookout.mount(now)
        if worker is None or not self._workers.may_be_given or mount is None:
            return
        while message := self._desk.take(mount, now, self._results_mount):
            if len(self._desk.schedule.given) == 1:
                self._workers.moved_at = now
            worker.send(message)

    def _asked(self) -> Replace:
        """Return which results `colvi-edge retry` asks for, where that waits to be taken up."""
        with suppress(OSError):
            return self._folder.wanted_again()
        return Replace.OWN

    def _take_up_retry(self, now: float) -> None:
        try:
            if not self._folder.retry.is_file():
                return
            wanted = self._folder.wanted_again()
            if wanted is Replace.STALE and self._desk.awaits_model:
                return
            self._desk.retry(now, wanted)
            self._folder.retry.unlink()
        except (sqlite3.Error, OSError) as error:
            self._conditions.raise_("retry", "ledger", f"the state folder cannot be written: {error}")
        else:
            self._conditions.clear("retry")

    def _name_trouble(self) -> None:
        trouble = self._desk.schedule.trouble
        if trouble and not (trouble.kind in OUTAGES and self._lookout.tells_outage):
            self._conditions.raise_("folder", cast(Trouble, trouble.kind), trouble.words, of_files=True)
        else:
            self._conditions.clear("folder")
        self._conditions.raise_barred("folder not writable", self._desk.schedule.barred)
        stuck = [child.role for child in self._children() if child.is_stuck]
        if stuck:
            self._conditions.raise_(
                "stuck", "stuck", f"the {stuck[0]} hangs in the share and cannot be ended"
            )
        else:
            self._conditions.clear("stuck")

    # --- the end

    def _stop(self) -> None:
        """Give the worker time for what it has, and the report for what is new; take the rest back."""
        self._stopping = True
        if not self.lost:
            notify(STOPPING="1", STATUS="stopping")
        given, worker = self._desk.schedule.given, self._workers.current
        if worker:
            worker.send(Finish())
        until = time.monotonic() + STOP_LIMIT_S
        while given and worker and not worker.is_killed and time.monotonic() < until:
            self._round()
        self._workers.leave(time.monotonic())
        self._publishing.hurry()
        self._look_after_all(time.monotonic())
        while self._publishing.is_behind and not self.lost and time.monotonic() < until:
            self._round()
        if given and not self._workers.held_up:
            self._desk.absolve()
        what = f"{self.lost}; it begins anew" if self.lost else "stopped"
        back = f"; {counted(len(given), 'file is', 'files are')} handed back" if given else ""
        log.info("%s%s", what, back, extra={"COLVI_EVENT": "stopped"})
        self._reporter.end = "finished" if self._drained else "stopped"
        self._reporter.say(time.monotonic())


def _said_before(state: HeldState) -> Status | None:
    with suppress(OutputError):  # it will be written anew
        return read_status(state.folder.status)
    return None


def _seconds(utc: str) -> float:
    return datetime.fromisoformat(utc).timestamp() if utc else 0.0
