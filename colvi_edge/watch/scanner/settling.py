"""Raw files that are not known to be finished: looked at until they are the same twice or more. No clock.

    close or rename event ──▶ two looks 20 ms apart, the same ─────────────────────▶ ready, early
                                     │ not the same, empty, or just taken early
                                     ▼
    created, found by a scan ──▶ looks over the quiet time, all the same ──────────▶ ready

On a local disk a file is quiet for 2 s after a close or rename, 5 s otherwise; on a share, whose writers
send no events, 10 s. A program that holds the file against readers, or any change, starts the time again.
A marker file ("X.tif.done") stands for the close event, on shares too.

A writer that maps memory closes the file before its pixels are there, and nothing tells of them but the
content: what is taken early is therefore checked again by the supervisor.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady
from colvi_edge.watch.timings import Timings


@dataclass
class Candidate:
    """A raw file that is not known to be finished.

    Attributes:
        path: relative to the root.
        since: when its present state was first seen, or when it was closed.
        quiet_s: for which it must stay so.
        early: it is tried by the fast path.
        announced: an event told of it.
        force: it is wanted even if nothing about it changed.
        due: time of the next look.
        signature: its state at the last look; None before the first, and while it is held by its writer.
        looks: how many found this state.
    """

    path: str
    since: float
    quiet_s: float
    early: bool
    announced: bool
    force: bool
    due: float
    signature: Signature | None = None
    looks: int = 0


class Settling:
    """All candidates of a root, and when to look at which of them.

    Times are seconds of one monotonic clock, which the caller reads.
    """

    def __init__(self, timings: Timings, *, share: bool) -> None:
        """Begin with none.

        Args:
            timings: how long files stay unchanged before they count as finished.
            share: the watched folder lies where writers send no events.
        """
        self._looks = 3 if share else 2
        self._quiet_s = timings.quiet_share_s if share else timings.quiet_local_s
        self._closed_s = timings.quiet_share_s if share else timings.quiet_after_close_s
        self._early_s = timings.early_look_s
        self._candidates: dict[str, Candidate] = {}
        # A heap of due times; those that a candidate has outlived are passed over.
        self._agenda: list[tuple[float, str]] = []
        self._taken_early: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._candidates)

    def among(self, known: Container[str]) -> int:
        """Return how many of the candidates are known by their paths."""
        return sum(path in known for path in self._candidates)

    def __contains__(self, path: str) -> bool:
        return path in self._candidates

    def closed(self, path: str, at: float) -> None:
        """Add a file that was closed, renamed or marked: it may be finished."""
        early = self._taken_early.get(path, at) <= at
        if not early:
            self._keep_from_early(path, at + self._closed_s)
        self._add(Candidate(path, at, self._closed_s, early, announced=True, force=True, due=at))

    def created(self, path: str, at: float) -> None:
        """Add a file that appeared, and may go on being written."""
        if candidate := self._candidates.get(path):
            candidate.announced = True
        else:
            self._add(Candidate(path, at, self._quiet_s, False, announced=True, force=True, due=at))

    def found(
        self, path: str, signature: Signature, at: float, *, announced: bool = True, force: bool = False
    ) -> None:
        """Add a file that a scan found in this state, which counts as the first look."""
        if path not in self._candidates:
            candidate = Candidate(path, at, self._quiet_s, False, announced, force, at, signature, looks=1)
            candidate.due = self._next_look(candidate, at)
            self._add(candidate)

    def due(self, now: float) -> Candidate | None:
        """Return a candidate to be looked at now; None if there is none."""
        while self._taken_early and next(iter(self._taken_early.values())) <= now:
            self._taken_early.popitem(last=False)
        while self._agenda:
            at, path = self._agenda[0]
            candidate = self._candidates.get(path)
            if candidate and candidate.due == at:
                return candidate if at <= now else None
            heapq.heappop(self._agenda)
        return None

    def wake_at(self) -> float:
        """Return when the next look is due; infinity if nothing is settling."""
        return self._agenda[0][0] if self._agenda else math.inf

    def looked(self, candidate: Candidate, signature: Signature | None, now: float) -> FileReady | None:
        """Note what a look showed; return the file if that makes it ready.

        Args:
            candidate: from `due`.
            signature: the file's state; None while its writer holds it against readers.
            now: when it was looked at.
        """
        first = candidate.early and candidate.looks == 0 and signature is not None and signature.bytes > 0
        if first:
            candidate.signature, candidate.looks = signature, 1
            candidate.due = now + self._early_s
        elif signature is None or signature != candidate.signature:
            candidate.early, candidate.since = False, now
            candidate.signature, candidate.looks = signature, int(signature is not None)
            candidate.due = self._next_look(candidate, now)
        else:
            candidate.looks += 1
            if candidate.early or candidate.looks >= self._looks:
                return self._ready(candidate, signature)
            candidate.due = self._next_look(candidate, now)
        heapq.heappush(self._agenda, (candidate.due, candidate.path))
        return None

    def drop(self, candidate: Candidate) -> None:
        """Forget a candidate: it is gone, or nothing about it is new."""
        self._candidates.pop(candidate.path, None)

    def _add(self, candidate: Candidate) -> None:
        self._candidates[candidate.path] = candidate
        heapq.heappush(self._agenda, (candidate.due, candidate.path))

    def _keep_from_early(self, path: str, until: float) -> None:
        """Keep a file from the fast path for a while: it may be opened anew for each plane."""
        self._taken_early[path] = until
        self._taken_early.move_to_end(path)

    def _next_look(self, candidate: Candidate, now: float) -> float:
        """Return when to look next: spread over the quiet time, the last one at its end."""
        step_s = candidate.quiet_s / (self._looks - 1)
        steps = min(max(candidate.looks, 1), self._looks - 1)
        return max(candidate.since + steps * step_s, now + self._early_s)

    def _ready(self, candidate: Candidate, signature: Signature) -> FileReady:
        self.drop(candidate)
        if candidate.early:
            self._keep_from_early(candidate.path, candidate.since + candidate.quiet_s)
        return FileReady(candidate.path, signature, candidate.since, candidate.early, candidate.quiet_s)
