"""What is to be worked on next: rules of order, patience and blame, without a clock, file or process.

    offer ──▶ waiting ──next──▶ given ──▶ done       final; an early one is checked after its quiet time
                 ▲                │ ├───▶ dropped    it changed: the scanner will offer it again
                 └──── backoff ◀──┘ └───▶ suspect    the worker died: next time it is given alone

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
from colvi_edge.watch.ipc.words import FOLDER_WIDE, NOT_WRITABLE, Trouble
from colvi_edge.watch.supervisor.backoff import backoff_s

OUTSTANDING = 2  # so that the next file is read while this one is judged
BARRED_TOLD = 20  # of the folders that are closed to the daemon; there may be thousands
INCOMPLETE_S = 3600.0  # how long an incomplete file may stay as it is before it gets its error record
OUTAGES: tuple[Trouble, ...] = ("share away", "stuck")
"""What ends when the folder is seen to be back."""
_ENDED_BY_WRITING: tuple[Trouble, ...] = ("disk full", "read-only")


class Turn(IntEnum):
    """Which of the pieces that are due goes first."""

    NEW = 0
    """An event announced it a moment ago, so that somebody may be waiting for it."""
    FOUND = 1
    """Found by a scan, or tried once more."""
    SUSPECT = 2
    """Was in a worker that died; given alone, so that blame is exact."""
    CHECK = 3
    """Has its result. Was its content really at rest?"""


@dataclass(slots=True)
class Piece:
    """A raw file that is to be worked on.

    Attributes:
        path, signature, closed_at, early, quiet_s: as in `FileReady`.
        attempts: on this state of the file, without an answer.
        anew: results that it is judged in spite of.
        check: it has its result, and is only looked at once more.
        sentence: of its error record, if it must not be read again.
        failures: answers "again" in a row.
        kind, words: of the last of them.
        due: when its turn comes.
        number: under which it was given; 0 while it waits.
        alone: it was given as a suspect.
        newer: what the scanner said of it since it was given.
        heard: the scanner heard it being closed, and took it at once.
        answered: the ledger counts a final answer of it until this one comes.
    """

    path: str
    signature: Signature
    closed_at: float
    early: bool
    quiet_s: float
    attempts: int = 0
    anew: Replace = Replace.OWN
    check: bool = False
    sentence: str = ""
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
    def of(cls, ready: FileReady) -> "Piece":
        """Return what a scanner announced, as a piece that waits."""
        piece = cls(ready.path, ready.signature, ready.closed_at, ready.early, ready.quiet_s)
        piece.heard = ready.early
        return piece

    @property
    def turn(self) -> Turn:
        """Its class among those that are due."""
        if self.attempts:
            return Turn.SUSPECT
        if self.check:
            return Turn.CHECK
        return Turn.NEW if self.early and not self.failures else Turn.FOUND

    def is_last(self, now: float) -> bool:
        """Return whether an incomplete file has been waited for long enough."""
        return self.kind == "incomplete" and now - self.closed_at >= INCOMPLETE_S


class Schedule:
    """The pieces that wait, and those that were given to the worker and have no answer yet.

    Attributes:
        given: the latter, by number.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.given: dict[int, Piece] = {}
        self._pieces: dict[str, Piece] = {}
        self._queues: dict[Turn, list[tuple[float, int, Piece]]] = {turn: [] for turn in Turn}
        self._tickets = 0  # number of a piece, and the order of pieces that are due at once
        self._suffering: dict[str, None] = {}  # paths, first come first
        self._barred: dict[str, dict[str, None]] = {}  # folders, and which paths wait for each, likewise
        self._probe_at = 0.0
        self._probes = 0

    def __iter__(self) -> Iterator[Piece]:
        """Yield every piece, waiting or given."""
        return iter(self._pieces.values())

    @property
    def pending(self) -> int:
        """How many files have no final answer yet."""
        return sum(not piece.check for piece in self)

    @property
    def repeated(self) -> int:
        """How many of them have one that was given before, and is counted as long as it stands."""
        return sum(piece.answered and not piece.check for piece in self)

    @property
    def trouble(self) -> Piece | None:
        """A file that shows what the whole folder suffers from; None while nothing is known to be wrong."""
        return self._pieces[next(iter(self._suffering))] if self._suffering else None

    @property
    def barred(self) -> list[str]:
        """Folders that could not be written to, and what waits for them; a number of them at most."""
        return list(islice(self._barred, BARRED_TOLD))

    def is_parked(self, piece: Piece) -> bool:
        """Return whether a piece waits until another one could be written into its folder."""
        waiting = self._barred.get(_folder(piece))
        return waiting is not None and piece.path != next(iter(waiting))

    def wake_at(self, now: float) -> float | None:
        """Return when the next of those that wait for their time will be due; None if none does."""
        tops = (self._top(turn) for turn in Turn)
        times = [self._probe_at] if self._suffering else [top.due for top in tops if top]
        # Of what is due already, an answer of the worker decides.
        return min((time for time in times if time > now), default=None)

    # --- what comes in

    def offer(
        self,
        ready: FileReady,
        now: float,
        *,
        attempts: int = 0,
        anew: Replace = Replace.OWN,
        sentence: str = "",
        answered: bool = False,
    ) -> None:
        """Take a file that is ready; one that is known in this very state is left where it is.

        Args:
            ready: what the scanner said.
            now: when it is due.
            attempts: on this state of it, without an answer, that the ledger knows of.
            anew: results that it is judged in spite of.
            sentence: of its error record, if it must not be read.
            answered: the ledger counts a final answer of it.
        """
        known = self._pieces.get(ready.path)
        if known and known.number:
            known.newer = ready if known.signature != ready.signature else None
        elif not known or known.signature != ready.signature or anew is not Replace.OWN:
            self._suffering.pop(ready.path, None)
            piece = replace(Piece.of(ready), attempts=attempts, anew=anew, sentence=sentence, due=now)
            piece.answered = answered
            self._wait(piece)

    def check(self, ready: FileReady, *, attempts: int = 0) -> None:
        """Take a file that has its result; its content is looked at once more after the quiet time."""
        due = ready.closed_at + ready.quiet_s
        self._wait(replace(Piece.of(ready), attempts=attempts, check=True, due=due))

    # --- what goes out

    def next(self, now: float) -> Piece | None:
        """Return the piece to be given now, as given; None if none may be."""
        given = self.given.values()
        if len(given) >= OUTSTANDING or any(piece.alone for piece in given):
            return None
        if self._suffering:
            piece = self.trouble if not given and self._probe_at <= now else None
        else:
            piece = next(filter(None, (self._first_due(turn, now) for turn in Turn)), None)
        if piece is None or (piece.attempts and given):
            return None
        piece.alone = piece.attempts > 0
        piece.early = piece.early and now < piece.closed_at + piece.quiet_s
        self._tickets += 1
        piece.number = self._tickets
        self.given[piece.number] = piece
        return piece

    # --- what comes back

    def done(self, piece: Piece, now: float, *, wrote: bool) -> None:
        """Take a final answer; `wrote` says that something was written for it, so that no disk is full."""
        piece.answered = True
        self._answered(piece, now, wrote=wrote)
        self._unbar(piece, now, wrote=wrote)
        check = replace(piece, check=True, attempts=0, anew=Replace.OWN, failures=0, kind="")
        check.due = piece.closed_at + piece.quiet_s
        self._take_back(piece, now, check if piece.early and not piece.check else None)

    def drop(self, piece: Piece, now: float) -> None:
        """Forget a piece that is not any more what was given."""
        self._answered(piece, now, wrote=False)
        self._unbar(piece, now, wrote=False)
        self._take_back(piece, now, None)

    def again(self, piece: Piece, now: float, kind: str, words: str, *, attempts: int = 0) -> None:
        """Take the answer that nothing could be done yet; `attempts` remain without one."""
        failures = piece.failures + 1
        due = now + backoff_s(failures)
        if kind in FOLDER_WIDE:  # while one lasts, a single file at a time tries whether it has ended
            self._suffering[piece.path] = None
            self._probes += 1
            self._probe_at = now + backoff_s(self._probes)
        else:
            self._answered(piece, now, wrote=False)
        if kind == NOT_WRITABLE:
            self._barred.setdefault(_folder(piece), {})[piece.path] = None
        else:
            self._unbar(piece, now, wrote=False)
        self._take_back(
            piece, now, replace(piece, due=due, attempts=attempts, failures=failures, kind=kind, words=words)
        )

    def suspect(self, piece: Piece, now: float) -> None:
        """Take back a piece whose worker died with it: it will be given alone."""
        self._take_back(piece, now, replace(piece, due=now))

    def condemn(self, piece: Piece, now: float, sentence: str) -> None:
        """Take back a piece that must not be read again: it will be given for its error record only."""
        self._take_back(
            piece,
            now,
            replace(piece, due=now, attempts=0, early=False, check=False, sentence=sentence, answered=True),
        )

    def hurry(self, now: float) -> None:
        """Let all that back off try at once: what they wait for may have ended."""
        self._suffering = {path: None for path in self._suffering if self._pieces[path].kind not in OUTAGES}
        self._probe_at, self._probes = now, 0
        for piece in list(self):
            if piece.failures and not piece.number:
                self._wait(replace(piece, due=now))

    # --- inside

    def _top(self, turn: Turn) -> Piece | None:
        queue = self._queues[turn]
        while queue and (self._pieces.get(queue[0][2].path) is not queue[0][2] or queue[0][2].number):
            heapq.heappop(queue)
        return queue[0][2] if queue else None

    def _first_due(self, turn: Turn, now: float) -> Piece | None:
        """Return the first of a class that is due; what waits for another's try is parked."""
        while (top := self._top(turn)) and top.due <= now:
            if not self.is_parked(top):
                return top
            self._barred[_folder(top)][top.path] = None
            heapq.heappop(self._queues[turn])
        return None

    def _unbar(self, piece: Piece, now: float, *, wrote: bool) -> None:
        """Let all that waits for a folder go on if something was written there, else the next of them try."""
        waiting = self._barred.get(_folder(piece), {})
        tried = next(iter(waiting), None) == piece.path
        waiting.pop(piece.path, None)
        released = list(waiting) if wrote else list(waiting)[:tried]
        if wrote or not waiting:
            self._barred.pop(_folder(piece), None)
        for path in released:
            if not self._pieces[path].number:
                self._wait(replace(self._pieces[path], due=now))

    def _wait(self, piece: Piece) -> None:
        """Put a piece into its queue; what was queued for that path before is passed over there."""
        self._pieces[piece.path] = piece
        self._tickets += 1
        heapq.heappush(self._queues[piece.turn], (piece.due, self._tickets, piece))

    def _take_back(self, piece: Piece, now: float, waiting: Piece | None) -> None:
        """End that a piece is given; what the scanner said since goes before what would follow on it."""
        del self.given[piece.number], self._pieces[piece.path]
        if piece.newer:
            self.offer(piece.newer, now, answered=piece.answered)
        elif waiting:
            self._wait(replace(waiting, number=0, alone=False))

    def _answered(self, piece: Piece, now: float, *, wrote: bool) -> None:
        """Let all go on if an answer shows that the trouble has ended, else the next of them try."""
        suffered = piece.path in self._suffering
        self._suffering.pop(piece.path, None)
        if wrote or (suffered and piece.kind not in _ENDED_BY_WRITING):
            released, self._suffering, self._probes = self._suffering, {}, 0
            for path in released:
                self._wait(replace(self._pieces[path], due=now))
        elif suffered:
            self._probe_at = now


def _folder(piece: Piece) -> str:
    return piece.path.rpartition("/")[0]
