"""`colvi-edge watch --once`: when a folder is done, what came of it, and a bar for who looks on."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from colvi_edge.printable import counted
from colvi_edge.watch.supervisor.snapshot import ProcessSnapshot, WorkSnapshot
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.timings import Timings

TRIES = 3  # for a file that has to wait, and for a process that does not start

log = logging.getLogger(LOGGER)


class OnceRun:
    """Finds out when a folder is done.

    Attributes:
        bar: to be entered for as long as the bar is to be seen.
    """

    def __init__(self, rescan: Callable[[], None], timings: Timings, now: float) -> None:
        """Begin with a folder that is not looked through.

        Args:
            rescan: asks the scanner for another scan.
            timings: how long files that keep changing are waited for, and how often is looked.
            now: of the monotonic clock.
        """
        self.bar = ExitStack()
        self._rescan = rescan
        self._timings = timings
        self._changes = self._total = 0
        self._changed_at = self._asked_at = now
        self._look_at = now
        self._show: Callable[[int, int], None] | None = None
        if sys.stderr.isatty():
            log.setLevel(logging.WARNING)  # lines of the log would tear the bar
            self.bar.callback(log.setLevel, logging.INFO)

    def is_over(
        self, now: float, processes: ProcessSnapshot, work: Callable[[], WorkSnapshot], *, idle: bool
    ) -> bool:
        """Return whether there is nothing left to wait for; may ask for another scan to know.

        Args:
            now: of the monotonic clock.
            processes: how scanner and worker are.
            work: tells how work stands; called in each round that is idle, and else now and then.
            idle: the worker has no work.
        """
        if not idle and now < self._look_at:
            return False
        self._look_at = now + self._timings.once_look_s
        return self._is_over(now, processes, work())

    def summary(
        self, processes: ProcessSnapshot, work: WorkSnapshot, standing: str, troubles: Sequence[str]
    ) -> int:
        """Log what came of it; return the exit code: 1 if a file failed or was left.

        Args:
            processes: how scanner and worker are.
            work: how work stands.
            standing: how many files have an answer in the ledger, in words; "" if none has.
            troubles: what is wrong, in words that the log may tell.
        """
        left = _left(processes, work)
        faulty = bool(work.errors or left or processes.scanned is None or not processes.is_here)
        several = len(processes.bundles) > 1  # then a file has several answers
        what = counted(work.answers, "answer") if several else f"{counted(work.answers, 'file')} answered"
        answered = f"{what}, {counted(work.errors, 'error')}"
        if not work.answers and standing:
            answered = f"nothing new, {standing} before"
        log.log(
            logging.WARNING if faulty else logging.INFO,
            "%s; %d left%s",
            answered,
            left,
            "".join(f"; {words}" for words in troubles),
            extra={"COLVI_EVENT": "drained"},
        )
        if sys.stderr.isatty() and work.other_models:  # the bar stood where this was said
            log.info("%s", work.other_models, extra={"COLVI_EVENT": "other models"})
        return int(faulty)

    def _is_over(self, now: float, processes: ProcessSnapshot, work: WorkSnapshot) -> bool:
        if work.changes != self._changes:
            self._changes, self._changed_at = work.changes, now
        self._show_progress(processes, work)
        scanned, scanned_at = processes.scanned, processes.scanned_at
        if processes.root and not processes.is_here:
            return True
        if max(processes.worker_failures, processes.scanner_failures) >= TRIES or processes.is_stuck:
            return True
        is_tried = work.fewest_failures is None or work.fewest_failures >= TRIES
        if scanned is None or work.awaits_model or work.assigned or not is_tried:
            return False
        if now - self._changed_at > self._timings.once_patience_s:
            return True
        if scanned_at > self._changed_at and not scanned.settling:
            return True
        if now - max(self._asked_at, scanned_at) > max(self._timings.once_rescan_s, 4 * scanned.seconds):
            self._asked_at = now
            self._rescan()
        return False

    def _show_progress(self, processes: ProcessSnapshot, work: WorkSnapshot) -> None:
        if not processes.scanned or not sys.stderr.isatty():
            return
        left = _left(processes, work)
        if self._show is None:
            from colvi_edge.terminal.progress import progress_of_growing

            self._show = self.bar.enter_context(progress_of_growing("Diagnosing"))
            left *= len(processes.bundles)  # later a file may have the answers of some
        self._total = max(self._total, work.answers + left)  # more may come than the first scan found
        self._show(work.answers, self._total)


def _left(processes: ProcessSnapshot, work: WorkSnapshot) -> int:
    """Return how many files have no final answer."""
    return work.pending + (processes.scanned.settling if processes.scanned else 0)
