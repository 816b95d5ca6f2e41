"""Whether file events can be relied on.

watchdog's threads look alive in every state in which they deliver nothing: after an unmount, in folders that
the kernel refused to watch, after a lost queue. So their state is not asked for: files that a scan finds and
no event announced are counted, and the event stream is started again, or rests.
"""

import math
from collections import deque

from colvi_edge.watch.timings import Timings

_MANY_OVERFLOWS = 3


class EventHealth:
    """Whether to listen to events, and what is wrong with them. Pure logic; times as in `Settling`.

    Attributes:
        listens: an event stream should be open.
        fault: what is wrong with the events, in words; "" while nothing is known to be. Else scans must do
            their work.
    """

    def __init__(self, timings: Timings) -> None:
        """Begin without a fault.

        Args:
            timings: how long to rest after a failure.
        """
        self.listens = True
        self.fault = ""
        self._timings = timings
        self._overflows: deque[float] = deque(maxlen=_MANY_OVERFLOWS)
        self._rest_s = timings.events_rest_s
        self._until = math.inf  # end of the rest, or of the fault
        self._restart_at = -math.inf

    def overflowed(self, at: float) -> None:
        """Note an overflow of the kernel's queue. Many in a row may be watchdog's own endless loop."""
        self._overflows.append(at)
        within_s = self._timings.overflows_within_s
        if len(self._overflows) == _MANY_OVERFLOWS and at - self._overflows[0] <= within_s:
            self._overflows.clear()
            self.failed(at, "file events overflow the kernel's queue; raise fs.inotify.max_queued_events")

    def failed(self, at: float, fault: str) -> None:
        """Note that events cannot be had for now, and rest."""
        self.listens, self.fault = False, fault
        self._until = at + self._lengthened_rest()

    def missed(self, at: float) -> bool:
        """Note a file that a scan found and no event announced; return whether to restart the stream."""
        self.fault = "not all files are announced by events; raise fs.inotify.max_user_watches, or use --poll"
        restart = at >= self._restart_at
        if restart:
            self._restart_at = at + self._lengthened_rest()
        self._until = at + self._rest_s
        return restart

    def review(self, at: float) -> None:
        """Listen again after a rest; forget a fault after as long a time without another one."""
        if at < self._until:
            return
        if self.listens:
            self.fault, self._until, self._rest_s = "", math.inf, self._timings.events_rest_s
        else:
            self.listens, self._until = True, at + self._timings.events_rest_s

    def _lengthened_rest(self) -> float:
        rest_s, self._rest_s = self._rest_s, min(2 * self._rest_s, self._timings.longest_events_rest_s)
        return rest_s
