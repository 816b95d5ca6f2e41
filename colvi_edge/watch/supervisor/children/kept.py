"""A process that is kept: started when it is due, and after a failure another one, later."""

from collections.abc import Callable, Iterator
from typing import Generic, ParamSpec

from colvi_edge.watch.supervisor.backoff import backoff_s, patience_s
from colvi_edge.watch.supervisor.children.process import Child

Arguments = ParamSpec("Arguments")


class KeptProcess(Generic[Arguments]):
    """The process that runs in a role, and what befell those before it.

    Attributes:
        child: the process; None while none runs.
        failures: in a row, which the owner counts and ends.
    """

    def __init__(self, start: Callable[Arguments, Child], longest_backoff_s: float) -> None:
        """Prepare to start processes.

        Args:
            start: starts one.
            longest_backoff_s: to which the pauses after failures grow.
        """
        self.child: Child | None = None
        self.failures = 0
        self._start = start
        self._longest_backoff_s = longest_backoff_s
        self._due_at = 0.0

    def __iter__(self) -> Iterator[Child]:
        """Yield the process, if one runs."""
        if self.child:
            yield self.child

    def is_due(self, now: float) -> bool:
        """Return whether the pause after the last failure is over."""
        return now >= self._due_at

    def start(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        """Start a process; return why none can be started, in words, or ""."""
        try:
            self.child = self._start(*args, **kwargs)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def failed(self, now: float) -> None:
        """Count a failure; what is to be done next waits, the longer, the more there were in a row."""
        self.failures += 1
        self._due_at = now + backoff_s(self.failures, self._longest_backoff_s)

    def release(self) -> Child | None:
        """Return the process that ran, which is kept no more: it ended, or is another's to end."""
        child, self.child = self.child, None
        return child

    def patience_s(self, limit_s: float) -> float:
        """Return a time limit for this process, which is longer after failures: see `backoff.patience_s`."""
        return patience_s(limit_s, self.failures)
