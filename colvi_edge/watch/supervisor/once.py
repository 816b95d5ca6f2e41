"""`colvi-edge watch --once`: when a folder is drained, what came of it, and a bar for who looks on."""

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack

from colvi_edge.printable import counted
from colvi_edge.watch.supervisor.children.scanner import Lookout
from colvi_edge.watch.supervisor.children.workers import Workers
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Desk
from colvi_edge.watch.supervisor.telling.journal import LOGGER, told

TRIES = 3  # for a file that has to wait, and for a process that does not start
PATIENCE_S = 120.0  # with files that keep changing; the longest quiet time is 60 s
ASK_EVERY_S = 1.0

log = logging.getLogger(LOGGER)


class Drain:
    """Watches a folder run dry.

    Attributes:
        bar: to be entered for as long as the bar is to be seen.
    """

    def __init__(
        self, desk: Desk, lookout: Lookout, workers: Workers, conditions: Conditions, now: float
    ) -> None:
        """Remember whom to ask."""
        self.bar = ExitStack()
        self._desk = desk
        self._lookout = lookout
        self._workers = workers
        self._conditions = conditions
        self._moves = self._shown = 0
        self._moved_at = self._asked_at = now
        self._advance: Callable[[], None] | None = None
        if sys.stderr.isatty():
            log.setLevel(logging.WARNING)  # lines of the log would tear the bar
            self.bar.callback(log.setLevel, logging.INFO)

    @property
    def left(self) -> int:
        """How many files have no final answer."""
        scanned = self._lookout.scanned
        return self._desk.schedule.pending + (scanned.settling if scanned else 0)

    def is_over(self, now: float) -> bool:
        """Return whether there is nothing left to wait for; may ask for another scan to know."""
        if self._desk.moves != self._moves:
            self._moves, self._moved_at = self._desk.moves, now
        self._show_progress()
        root, scanned = self._lookout.root, self._lookout.scanned
        if root and root.state != "here":
            return True
        if max(self._workers.failures, self._lookout.failures) >= TRIES:
            return True
        if any(child.is_stuck for part in (self._workers, self._lookout) for child in part):
            return True
        schedule = self._desk.schedule
        untried = (piece for piece in schedule if piece.failures < TRIES and not schedule.is_parked(piece))
        if scanned is None or self._desk.awaits_model or schedule.given or next(untried, None):
            return False
        if now - self._moved_at > PATIENCE_S:
            return True
        if self._lookout.scanned_at > self._moved_at and not scanned.settling:
            return True
        if now - max(self._asked_at, self._lookout.scanned_at) > max(ASK_EVERY_S, 4 * scanned.seconds):
            self._asked_at = now
            self._lookout.rescan()
        return False

    def summary(self) -> int:
        """Say what came of it; return the exit code: 1 if a file failed or was left."""
        root = self._lookout.root
        looked = self._lookout.scanned is not None and root is not None and root.state == "here"
        faulty = bool(self._desk.errors or self.left or not looked)
        answered = f"{counted(self._desk.answers, 'file')} answered, {counted(self._desk.errors, 'error')}"
        if not self._desk.answers and (standing := self._desk.standing()):
            answered = f"nothing new, {standing} before"
        log.log(
            logging.WARNING if faulty else logging.INFO,
            "%s; %d left%s",
            answered,
            self.left,
            "".join(f"; {words}" for words in self._conditions.words(told)),
            extra={"COLVI_EVENT": "drained"},
        )
        if sys.stderr.isatty() and self._desk.other_models:  # the bar stood where this was said
            log.info("%s", self._desk.other_models, extra={"COLVI_EVENT": "other models"})
        return int(faulty)

    def _show_progress(self) -> None:
        if not self._lookout.scanned or not sys.stderr.isatty():
            return
        if self._advance is None:
            from colvi_edge.terminal.progress import progress

            self._advance = self.bar.enter_context(progress("Diagnosing", self._desk.answers + self.left))
        while self._shown < self._desk.answers:
            self._shown += 1
            self._advance()
