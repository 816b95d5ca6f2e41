"""The workers' keeper: the one that has the work, its successor while that starts, and those that retire.

    nobody ──start──▶ successor ──WorkerReady──▶ current ──Finish──▶ retiring
                          ▲                         │
                          └────── reload, recycle, death

A successor starts beside the current worker, so that a reload or a recycling costs no time, and takes its
place when that has no work outstanding. A bundle that is refused changes nothing.
"""

import logging
import math
from collections.abc import Callable, Iterator

from colvi_edge.errors import BundleError, ColviEdgeError
from colvi_edge.watch.ipc.messages import Finish, StartRefused, WorkerReady
from colvi_edge.watch.supervisor.children.kept import KeptProcess
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.timings import Timings

SLOWEST_BYTES_PER_S = 4e6
"""Prolongs the limit of an answer: a container may hold hundreds of images, a projection of 4 MB each."""
MEMORY_LIMIT_BYTES = 4 << 30
RECYCLE_AFTER = 500  # answers; a bad file may leave 2.6 kB behind

log = logging.getLogger(LOGGER)


class WorkerRefusedError(ColviEdgeError):
    """The first worker could not start: the bundle is no good, or an engine is missing."""

    def __init__(self, refused: StartRefused) -> None:
        super().__init__(refused.message)
        self.exit_code, self.kind = refused.exit_code, refused.kind  # of the error that the worker met


class WorkerKeeper:
    """Keeps one worker at work.

    Attributes:
        current: to be given work, see `may_be_given`; None while none is at work.
        started: what the current or the last worker said of itself; None before the first.
        last_progress_at: when the current worker was given work after it had none, or answered.
        blocked_by_share: the last worker that was ended had hung in the share, which is not a file's fault.
    """

    def __init__(
        self, start: Callable[[str], Child], bundle: str, conditions: Conditions, timings: Timings
    ) -> None:
        """Prepare to start workers.

        Args:
            start: starts a worker on the bundle at a path.
            bundle: what the operator named.
            conditions: where it is raised what goes wrong.
            timings: how long a worker may take.
        """
        self.current: Child | None = None
        self.started: WorkerReady | None = None
        self.last_progress_at = 0.0
        self.blocked_by_share = False
        self._named_bundle = bundle
        self._bundle = bundle  # from the first start on, the copy of it that is in use
        self._conditions = conditions
        self._timings = timings
        self._successor = KeptProcess(start, timings.longest_backoff_s)
        self._successor_ready: WorkerReady | None = None
        self._is_reloading = False
        self._retiring: dict[Child, float] = {}  # and since when
        self._answers = 0
        self._keep_again_at = math.inf

    def __iter__(self) -> Iterator[Child]:
        """Yield every worker that has not ended."""
        if self.current:
            yield self.current
        yield from self._successor
        yield from self._retiring

    @property
    def failures(self) -> int:
        """Workers in a row that gave no answer."""
        return self._successor.failures

    @property
    def may_be_given(self) -> bool:
        """Whether the current worker is to be given work."""
        return self.current is not None and not self.current.is_killed and self._successor_ready is None

    @property
    def is_reloading(self) -> bool:
        """Whether a reload has not come to its end."""
        return self._is_reloading

    def tick(self, idle: bool, now: float) -> None:
        """Start, replace and end workers as it is time; `idle` says that no work is outstanding."""
        for child, since in self._retiring.items():
            child.kill_if_late(since, self._timings.worker_end_s, now, "it did not end")
        if self._successor_ready and (idle or self.current is None):
            self._replace(self._successor_ready, now)
        if (successor := self._successor.child) and self._successor_ready is None:
            limit_s = self._successor.patience_s(self._timings.worker_start_s)
            successor.kill_if_late(successor.started_at, limit_s, now, "it was not ready")
        is_wanted = self.current is None or (self._is_old(now) and not self.current.is_killed)
        is_possible = self._successor.child is None and self._successor.is_due(now) and not self._is_stuck()
        if is_wanted and is_possible:
            self._start(self._bundle, now)

    def reload(self, now: float) -> None:
        """Start a successor on the bundle that is now where the operator named it."""
        if successor := self._successor.release():
            successor.kill("another reload began")
            self._retiring[successor] = now
            self._successor_ready = None
        if self._is_stuck():
            self._refuse_reload("an earlier worker hangs and cannot be ended")
            return
        self._is_reloading = True
        self._start(self._named_bundle, now)

    def limit(self, busy: bool, folder_answers: bool, now: float, longest_bytes: int = 0) -> bool:
        """End the current worker if it passed a limit; return whether that is the fault of the share.

        Args:
            busy: it has work outstanding.
            folder_answers: the scanner is not held up, too.
            now: of the monotonic clock.
            longest_bytes: of the files that are its work.
        """
        worker, timings = self.current, self._timings
        if worker is None or worker.is_killed:
            return False
        self.blocked_by_share = False
        if not busy:
            worker.kill_if_silent(timings.worker_silence_s, now)
            return False
        limit_s = timings.work_limit_s + longest_bytes / SLOWEST_BYTES_PER_S
        if now - self.last_progress_at > limit_s:  # asked first: once killed, it may wait no more
            self.blocked_by_share = not folder_answers or worker.waits_for_disk()
        if not worker.kill_if_late(self.last_progress_at, limit_s, now):
            worker.kill_if_large(MEMORY_LIMIT_BYTES)
        return self.blocked_by_share

    def answered(self, now: float) -> None:
        """Count an answer of the current worker."""
        self.last_progress_at = now
        self._answers += 1
        self._successor.failures = 0

    def said(
        self,
        child: Child,
        message: WorkerReady | StartRefused,
        now: float,
        *,
        others_judge: bool = False,
    ) -> None:
        """Take what a successor says of its start.

        Args:
            child: the successor.
            message: what it says.
            now: of the monotonic clock.
            others_judge: a worker of another bundle has started, whose work is not to end with this one's.

        Raises:
            WorkerRefusedError: none has started yet, and this one is the very first or nobody else judges.
        """
        if child is not self._successor.child:
            return
        if isinstance(message, WorkerReady):
            self._successor_ready = message
        elif self.started is None and not (self.failures and others_judge):
            raise WorkerRefusedError(message)
        else:
            self._retiring[child] = now
            if message.kind == BundleError.kind and not self._is_reloading:
                self._bundle = self._named_bundle  # the copy is damaged or gone: begin anew
            self._no_successor(message.message, now)

    def retire(self, now: float) -> None:
        """Count the current worker, which was told to finish, among those that end of themselves."""
        if self.current:
            self._retiring[self.current] = now
            self.current = None

    def ended(self, child: Child, busy: bool, now: float) -> None:
        """Take note of a worker that ended; `busy` says that work was outstanding with the current one."""
        if child in self._retiring:
            del self._retiring[child]
        elif child is self._successor.child:
            self._no_successor(child.end, now)
        else:
            self.current = None
            log.error("the %s ended: %s", child.role, child.end, extra={"COLVI_EVENT": "worker ended"})
            if not busy:  # nothing that it was given can be blamed, so it may well happen again
                self._back_off(f"the {child.role} ended: {child.end}", now)

    def _start(self, bundle: str, now: float) -> None:
        if why := self._successor.start(bundle):
            self._no_successor(f"no process can be started: {why}", now)

    def _replace(self, ready: WorkerReady, now: float) -> None:
        """Give the successor, which is ready, the place of the current worker."""
        if self.current:
            self.current.send(Finish())
            self._retiring[self.current] = now
        self.current = self._successor.release()
        self.started, self._successor_ready = ready, None
        self._bundle = ready.bundle
        self._answers = 0
        self._keep_again_at = now + self._timings.keep_again_s if ready.not_kept else math.inf
        if ready.not_kept:
            self._conditions.raise_("bundle", "degraded", ready.not_kept)
        else:
            self._conditions.clear("bundle")
        if self._is_reloading:
            self._is_reloading = False
            self._conditions.clear("reload")
        self._conditions.clear("worker")
        log.info(
            "judging with %s on %s %s, %s",
            ready.model,
            ready.runtime,
            ready.precision,
            ready.device,
            extra={
                "COLVI_EVENT": "worker started",
                "COLVI_MODEL_SHA256": ready.model_sha256,
                "COLVI_REASON": ready.reason,
            },
        )

    def _no_successor(self, why: str, now: float) -> None:
        """Take note that no worker will follow; a reload that asked for it has failed."""
        self._successor.release()
        self._successor_ready = None
        if self._is_reloading:
            self._is_reloading = False
            self._refuse_reload(why)
        else:
            self._back_off(f"no worker can be started: {why}", now)

    def _refuse_reload(self, why: str) -> None:
        self._conditions.raise_("reload", "reload failed", f"the bundle before it stays in use; {why}")

    def _back_off(self, why: str, now: float) -> None:
        self._successor.failed(now)
        self._conditions.raise_("worker", "degraded", why)

    def _is_old(self, now: float) -> bool:
        return self._answers >= RECYCLE_AFTER or now >= self._keep_again_at

    def _is_stuck(self) -> bool:
        return any(child.is_stuck for child in self)
