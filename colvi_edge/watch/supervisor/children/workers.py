"""The worker that has the work, the one that shall follow on it, and those that finish.

    nobody ──start──▶ next ──WorkerReady──▶ current ──Finish──▶ leaving
                       ▲                       │
                       └──── reload, recycle, death

A follower starts beside the current worker, so that a reload or a recycling costs no time, and takes its
place when that has no work outstanding. A bundle that is refused changes nothing.
"""

import logging
import math
from collections.abc import Callable, Iterator

from colvi_edge.errors import BundleError, ColviEdgeError
from colvi_edge.watch.ipc.messages import Finish, StartRefused, WorkerReady
from colvi_edge.watch.supervisor.backoff import backoff_s, patience_s
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.telling.journal import LOGGER

WORK_LIMIT_S = 30.0  # from the last answer, or from the begin of what is first in turn, to the next answer
SLOWEST_BYTES_PER_S = 4e6  # prolongs it: a container may hold hundreds of images, a projection of 4 MB each
SILENCE_LIMIT_S = 20.0  # of an idle worker
MEMORY_LIMIT_BYTES = 4 << 30
RECYCLE_AFTER = 500  # answers; a bad file may leave 2.6 kB behind
START_LIMIT_S = 1800.0  # an engine may have to be built first; more after each failure
LEAVE_LIMIT_S = 10.0
KEEP_AGAIN_S = 600.0  # after a worker that could keep no copy of the bundle, until another one tries

log = logging.getLogger(LOGGER)


class WorkerRefusedError(ColviEdgeError):
    """The first worker could not start: the bundle is no good, or an engine is missing."""

    def __init__(self, refused: StartRefused) -> None:
        super().__init__(refused.message)
        self.exit_code = refused.exit_code  # type: ignore[misc] # of the error that the worker met
        self.kind = refused.kind  # type: ignore[misc]


class Workers:
    """Keeps one worker at work.

    Attributes:
        current: to be given work, see `may_be_given`; None while none is at work.
        started: what the current or the last worker said of itself; None before the first.
        moved_at: when the current worker was given work after it had none, or answered.
        held_up: the last worker that was ended had hung in the share, which is not a file's fault.
        failures: workers in a row that gave no answer.
    """

    def __init__(self, start: Callable[[str], Child], bundle: str, conditions: Conditions) -> None:
        """Prepare to start workers.

        Args:
            start: starts a worker on the bundle at a path.
            bundle: what the operator named.
            conditions: where it is raised what goes wrong.
        """
        self.current: Child | None = None
        self.started: WorkerReady | None = None
        self.moved_at = 0.0
        self.held_up = False
        self.failures = 0
        self._start = start
        self._named = bundle
        self._bundle = bundle  # from the first start on, the copy of it that is in use
        self._conditions = conditions
        self._next: Child | None = None
        self._next_started: WorkerReady | None = None
        self._reloading = False
        self._leaving: dict[Child, float] = {}  # and when their time is up
        self._answers = 0
        self._start_at = 0.0
        self._keep_again_at = math.inf

    def __iter__(self) -> Iterator[Child]:
        """Yield every worker that has not ended."""
        yield from (child for child in (self.current, self._next) if child)
        yield from self._leaving

    @property
    def may_be_given(self) -> bool:
        """Whether the current worker is to be given work."""
        return self.current is not None and not self.current.is_killed and self._next_started is None

    @property
    def is_reloading(self) -> bool:
        """Whether a reload has not come to its end."""
        return self._reloading

    def tick(self, idle: bool, now: float) -> None:
        """Start, replace and end workers as it is time; `idle` says that no work is outstanding."""
        for child, until in self._leaving.items():
            if now > until:
                child.kill(f"it did not end within {LEAVE_LIMIT_S:g} s")
        if self._next_started and (idle or self.current is None):
            self._replace(now)
        limit_s = patience_s(START_LIMIT_S, self.failures)
        if self._next and self._next_started is None and now - self._next.started_at > limit_s:
            self._next.kill(f"it was not ready within {limit_s:g} s")
        wanted = self.current is None or (self._is_old(now) and not self.current.is_killed)
        if wanted and self._next is None and now >= self._start_at and not self._is_stuck():
            self._begin(self._bundle, now)

    def reload(self, now: float) -> None:
        """Start a follower on the bundle that is now where the operator named it."""
        if self._next:
            self._next.kill("another reload began")
            self._leaving[self._next] = now
            self._next, self._next_started = None, None
        if self._is_stuck():
            self._refuse("an earlier worker hangs and cannot be ended")
            return
        self._reloading = True
        self._begin(self._named, now)

    def limit(self, busy: bool, folder_answers: bool, now: float, longest_bytes: int = 0) -> bool:
        """End the current worker if it passed a limit; return whether that is the fault of the share.

        Args:
            busy: it has work outstanding.
            folder_answers: the scanner is not held up, too.
            now: of the monotonic clock.
            longest_bytes: of the files that are its work.
        """
        limit_s = WORK_LIMIT_S + longest_bytes / SLOWEST_BYTES_PER_S
        worker = self.current
        if worker is None or worker.is_killed:
            return False
        self.held_up = False
        if not busy:
            if now - worker.heard_at > SILENCE_LIMIT_S:
                worker.kill(f"it said nothing for {SILENCE_LIMIT_S:g} s")
        elif now - self.moved_at > limit_s:
            self.held_up = not folder_answers or worker.waits_for_disk()
            worker.kill(f"the time limit of {limit_s:.3g} s ran out")
        elif worker.resident_bytes() > MEMORY_LIMIT_BYTES:
            worker.kill(f"the memory limit of {MEMORY_LIMIT_BYTES >> 30} GiB was passed")
        return self.held_up

    def answered(self, now: float) -> None:
        """Count an answer of the current worker."""
        self.moved_at = now
        self._answers += 1
        self.failures = 0

    def said(self, child: Child, message: WorkerReady | StartRefused, now: float) -> None:
        """Take what a follower says of its start.

        Raises:
            WorkerRefusedError: it was the first.
        """
        if child is not self._next:
            return
        if isinstance(message, WorkerReady):
            self._next_started = message
        elif self.started is None:
            raise WorkerRefusedError(message)
        else:
            self._leaving[child] = now + LEAVE_LIMIT_S
            if message.kind == BundleError.kind and not self._reloading:
                self._bundle = self._named  # the copy is damaged or gone; begin as a daemon does that starts
            self._lose(message.message, now)

    def leave(self, now: float) -> None:
        """Count the current worker, which was told to finish, among those that end of themselves."""
        if self.current:
            self._leaving[self.current] = now + LEAVE_LIMIT_S
            self.current = None

    def ended(self, child: Child, busy: bool, now: float) -> None:
        """Take note of a worker that ended; `busy` says that work was outstanding with the current one."""
        if child in self._leaving:
            del self._leaving[child]
        elif child is self._next:
            self._lose(child.end, now)
        else:
            self.current = None
            log.error("the worker ended: %s", child.end, extra={"COLVI_EVENT": "worker ended"})
            if not busy:  # nothing that it was given can be blamed, so it may well happen again
                self._back_off(f"the worker ended: {child.end}", now)

    def _begin(self, bundle: str, now: float) -> None:
        try:
            self._next = self._start(bundle)
        except OSError as error:
            self._lose(f"no process can be started: {error.strerror}", now)

    def _replace(self, now: float) -> None:
        if self.current:
            self.current.send(Finish())
            self._leaving[self.current] = now + LEAVE_LIMIT_S
        self.current, self._next = self._next, None
        self.started, self._next_started = self._next_started, None
        assert self.started is not None  # noqa: S101 # said by the caller
        self._bundle = self.started.bundle
        self._answers = 0
        self._keep_again_at = now + KEEP_AGAIN_S if self.started.not_kept else math.inf
        if self.started.not_kept:
            self._conditions.raise_("bundle", "degraded", self.started.not_kept)
        else:
            self._conditions.clear("bundle")
        if self._reloading:
            self._reloading = False
            self._conditions.clear("reload")
        self._conditions.clear("worker")
        log.info(
            "judging with %s on %s %s, %s",
            self.started.model,
            self.started.runtime,
            self.started.precision,
            self.started.device,
            extra={
                "COLVI_EVENT": "worker started",
                "COLVI_MODEL_SHA256": self.started.model_sha256,
                "COLVI_REASON": self.started.reason,
            },
        )

    def _lose(self, why: str, now: float) -> None:
        """Give up the follower."""
        self._next, self._next_started = None, None
        if self._reloading:
            self._reloading = False
            self._refuse(why)
        else:
            self._back_off(f"no worker can be started: {why}", now)

    def _refuse(self, why: str) -> None:
        self._conditions.raise_("reload", "reload failed", f"the bundle before it stays in use; {why}")

    def _back_off(self, why: str, now: float) -> None:
        self.failures += 1
        self._start_at = now + backoff_s(self.failures)
        self._conditions.raise_("worker", "degraded", why)

    def _is_old(self, now: float) -> bool:
        return self._answers >= RECYCLE_AFTER or now >= self._keep_again_at

    def _is_stuck(self) -> bool:
        return any(child.is_stuck for child in self)
