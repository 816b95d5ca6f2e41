"""The publisher, which keeps the report's page: asked for one when there are results, and never waited for.

The page is worth less than a diagnosis: its process is the least urgent of the machine, works a tenth of the
time at most, and whatever befalls it is raised as a condition, no more.
"""

from collections.abc import Callable, Iterator

from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import Publish, Published
from colvi_edge.watch.supervisor.children.kept import KeptProcess
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.timings import Timings

REST = 10.0  # as many times as long as the page took
MEMORY_LIMIT_BYTES = 2 << 30


class PublisherKeeper:
    """Keeps one publisher, if a page is wanted.

    Attributes:
        is_behind: there are results that the page does not show and soon will.
    """

    def __init__(self, start: Callable[[], Child] | None, conditions: Conditions, timings: Timings) -> None:
        """Prepare to start publishers.

        Args:
            start: starts one; None if no page is wanted.
            conditions: where it is raised what goes wrong.
            timings: how long it may take, and how long to wait between two pages.
        """
        self.is_behind = False
        self._process = KeptProcess(start, timings.longest_backoff_s) if start else None
        self._conditions = conditions
        self._timings = timings
        self._answers = -1  # that the last page was asked for with; the first page comes without any
        self._asked_at: float | None = None
        self._written_at = self._rest_until = 0.0

    def __iter__(self) -> Iterator[Child]:
        """Yield the publisher, if one runs."""
        yield from self._process or ()

    def tick(self, answers: int, mount: Mount | None, now: float, results_mount: Mount | None = None) -> None:
        """Ask for a page if it is time, and end a publisher that takes too much.

        Args:
            answers: how many results there have been.
            mount: of the root; None while it is not there or does not answer.
            now: of the monotonic clock.
            results_mount: of the folder of the results, where that is another one.
        """
        process = self._process
        if process is None:
            return
        self._limit(process, now)
        is_old = now - self._written_at > self._timings.publisher_refresh_s
        news = answers != self._answers or is_old
        possible = mount is not None and not process.failures
        self.is_behind = self._asked_at is not None or (news and possible)
        is_due = now >= self._rest_until and process.is_due(now)
        if news and mount and self._asked_at is None and is_due:
            self._ask(process, Publish(mount, results_mount), answers, now)

    def publish_now(self) -> None:
        """Have the next page written without a pause."""
        self._rest_until = 0.0

    def said(self, message: Published, now: float) -> None:
        """Take what became of the page that was asked for."""
        process = self._process
        assert process is not None  # noqa: S101 # it was asked
        if message.why:
            self._fail(process, message.why, now, of_files=True)
            return
        self._asked_at = None
        process.failures = 0
        self._written_at = now
        self._rest_until = now + max(self._timings.publisher_pause_s, REST * message.seconds)
        self._conditions.clear("report")

    def ended(self, now: float) -> None:
        """Take note that the publisher ended."""
        process = self._process
        assert process is not None  # noqa: S101 # it did not end otherwise
        child = process.release()
        assert child is not None  # noqa: S101
        self._fail(process, f"the publisher ended: {child.end}", now)

    def _ask(self, process: KeptProcess[[]], message: Publish, answers: int, now: float) -> None:
        if process.child is None and (why := process.start()):
            self._fail(process, f"no publisher can be started: {why}", now)
            return
        if process.child and not process.child.is_killed:
            self._answers, self._asked_at = answers, now
            process.child.send(message)

    def _limit(self, process: KeptProcess[[]], now: float) -> None:
        child = process.child
        if child is None or self._asked_at is None or child.is_killed:
            return
        since = max(self._asked_at, child.heard_at)  # it was heard, too, after this process stood still
        if not child.kill_if_late(since, process.patience_s(self._timings.publisher_limit_s), now):
            child.kill_if_large(MEMORY_LIMIT_BYTES)

    def _fail(self, process: KeptProcess[[]], why: str, now: float, *, of_files: bool = False) -> None:
        process.failed(now)
        self._rest_until = 0.0  # the pause after a failure is another
        self._asked_at, self._answers = None, -1  # so that the next page shows what this one should have
        self._conditions.raise_("report", "degraded", f"the report is not written: {why}", of_files=of_files)
