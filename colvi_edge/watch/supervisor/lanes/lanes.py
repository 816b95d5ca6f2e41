"""All lanes together: what is found is offered to each that has not judged it, and what they tell is one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from colvi_edge.watch.ipc.messages import FileReady, Message
from colvi_edge.watch.status_file import WAITING_SHOWN, Bundled, Last
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.lanes.lane import Lane
from colvi_edge.watch.supervisor.once import TRIES
from colvi_edge.watch.supervisor.snapshot import WorkSnapshot


class Lanes:
    """The lanes of a daemon, that of the first bundle first."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        """Take the lanes, one at least."""
        self._lanes = lanes

    def __iter__(self) -> Iterator[Lane]:
        """Yield each lane."""
        return iter(self._lanes)

    @property
    def workers(self) -> list[Child]:
        """Every worker that has not ended."""
        return [worker for lane in self for worker in lane.workers]

    @property
    def bundles(self) -> list[Bundled]:
        """What the current or the last worker of each bundle said of itself."""
        return [Bundled(lane.slot, lane.workers.started) for lane in self]

    @property
    def have_started(self) -> bool:
        """Whether a worker of one bundle has, and the others' have too, or failed: they go on trying."""
        workers = [lane.workers for lane in self]
        return any(one.started for one in workers) and all(one.started or one.failures for one in workers)

    @property
    def failures(self) -> int:
        """Workers in a row that gave no answer, of the bundle that has the fewest."""
        return min(lane.workers.failures for lane in self)

    @property
    def is_reloading(self) -> bool:
        """Whether a reload has not come to its end."""
        return any(lane.workers.is_reloading for lane in self)

    @property
    def assigned(self) -> int:
        """How many files the workers were given and have not answered."""
        return sum(lane.dispatcher.assigned for lane in self)

    @property
    def answers(self) -> int:
        """How many final answers there were since the start."""
        return sum(lane.dispatcher.answers for lane in self)

    def said(self, worker: Child, message: Message, now: float) -> None:
        """Take what a worker said.

        Raises:
            WorkerRefusedError: see `WorkerKeeper.said`.
        """
        others_judge = any(lane.workers.started for lane in self)
        self.lane_of(worker).said(worker, message, now, others_judge=others_judge)

    def lane_of(self, worker: Child) -> Lane:
        """Return the lane whose worker a child is."""
        return next(lane for lane in self if worker in lane.workers)

    def wake_at(self, now: float) -> float | None:
        """Return when the next of the files that wait for their time will be due; None if none does."""
        times = (lane.dispatcher.wake_at(now) for lane in self)
        return min((time for time in times if time is not None), default=None)

    def offer(self, ready: FileReady, now: float) -> None:
        """Take a file that the scanner found ready: for the bundles that have not answered it, or lost files.

        If all have, and none did, it was closed once more: each worker sees whether its result is of that.
        """
        lacking = self._lanes[:1]
        if len(self._lanes) > 1:
            state = (ready.path, ready.signature)
            lacking = [lane for lane in self if lane.slot in ready.lost or not lane.ledger.has_answer(*state)]
        for lane in lacking or self:
            lane.dispatcher.offer(ready, now)

    def retry_now(self, now: float) -> None:
        """Let all files that back off be tried at once: what they wait for may have ended."""
        for lane in self:
            lane.dispatcher.retry_now(now)

    def raise_troubles(self, *, outage_is_told: bool) -> None:
        """Raise what stops all files of the folder, or of folders in it, and clear what is over."""
        first, *others = (lane.dispatcher for lane in self)
        first.raise_troubles(outage_is_told=outage_is_told, beside=others)

    def snapshot(self) -> WorkSnapshot:
        """Return how work stands now: each file counts once, each answer by itself.

        What waits for a bundle whose workers all fail is pending, and nothing that is waited for.
        """
        snapshots = [lane.dispatcher.snapshot() for lane in self]
        if len(snapshots) == 1:
            return snapshots[0]
        repeated: dict[str, bool] = {}
        for lane in self:
            for file in lane.dispatcher.files():
                if not file.recheck:
                    repeated[file.path] = repeated.get(file.path, True) and file.answered
        awaited = [work for lane, work in zip(self, snapshots, strict=True) if lane.workers.failures < TRIES]
        failures = [work.fewest_failures for work in awaited if work.fewest_failures is not None]
        last: Last | None = None
        waiting = []
        for lane, work in zip(self, snapshots, strict=True):
            said = f"{lane.slot}: " if lane.slot else ""
            waiting += [replace(file, words=said + file.words) for file in work.waiting]
            if work.last and (last is None or work.last.at > last.at):
                last = replace(work.last, words=said + work.last.words)
        return WorkSnapshot(
            pending=len(repeated),
            repeated=sum(repeated.values()),
            assigned=sum(work.assigned for work in snapshots),
            fewest_failures=min(failures, default=None),
            waiting=waiting[:WAITING_SHOWN],
            awaits_model=any(work.awaits_model for work in awaited),
            other_models="; ".join(filter(None, (work.other_models for work in snapshots))),
            changes=sum(work.changes for work in snapshots),
            last=last,
            answers=sum(work.answers for work in snapshots),
            judged=sum(work.judged for work in snapshots),
            errors=sum(work.errors for work in snapshots),
        )
