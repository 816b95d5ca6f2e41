"""The report's page: written again when there are results, by a child that never holds anything up.

The page is worth less than a diagnosis: its child is the least urgent process of the machine, works a tenth
of the time at most, and whatever befalls it is told, no more.
"""

from collections.abc import Callable, Iterator

from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import Publish, Published
from colvi_edge.watch.supervisor.backoff import backoff_s, patience_s
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions

PAUSE_S = 3.0  # between two pages, at least
REST = 10.0  # as many times as long as the page took
AT_LEAST_EVERY_S = 600.0  # also without news: a page that was not written for longer says so itself
LIMIT_S = 120.0  # for one page, more after each failure; each new picture takes 40 ms
MEMORY_LIMIT_BYTES = 2 << 30


class Publishing:
    """Keeps one publisher at work, if there is a page to be kept.

    Attributes:
        is_behind: there are results that the page does not show and soon will.
    """

    def __init__(self, start: Callable[[], Child] | None, conditions: Conditions) -> None:
        """Prepare to start publishers.

        Args:
            start: starts one; None if no page is wanted.
            conditions: where it is raised what goes wrong.
        """
        self.is_behind = False
        self._start = start
        self._conditions = conditions
        self._child: Child | None = None
        self._answers = -1  # that the last page was asked for with; the first page comes without any
        self._asked_at: float | None = None
        self._written_at = self._due_at = 0.0
        self._failures = 0

    def __iter__(self) -> Iterator[Child]:
        """Yield the publisher, if one runs."""
        if self._child:
            yield self._child

    def tick(self, answers: int, mount: Mount | None, now: float, results_mount: Mount | None = None) -> None:
        """Ask for a page if it is time, and end a publisher that takes too much.

        Args:
            answers: how many results there have been.
            mount: of the root; None while it is not there or does not answer.
            now: of the monotonic clock.
            results_mount: of the folder of the results, where that is another one.
        """
        if self._start is None:
            return
        if self._child and self._asked_at is not None:
            self._limit(self._child, self._asked_at, now)
        old = now - self._written_at > AT_LEAST_EVERY_S
        news = answers != self._answers or old
        possible = mount is not None and not self._failures
        self.is_behind = self._asked_at is not None or (news and possible)
        if news and mount and self._asked_at is None and now >= self._due_at:
            self._ask(Publish(mount, results_mount), answers, now)

    def hurry(self) -> None:
        """Let the next page come without a pause."""
        if not self._failures:
            self._due_at = 0.0

    def said(self, message: Published, now: float) -> None:
        """Take what became of the page that was asked for."""
        if message.why:
            self._fail(message.why, now, of_files=True)
            return
        self._asked_at = None
        self._failures = 0
        self._written_at = now
        self._due_at = now + max(PAUSE_S, REST * message.seconds)
        self._conditions.clear("report")

    def ended(self, now: float) -> None:
        """Take note that the publisher ended."""
        assert self._child is not None  # noqa: S101 # it did not end otherwise
        end, self._child = self._child.end, None
        self._fail(f"the publisher ended: {end}", now)

    def _ask(self, message: Publish, answers: int, now: float) -> None:
        if self._child is None:
            try:
                self._child = self._start() if self._start else None
            except OSError as error:
                self._fail(f"no publisher can be started: {error.strerror}", now)
        if self._child and not self._child.is_killed:
            self._answers, self._asked_at = answers, now
            self._child.send(message)

    def _limit(self, child: Child, asked_at: float, now: float) -> None:
        if child.is_killed:
            return
        limit_s = patience_s(LIMIT_S, self._failures)
        if now - max(asked_at, child.heard_at) > limit_s:  # it was heard, too, after this process stood still
            child.kill(f"the time limit of {limit_s:g} s ran out")
        elif child.resident_bytes() > MEMORY_LIMIT_BYTES:
            child.kill(f"the memory limit of {MEMORY_LIMIT_BYTES >> 30} GiB was passed")

    def _fail(self, why: str, now: float, *, of_files: bool = False) -> None:
        self._asked_at = None
        self._answers = -1
        self._failures += 1
        self._due_at = now + backoff_s(self._failures)
        self._conditions.raise_("report", "degraded", f"the report is not written: {why}", of_files=of_files)
