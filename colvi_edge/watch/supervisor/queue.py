"""The queue of raw files: which is worked on next, and which waits for what; no clock, file or process.

    offer ──▶ waiting ──assign──▶ assigned ──▶ done     final; an early one is checked after its quiet time
                 ▲                  │ ├──▶ dropped      it changed: the scanner will offer it again
                 └──── backoff ◀────┘ └──▶ suspect      the worker died: next time it is assigned alone

Times are seconds of one monotonic clock, which the caller reads.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import islice

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady
from colvi_edge.watch.supervisor.backoff import backoff_s
from colvi_edge.watch.timings import Timings
from colvi_edge.watch.words import BARRED_TOLD, FOLDER_WIDE, NOT_WRITABLE, Trouble

OUTSTANDING = 2  # so that the next file is read while this one is judged
OUTAGES: tuple[Trouble, ...] = ("share away", "stuck")
"""Those of `FOLDER_WIDE` that end when the scanner sees the folder again."""
_ENDED_BY_WRITING: tuple[Trouble, ...] = ("disk full", "read-only")


class Priority(IntEnum):
    """Which of the files that are due goes first."""

    NEW = 0
    """An event announced it a moment ago, so that somebody may be waiting for it."""
    FOUND = 1
    """Found by a scan, or tried once more."""
    SUSPECT = 2
    """Was in a worker that died; assigned alone, so that it is known which file ends the next one."""
    RECHECK = 3
    """Has its result; its content is looked at once more, whether it was at rest."""


@dataclass(slots=True)
class QueuedFile:
    """A raw file of the queue.

    Attributes:
        path, signature, closed_at, early, quiet_s: as in `FileReady`.
        attempts: on this state of the file, without an answer.
        force: results that it is judged in spite of.
        recheck: it has its result, and is only looked at once more.
        quarantine_message: what its error record says; "" unless it must not be read again.
        failures: answers in a row that it has to wait.
        kind, words: why, of the last of them.
        due: when its turn comes.
        number: under which it was assigned; 0 while it waits.
        alone: it was assigned as a suspect.
        newer: what the scanner announced of it since it was assigned.
        heard: the scanner heard it being closed, and announced it at once.
        answered: the ledger counts an earlier final answer of it until this one comes.
    """

    path: str
    signature: Signature
    closed_at: float
    early: bool
    quiet_s: float
    attempts: int = 0
    force: Replace = Replace.OWN
    recheck: bool = False
    quarantine_message: str = ""
    failures: int = 0
    kind: str = ""
    words: str = ""
    due: float = 0.0
    number: int = 0
    alone: bool = False
    newer: FileReady | None = None
    heard: bool = False
    answered: bool = False

    @classmethod
    def of(cls, ready: FileReady) -> "QueuedFile":
        """Return what a scanner announced, as a file that waits."""
        file = cls(ready.path, ready.signature, ready.closed_at, ready.early, ready.quiet_s)
        file.heard = ready.early
        return file

    @property
    def priority(self) -> Priority:
        """Its class among those that are due."""
        if self.attempts:
            return Priority.SUSPECT
        if self.recheck:
            return Priority.RECHECK
        return Priority.NEW if self.early and not self.failures else Priority.FOUND

    def is_last_try(self, now: float, incomplete_s: float) -> bool:
        """Return whether an incomplete file has been waited for long enough."""
        return self.kind == "incomplete" and now - self.closed_at >= incomplete_s


@dataclass(frozen=True)
class FolderTrouble:
    """What stops every file of the folder, in the words of the file that met it first."""

    name: Trouble
    words: str


class WorkQueue:
    """The files that wait, and those that are assigned to the worker.

    Attributes:
        assigned: files that the worker was given and has not answered, by number.
    """

    def __init__(self, timings: Timings) -> None:
        """Begin with nothing."""
        self._timings = timings
        self.assigned: dict[int, QueuedFile] = {}
        self._files: dict[str, QueuedFile] = {}
        self._queues: dict[Priority, list[tuple[float, int, QueuedFile]]] = {
            priority: [] for priority in Priority
        }
        self._tickets = 0  # number of a file, and the order of files that are due at once
        self._troubled: dict[str, Trouble] = {}  # what stops the folder, by path, first come first
        self._barred: dict[
            str, dict[str, None]
        ] = {}  # folders, and the paths that wait for each, first first
        self._probe_at = 0.0
        self._probes = 0

    def __iter__(self) -> Iterator[QueuedFile]:
        """Yield every file, waiting or assigned."""
        return iter(self._files.values())

    @property
    def pending(self) -> int:
        """How many files have no final answer yet."""
        return sum(not file.recheck for file in self)

    @property
    def repeated(self) -> int:
        """How many of the pending files have an earlier answer, which is counted as long as it stands."""
        return sum(file.answered and not file.recheck for file in self)

    @property
    def fewest_failures(self) -> int | None:
        """The fewest failures of a file that waits for no other one's try; None if there is no such file."""
        fewest: int | None = None
        for file in self:
            if (fewest is None or file.failures < fewest) and not self._is_parked(file):
                fewest = file.failures
            if fewest == 0:
                break
        return fewest

    @property
    def trouble(self) -> FolderTrouble | None:
        """What stops every file of the folder; None while nothing does."""
        first = next(iter(self._troubled.items()), None)
        return FolderTrouble(first[1], self._files[first[0]].words) if first else None

    @property
    def barred(self) -> list[str]:
        """Folders that files wait for because they cannot be written to, `BARRED_TOLD` at most."""
        return list(islice(self._barred, BARRED_TOLD))

    def wake_at(self, now: float) -> float | None:
        """Return when the next of those that wait for their time will be due; None if none does."""
        tops = (self._top(priority) for priority in Priority)
        times = [self._probe_at] if self._troubled else [top.due for top in tops if top]
        # Of what is due already, an answer of the worker decides.
        return min((time for time in times if time > now), default=None)

    # --- what comes in

    def offer(
        self,
        ready: FileReady,
        now: float,
        *,
        attempts: int = 0,
        force: Replace = Replace.OWN,
        quarantine_message: str = "",
        answered: bool = False,
    ) -> None:
        """Take a file that is ready; one that is known in this very state is left where it is.

        Args:
            ready: what the scanner said.
            now: when it is due.
            attempts: on this state of it, without an answer, that the ledger knows of.
            force: results that it is judged in spite of.
            quarantine_message: what its error record says; "" unless it must not be read.
            answered: the ledger counts a final answer of it.
        """
        known = self._files.get(ready.path)
        if known and known.number:
            known.newer = ready if known.signature != ready.signature else None
        elif not known or known.signature != ready.signature or force is not Replace.OWN:
            self._troubled.pop(ready.path, None)
            file = replace(QueuedFile.of(ready), attempts=attempts, force=force, due=now)
            file.quarantine_message, file.answered = quarantine_message, answered
            self._wait(file)

    def recheck(self, ready: FileReady, *, attempts: int = 0) -> None:
        """Take a file that has its result; its content is looked at once more after the quiet time."""
        due = ready.closed_at + ready.quiet_s
        self._wait(replace(QueuedFile.of(ready), attempts=attempts, recheck=True, due=due))

    # --- what goes out

    def assign(self, now: float) -> QueuedFile | None:
        """Assign the file whose turn it is, and return it; None if none may be assigned now."""
        assigned = self.assigned.values()
        if len(assigned) >= OUTSTANDING or any(file.alone for file in assigned):
            return None
        if self._troubled:
            may_try = not assigned and self._probe_at <= now
            file = self._files[next(iter(self._troubled))] if may_try else None
        else:
            file = next(filter(None, (self._first_due(priority, now) for priority in Priority)), None)
        if file is None or (file.attempts and assigned):
            return None
        file.alone = file.attempts > 0
        file.early = file.early and now < file.closed_at + file.quiet_s
        self._tickets += 1
        file.number = self._tickets
        self.assigned[file.number] = file
        return file

    # --- what comes back

    def done(self, file: QueuedFile, now: float, *, wrote: bool) -> None:
        """Take a final answer; `wrote` says that something was written for it, so that no disk is full."""
        file.answered = True
        self._answered(file, now, wrote=wrote)
        self._unbar(file, now, wrote=wrote)
        recheck = replace(file, recheck=True, attempts=0, force=Replace.OWN, failures=0, kind="")
        recheck.due = file.closed_at + file.quiet_s
        self._take_back(file, now, recheck if file.early and not file.recheck else None)

    def drop(self, file: QueuedFile, now: float) -> None:
        """Forget a file that is not any more what was assigned."""
        self._answered(file, now, wrote=False)
        self._unbar(file, now, wrote=False)
        self._take_back(file, now, None)

    def retry_later(self, file: QueuedFile, now: float, kind: str, words: str, *, attempts: int = 0) -> None:
        """Take the answer that a file has to wait; `attempts` remain without an answer."""
        failures = file.failures + 1
        due = now + backoff_s(failures, self._timings.longest_backoff_s)
        trouble = next((name for name in FOLDER_WIDE if name == kind), None)
        if trouble:  # while one lasts, a single file at a time tries whether it has ended
            self._troubled[file.path] = trouble
            self._probes += 1
            self._probe_at = now + backoff_s(self._probes, self._timings.longest_backoff_s)
        else:
            self._answered(file, now, wrote=False)
        if kind == NOT_WRITABLE:
            self._barred.setdefault(_folder(file), {})[file.path] = None
        else:
            self._unbar(file, now, wrote=False)
        self._take_back(
            file, now, replace(file, due=due, attempts=attempts, failures=failures, kind=kind, words=words)
        )

    def requeue_alone(self, file: QueuedFile, now: float) -> None:
        """Take back a file whose worker died with it: it will be assigned alone."""
        self._take_back(file, now, replace(file, due=now))

    def quarantine(self, file: QueuedFile, now: float, message: str) -> None:
        """Take back a file that must not be read again: it will be assigned for its error record only."""
        waiting = replace(file, due=now, attempts=0, early=False, recheck=False)
        waiting.quarantine_message, waiting.answered = message, True
        self._take_back(file, now, waiting)

    def retry_now(self, now: float) -> None:
        """Let all that back off try at once: what they wait for may have ended."""
        self._troubled = {path: name for path, name in self._troubled.items() if name not in OUTAGES}
        self._probe_at, self._probes = now, 0
        for file in list(self):
            if file.failures and not file.number:
                self._wait(replace(file, due=now))

    # --- inside

    def _is_parked(self, file: QueuedFile) -> bool:
        """Return whether a file waits until another one could be written into its folder."""
        waiting = self._barred.get(_folder(file))
        return waiting is not None and file.path != next(iter(waiting))

    def _top(self, priority: Priority) -> QueuedFile | None:
        queue = self._queues[priority]
        while queue and (self._files.get(queue[0][2].path) is not queue[0][2] or queue[0][2].number):
            heapq.heappop(queue)
        return queue[0][2] if queue else None

    def _first_due(self, priority: Priority, now: float) -> QueuedFile | None:
        """Return the first of a priority that is due; what waits for another's try is parked."""
        while (top := self._top(priority)) and top.due <= now:
            if not self._is_parked(top):
                return top
            self._barred[_folder(top)][top.path] = None
            heapq.heappop(self._queues[priority])
        return None

    def _unbar(self, file: QueuedFile, now: float, *, wrote: bool) -> None:
        """Let all that waits for a folder go on if something was written there, else the next of them try."""
        waiting = self._barred.get(_folder(file), {})
        tried = next(iter(waiting), None) == file.path
        waiting.pop(file.path, None)
        released = list(waiting) if wrote else list(waiting)[:tried]
        if wrote or not waiting:
            self._barred.pop(_folder(file), None)
        for path in released:
            if not self._files[path].number:
                self._wait(replace(self._files[path], due=now))

    def _wait(self, file: QueuedFile) -> None:
        """Put a file into its queue; what was queued for that path before is passed over there."""
        self._files[file.path] = file
        self._tickets += 1
        heapq.heappush(self._queues[file.priority], (file.due, self._tickets, file))

    def _take_back(self, file: QueuedFile, now: float, waiting: QueuedFile | None) -> None:
        """End that a file is assigned; what the scanner announced since goes before `waiting`."""
        del self.assigned[file.number], self._files[file.path]
        if file.newer:
            self.offer(file.newer, now, answered=file.answered)
        elif waiting:
            self._wait(replace(waiting, number=0, alone=False))

    def _answered(self, file: QueuedFile, now: float, *, wrote: bool) -> None:
        """Let all go on if an answer shows that the trouble has ended, else the next of them try."""
        trouble = self._troubled.pop(file.path, None)
        if wrote or (trouble and trouble not in _ENDED_BY_WRITING):
            released, self._troubled, self._probes = self._troubled, {}, 0
            for path in released:
                self._wait(replace(self._files[path], due=now))
        elif trouble:
            self._probe_at = now


def _folder(file: QueuedFile) -> str:
    return file.path.rpartition("/")[0]
