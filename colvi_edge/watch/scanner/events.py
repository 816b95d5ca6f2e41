"""File events of a local disk, by watchdog: they make a file's diagnosis quick; the scan is the truth."""

import errno
import logging
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
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.timings import Timings

# No Opened or Modified: with them one overflow of the kernel's queue made watchdog 7.1 rebuild its watches
# for ever on 6,000 folders, without them on 18,000.
_KINDS: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileMovedEvent]


class FileEvent(NamedTuple):
    """An event of a raw file.

    Attributes:
        path: relative to the root.
        closed: it was closed, renamed or marked, and may be finished; else it only appeared.
        at: when, by the monotonic clock.
    """

    path: str
    closed: bool
    at: float


class EventStream(FileSystemEventHandler):
    """One life of a watchdog observer; it starts and stops in threads, as a large tree takes seconds.

    Attributes:
        events: of raw files, in their order; the reader takes them from the left.
        count: of all events, also those of files that do not matter.
        overflows: times at which the kernel's queue overflowed; the reader takes them from the left.
        started: all folders are watched, or it failed.
        start_limit: time after which nobody should wait for that any longer.
        failure: why it could not start; "" if it did.
    """

    def __init__(
        self, root: PinnedFolder, marker: str | None, timings: Timings, wake: Callable[[], None]
    ) -> None:
        """Begin to start.

        Args:
            root: the watched folder.
            marker: suffix of the file that says that a raw file is finished; None if there are none.
            timings: how long to wait for the start.
            wake: called from another thread whenever there is something new.
        """
        self.events: deque[FileEvent] = deque()
        self.count = 0
        self.overflows: deque[float] = deque()
        self.started = False
        self.start_limit = time.monotonic() + timings.events_start_s
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
        """Queue an event of a raw file; called in watchdog's thread."""
        at = time.monotonic()
        self.count += 1
        path = os.fsdecode(event.dest_path if isinstance(event, FileMovedEvent) else event.src_path)
        path = path[len(self._folder.rstrip("/")) + 1 :]
        name = path.rpartition("/")[2]
        if is_raw_name(name):
            self._queue(FileEvent(path, not isinstance(event, FileCreatedEvent), at))
        elif self._marker and is_raw_name(name.removesuffix(self._marker)):
            self._queue(FileEvent(path.removesuffix(self._marker), True, at))

    def _queue(self, event: FileEvent) -> None:
        self.events.append(event)
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


class _OverflowLog(logging.Handler):
    """Notices overflows: watchdog 7 tells of them nowhere but in its log, and watchdog 6 not even there."""

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
