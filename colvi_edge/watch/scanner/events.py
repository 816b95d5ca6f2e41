"""File events of a local disk: hints that make a file's diagnosis quick, and how far they can be trusted.

watchdog's threads look alive in every state in which it is deaf: after an unmount, in folders that the
kernel refused to watch, after a lost queue. So nothing is asked of them: files that a scan finds and no
event announced are counted, and the observer begins anew, or rests.
"""

import errno
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from colvi_edge.raw_files import is_raw_name
from colvi_edge.watch.folder.pinned import PinnedRoot

# No Opened or Modified: with them one overflow of the kernel's queue made watchdog 7.1 rebuild its watches
# for ever on 6,000 folders, without them on 18,000.
_KINDS: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileMovedEvent]

_PATIENCE_S = 30.0
_MANY_OVERFLOWS = 3
_WITHIN_S = 10.0
_REST_S = 60.0
_LONGEST_REST_S = 3600.0


class Hint(NamedTuple):
    """An event of a raw file.

    Attributes:
        path: relative to the root.
        closed: it was closed, renamed or marked, and may be finished; else it only appeared.
        at: when, by the monotonic clock.
    """

    path: str
    closed: bool
    at: float


class Observation(FileSystemEventHandler):
    """One life of a watchdog observer; it starts and stops in threads, as a large tree takes seconds.

    Attributes:
        hints: in the order of events; the reader takes them from the left.
        count: of all events, also those of files that do not matter.
        overflows: times at which the kernel's queue overflowed; the reader takes them too.
        started: all folders have been walked.
        patience: time after which nobody should wait for that any longer.
        failure: why it could not start; "" if it did.
    """

    def __init__(self, root: PinnedRoot, marker: str | None, wake: Callable[[], None]) -> None:
        """Begin to start.

        Args:
            root: the watched folder.
            marker: suffix of the file that says that a raw file is finished; None if there are none.
            wake: called from another thread whenever there is something new.
        """
        self.hints: deque[Hint] = deque()
        self.count = 0
        self.overflows: deque[float] = deque()
        self.started = False
        self.patience = time.monotonic() + _PATIENCE_S
        self.failure = ""
        # Where it really is: watchdog would watch a link instead of the folder that it leads to.
        self._folder = root.real_path()
        self._marker = marker
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._log = _OverflowLog(self._overflowed)
        self._changing = threading.Lock()
        threading.Thread(target=self._start, daemon=True).start()

    def stop(self) -> None:
        """Begin to stop."""
        threading.Thread(target=self._stop, daemon=True).start()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take an event, in watchdog's thread."""
        at = time.monotonic()
        self.count += 1
        path = os.fsdecode(event.dest_path if isinstance(event, FileMovedEvent) else event.src_path)
        path = path[len(self._folder.rstrip("/")) + 1 :]
        name = path.rpartition("/")[2]
        if is_raw_name(name):
            self._hint(Hint(path, not isinstance(event, FileCreatedEvent), at))
        elif self._marker and is_raw_name(name.removesuffix(self._marker)):
            self._hint(Hint(path.removesuffix(self._marker), True, at))

    def _hint(self, hint: Hint) -> None:
        self.hints.append(hint)
        self._wake()

    def _overflowed(self) -> None:
        self.overflows.append(time.monotonic())
        self._wake()

    def _start(self) -> None:
        failure = "no file events: watchdog does not start"
        try:
            with self._changing:
                self._observer = Observer()
                self._observer.schedule(self, self._folder, recursive=True, event_filter=_KINDS)
                self._observer.start()
            failure = ""
        except OSError as error:
            failure = _explained(error)
        finally:  # whatever it was, scans must not wait for it
            self.failure, self.started = failure, True
            self._wake()

    def _stop(self) -> None:
        with self._changing:
            self._log.end()
            if self._observer:
                self._observer.stop()


class Trust:
    """Whether to listen to events, and what is wrong with them. Pure logic; times as in `Settling`.

    Attributes:
        listen: an observer should be at work.
        why: what is wrong with the events, in words; "" while nothing is known to be. Else the scan must
            do their work.
    """

    def __init__(self) -> None:
        """Begin with trust."""
        self.listen = True
        self.why = ""
        self._overflows: deque[float] = deque(maxlen=_MANY_OVERFLOWS)
        self._rest_s = _REST_S
        self._until = math.inf  # end of the rest, or of the doubt
        self._renew_at = -math.inf

    def overflowed(self, at: float) -> None:
        """Take an overflow of the kernel's queue. Many in a row may be watchdog's own endless loop."""
        self._overflows.append(at)
        if len(self._overflows) == _MANY_OVERFLOWS and at - self._overflows[0] <= _WITHIN_S:
            self._overflows.clear()
            self.failed(at, "file events overflow the kernel's queue; raise fs.inotify.max_queued_events")

    def failed(self, at: float, why: str) -> None:
        """Take that there is no use in listening for now."""
        self.listen, self.why = False, why
        self._until = at + self._lengthened_rest()

    def missed(self, at: float) -> bool:
        """Take that a scan found what no event announced; return whether a new observer may help."""
        self.why = "not all files are announced by events; raise fs.inotify.max_user_watches, or use --poll"
        renew = at >= self._renew_at
        if renew:
            self._renew_at = at + self._lengthened_rest()
        self._until = at + self._rest_s
        return renew

    def reconsider(self, at: float) -> None:
        """Listen again after a rest, and trust again after a while of listening without a fault."""
        if at < self._until:
            return
        if self.listen:
            self.why, self._until, self._rest_s = "", math.inf, _REST_S
        else:
            self.listen, self._until = True, at + _REST_S

    def _lengthened_rest(self) -> float:
        rest_s, self._rest_s = self._rest_s, min(2 * self._rest_s, _LONGEST_REST_S)
        return rest_s


class _OverflowLog(logging.Handler):
    """watchdog 7 tells of an overflow nowhere but in its log, and watchdog 6 not even there."""

    _LOGGER = logging.getLogger("watchdog.observers.inotify_c")

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._overflowed = overflowed
        self._LOGGER.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if "overflowed" in record.getMessage():
            self._overflowed()

    def end(self) -> None:
        self._LOGGER.removeHandler(self)


def _explained(error: OSError) -> str:
    limit = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(error.errno or 0)
    words = f"no file events: {error.strerror}"
    return f"{words}; raise fs.inotify.{limit}" if limit else words
