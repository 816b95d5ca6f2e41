"""The supervisor's loop: starts and watches scanner, worker and publisher, and carries work between them.

    scanner ──FileReady──▶ dispatcher ──Work──▶ worker        both for each bundle: a lane
                             ▲  └─ ledger         │
                             └─────WorkDone───────┘

One loop, no threads. Nothing under the watched folder is opened here and no image library is loaded, so that
the loop comes round whatever a share or a file does to the children.
"""

import logging
import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import cast

from colvi_edge.printable import counted
from colvi_edge.watch.ipc.messages import (
    Degraded,
    FileReady,
    Message,
    Published,
    RootState,
    Scanned,
    Settles,
    WorkDone,
)
from colvi_edge.watch.ipc.settings import Judging, PublisherSettings, ScannerSettings, WorkerSettings
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import End, RefusedStart
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.children.publisher import PublisherKeeper
from colvi_edge.watch.supervisor.children.scanner import ScannerKeeper
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.heartbeat import Heartbeat
from colvi_edge.watch.supervisor.held_state import HeldState
from colvi_edge.watch.supervisor.lanes.lane import Lane
from colvi_edge.watch.supervisor.lanes.lanes import Lanes
from colvi_edge.watch.supervisor.once import OnceRun
from colvi_edge.watch.supervisor.signals import Signals
from colvi_edge.watch.supervisor.snapshot import ProcessSnapshot
from colvi_edge.watch.supervisor.state_watch import StateWatch
from colvi_edge.watch.supervisor.telling.journal import LOGGER, told
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.telling.systemd import notify
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings

_RESTART = 75  # EX_TEMPFAIL: start me again, and the folder will be writable

log = logging.getLogger(LOGGER)


class Supervisor:
    """The loop, and what comes round in it."""

    def __init__(
        self,
        settings: WatchSettings,
        state: HeldState,
        signals: Signals,
        commands: Mapping[str, Sequence[str]],
        timings: Timings,
        conditions: Conditions,
        metrics: Metrics,
        refused: RefusedStart | None,
    ) -> None:
        """Put the parts together; nothing is started yet.

        Args:
            settings: of the operator.
            state: held.
            signals: end and reload.
            commands: that start the children.
            timings: how long is waited for what.
            conditions: what is wrong already.
            metrics: what is counted.
            refused: why the start before this one failed.
        """
        now = time.monotonic()
        self._settings = settings
        self._folder = state.folder
        self._signals = signals
        self._commands = commands
        self._timings = timings
        self._conditions = conditions
        slots = [judging.slot for judging in settings.judgings]
        ledger = self._ledger = TolerantLedger(state.ledger, conditions, slots)
        with ledger.writing() as written:
            written.note_slots(slots)
        self._lanes = Lanes(
            [
                Lane(judging, self._start_worker, ledger, metrics, conditions, timings, now, settings.force)
                for judging in settings.judgings
            ]
        )
        self._state = StateWatch(state, ledger, self._lanes, conditions, timings, now)
        self._scanner = ScannerKeeper(self._start_scanner, conditions, timings)
        report = settings.for_publisher()
        publish = partial(self._listen_to, "publisher", report) if report else None
        self._publisher = PublisherKeeper(publish, conditions, timings)
        self._heartbeat = Heartbeat(
            settings, state.folder.status, conditions, self._ledger, metrics, timings, refused
        )
        self._once = OnceRun(self._scanner.rescan, timings, now) if settings.once else None
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ)
        self._exit_code: int | None = None
        self._stopping = self._reloading = self._is_done = False
        self._late_root = False  # the folder was not there when this process began
        output_dir = settings.folders.output_dir
        self._output_dir = str(output_dir) if output_dir else None
        self._mount = state.ledger.mount  # of the folder when it was last seen
        self._results_mount = state.ledger.results_mount(self._output_dir) if self._output_dir else None
        self._round_at = now

    @property
    def lost(self) -> str:
        """What became of the state folder, so that all has to begin anew; "" as long as it is there."""
        return self._state.lost

    def run(self) -> int:
        """Go round until a signal comes, `--once` is done or the state is lost; return the exit code."""
        log.info("watching %s", self._settings.folders.root, extra={"COLVI_EVENT": "started"})
        with self._once.bar if self._once else nullcontext():
            while self._exit_code is None and not self.lost:
                self._round()
            self._stop()
        if self._once is None or self.lost:
            return self._exit_code or 0
        processes, work = self._processes(), self._lanes.snapshot()
        return self._once.summary(processes, work, self._ledger.standing(), self._conditions.words(told))

    def close(self) -> None:
        """End what is still running, without waiting for it."""
        for child in self._children():
            child.kill("the supervisor ends")
        until = time.monotonic() + self._timings.end_limit_s
        while not all(child.reap() for child in self._children()) and time.monotonic() < until:
            time.sleep(0.01)
        self._selector.close()

    # --- the loop

    def _round(self) -> None:
        self._look_after_all(time.monotonic())
        now = time.monotonic()
        timings = self._timings
        longest_s = timings.busy_round_s if self._lanes.assigned else timings.idle_round_s
        due = self._lanes.wake_at(now)
        for key, _ in self._selector.select(longest_s if due is None else min(longest_s, due - now)):
            if key.fileobj is self._signals:
                self._obey(self._signals.take())
            else:
                self._receive_from(cast(Child, key.fileobj))

    def _look_after_all(self, now: float) -> None:
        for child in self._children():
            if child.reap():
                self._child_exited(child, now)
        if now - self._round_at > self._timings.paused_after_s:
            # The machine or this process stood still, and nobody else can be blamed for that.
            for lane in self._lanes:
                lane.workers.last_progress_at = now
            for child in self._children():
                child.heard_at = now
        self._round_at = now
        mount = self._scanner.mount(now)
        lanes = self._lanes
        for lane in lanes:
            lane.limit(mount is not None, now)
        if not self._stopping:
            self._scanner.tick(now)
            for lane in lanes:
                lane.tick(self._settings.folders.root, now, self._state.asked)
            self._state.tick(now)
            if self._state.needs_systemd:
                self._exit_code = _RESTART
            self._assign(now)
            idle = not lanes.assigned
            if self._once and self._once.is_over(now, self._processes(), lanes.snapshot, idle=idle):
                self._exit_code, self._is_done = 0, True
        self._publisher.tick(lanes.answers, mount, now, self._results_mount)
        self._raise_troubles()
        self._heartbeat.tick(now, self._processes(), lanes.snapshot)
        if self._reloading and not lanes.is_reloading:
            self._reloading = False
            notify(READY="1")

    def _processes(self) -> ProcessSnapshot:
        scanner, lanes = self._scanner, self._lanes
        return ProcessSnapshot(
            root=scanner.root,
            scanned=scanner.scanned,
            scanned_at=scanner.scanned_at,
            scanner_failures=scanner.failures,
            bundles=lanes.bundles,
            have_started=lanes.have_started,
            worker_failures=lanes.failures,
            is_stuck=any(child.is_stuck for child in (*lanes.workers, *scanner)),
        )

    def _children(self) -> list[Child]:
        return [*self._scanner, *self._lanes.workers, *self._publisher]

    def _obey(self, signals: set[signal.Signals]) -> None:
        if signals & {signal.SIGTERM, signal.SIGINT}:
            self._exit_code = 0
        elif signal.SIGHUP in signals and not self._stopping:
            self._scanner.rescan()
            if started := [lane.workers for lane in self._lanes if lane.workers.started]:
                log.info("reload", extra={"COLVI_EVENT": "reload"})
                notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
                for workers in started:
                    workers.reload(time.monotonic())
                self._reloading = True

    # --- children

    def _start_scanner(self) -> Child:
        settings = self._settings.for_scanner(self._folder, self._mount, self._results_mount, self._timings)
        return self._listen_to("scanner", settings)

    def _start_worker(self, judging: Judging, bundle: str) -> Child:
        opens = replace(judging, bundle=bundle)
        settings = self._settings.for_worker(self._folder, opens, self._timings)
        return self._listen_to("worker", settings, judging.slot)

    def _listen_to(
        self, role: str, first: ScannerSettings | WorkerSettings | PublisherSettings, slot: str = ""
    ) -> Child:
        called = f"{role} of {slot}" if slot else role
        child = Child(called, self._commands[role], first, self._timings)
        self._selector.register(child, selectors.EVENT_READ)
        return child

    def _receive_from(self, child: Child) -> bool:
        """Take what a child said; return whether there was anything."""
        messages = child.receive()
        if messages is None:
            self._selector.unregister(child)  # it ended, or will be silent for too long
        if not messages:
            return False
        now = time.monotonic()
        if child in self._scanner:
            self._scanner.heard()
        for message in messages:
            if child in self._scanner:
                self._scanner_said(message, now)
            elif child in self._publisher:
                if isinstance(message, Published):
                    self._publisher.said(message, now)
            else:
                self._worker_said(child, message, now)
        return True

    def _child_exited(self, child: Child, now: float) -> None:
        """Take note of a child that has ended, once all that it said is heard."""
        while child in self._selector.get_map() and self._receive_from(child):
            pass
        if child in self._selector.get_map():  # what it started lives on, and holds the line
            self._selector.unregister(child)
        child.close()
        if child in self._scanner:
            self._scanner.ended(now)
            return
        if child in self._publisher:
            self._publisher.ended(now)
            return
        self._lanes.lane_of(child).ended(child, now)

    def _scanner_said(self, message: Message, now: float) -> None:
        if isinstance(message, FileReady):
            self._lanes.offer(message, now)
        elif isinstance(message, Settles):
            self._scanner.settles(message)
        elif isinstance(message, RootState | Scanned | Degraded):
            if self._scanner.said(message, now):
                self._lanes.retry_now(now)
            if isinstance(message, RootState):
                self._note_root(message)
            elif isinstance(message, Scanned):
                self._conditions.clear("rebuilding")

    def _note_root(self, root: RootState) -> None:
        if root.mount:
            self._ledger.remember(root.mount, self._output_dir, root.results_mount)
            self._mount, self._results_mount = root.mount, root.results_mount
        if root.state != "here":
            self._late_root |= self._scanner.scanned is None

    def _worker_said(self, child: Child, message: Message, now: float) -> None:
        self._lanes.said(child, message, now)
        is_read_only = isinstance(message, WorkDone) and message.kind == "read-only"
        if is_read_only and self._late_root and "NOTIFY_SOCKET" in os.environ:
            # The service's sandbox was made when there was no folder that could be writable in it.
            log.warning("the folder is there now; the service starts again, to be allowed to write to it")
            self._exit_code = _RESTART

    # --- work

    def _assign(self, now: float) -> None:
        if mount := self._scanner.mount(now):
            for lane in self._lanes:
                lane.assign(mount, now, self._results_mount)

    def _raise_troubles(self) -> None:
        self._lanes.raise_troubles(outage_is_told=self._scanner.tells_outage)
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
        for lane in self._lanes:
            lane.finish()
        until = time.monotonic() + self._timings.stop_limit_s
        while any(lane.is_finishing for lane in self._lanes) and time.monotonic() < until:
            self._round()
        for lane in self._lanes:
            lane.workers.retire(time.monotonic())
        self._publisher.publish_now()
        self._look_after_all(time.monotonic())
        while self._publisher.is_behind and not self.lost and time.monotonic() < until:
            self._round()
        count = sum(lane.hand_back() for lane in self._lanes)
        what = f"{self.lost}; it begins anew" if self.lost else "stopped"
        back = f"; {counted(count, 'file is', 'files are')} handed back" if count else ""
        log.info("%s%s", what, back, extra={"COLVI_EVENT": "stopped"})
        end: End = "finished" if self._is_done else "stopped"
        self._heartbeat.end(end, time.monotonic(), self._processes(), self._lanes.snapshot())
