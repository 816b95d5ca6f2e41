"""A lane: what one bundle has of its own, the worker that judges with it, and the work for that.

So that of several bundles each judges, fails, is replaced and is asked again by itself.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import Finish, Labels, Message, StartRefused, WorkDone, WorkerReady
from colvi_edge.watch.ipc.settings import Judging
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.children.workers import WorkerKeeper
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Dispatcher
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings


class Lane:
    """One bundle's worker, and its work.

    Attributes:
        slot: name that its results bear; "" of the first bundle.
        ledger: what is known of its results.
        dispatcher: of its work.
        workers: who do it.
    """

    def __init__(
        self,
        judging: Judging,
        start: Callable[[Judging, str], Child],
        ledger: TolerantLedger,
        metrics: Metrics,
        conditions: Conditions,
        timings: Timings,
        now: float,
        force: Replace,
    ) -> None:
        """Take up what the previous daemon left of this bundle's work; no worker is started yet.

        Args:
            judging: with the bundle that the operator named.
            start: starts a worker that judges so, on the bundle at a path.
            ledger: of all bundles.
            metrics: of all bundles.
            conditions: of all bundles.
            timings: how long is waited for what.
            now: of the monotonic clock.
            force: results that everything is judged in spite of.
        """
        slot = self.slot = judging.slot
        self.ledger, conditions = ledger.of(slot), conditions.of(slot)
        self.dispatcher = Dispatcher(self.ledger, metrics.of(slot), conditions, timings, now, force, slot)
        self.workers = WorkerKeeper(partial(start, judging), judging.bundle, conditions, timings)

    @property
    def is_finishing(self) -> bool:
        """Whether its worker has work, and may still answer."""
        worker = self.workers.current
        return bool(self.dispatcher.assigned) and worker is not None and not worker.is_killed

    def limit(self, folder_answers: bool, now: float) -> None:
        """End its worker if that passed a limit; what the share is to blame for is no attempt on a file."""
        work = self.dispatcher
        if self.workers.limit(bool(work.assigned), folder_answers, now, work.longest_assigned_bytes):
            work.refund_attempts()

    def tick(self, root: Path, now: float, asked: Callable[[], Replace]) -> None:
        """Start and replace its worker as it is time.

        Args:
            root: the watched folder.
            now: of the monotonic clock.
            asked: tells which results the operator asked to be judged again.
        """
        self.workers.tick(idle=not self.dispatcher.assigned, now=now)
        if worker := self.workers.started:
            self.dispatcher.judge_with(worker.judge, root, now, asked)

    def assign(self, mount: Mount, now: float, results_mount: Mount | None) -> None:
        """Give its worker what it may be given; the mounts are as for `Dispatcher.assign`."""
        worker = self.workers.current
        if worker is None or not self.workers.may_be_given:
            return
        while message := self.dispatcher.assign(mount, now, results_mount):
            if self.dispatcher.assigned == 1:
                self.workers.last_progress_at = now
            worker.send(message)

    def said(self, worker: Child, message: Message, now: float, *, others_judge: bool = False) -> None:
        """Take what one of its workers said; `others_judge` is as for `WorkerKeeper.said`."""
        if isinstance(message, WorkerReady | StartRefused):
            self.workers.said(worker, message, now, others_judge=others_judge)
        elif isinstance(message, Labels):
            with self.ledger.writing() as ledger:
                ledger.note_labels()
        elif isinstance(message, WorkDone):
            self.dispatcher.finished(message, now)
            self.workers.answered(now)

    def ended(self, worker: Child, now: float) -> None:
        """Take note of one of its workers that has ended, once all that it said is heard."""
        busy = worker is self.workers.current and bool(self.dispatcher.assigned)
        self.workers.ended(worker, busy, now)
        if busy and self.workers.blocked_by_share:
            self.dispatcher.wait_for_share(worker.end, now)
        elif busy:
            self.dispatcher.worker_died(worker.end, now)

    def finish(self) -> None:
        """Have its worker end what it has, and take no more."""
        if worker := self.workers.current:
            worker.send(Finish())

    def hand_back(self) -> int:
        """Return how many files its worker did not answer; that is no attempt on them."""
        count = self.dispatcher.assigned
        if count and not self.workers.blocked_by_share:
            self.dispatcher.refund_attempts()
        return count
