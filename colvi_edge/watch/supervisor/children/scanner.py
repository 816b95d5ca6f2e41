"""The scanner's keeper: what the scanner said of the folder, and that the share hangs if it is silent."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from colvi_edge.raw_files import unread_words
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import Degraded, Rescan, RootState, Scanned, Settles
from colvi_edge.watch.supervisor.backoff import MOST_PATIENCE, patience_s
from colvi_edge.watch.supervisor.children.kept import KeptProcess
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.timings import Timings

log = logging.getLogger(LOGGER)


class ScannerKeeper:
    """Keeps one scanner.

    Attributes:
        root: what the scanner that runs said of the folder; None before it has, and while none runs.
        scanned: of its last whole scan, with what settles now; None before the first.
        scanned_at: when that came.
    """

    def __init__(self, start: Callable[[], Child], conditions: Conditions, timings: Timings) -> None:
        """Prepare to start scanners.

        Args:
            start: starts one.
            conditions: where it is raised what goes wrong.
            timings: how long a scanner may be silent.
        """
        self.root: RootState | None = None
        self.scanned: Scanned | None = None
        self.scanned_at = 0.0
        self._process = KeptProcess(start, timings.longest_backoff_s)
        self._conditions = conditions
        self._timings = timings
        self._is_heard = False  # the scanner that runs has sent a message
        self._late = 0  # scanners that had not when their time was up
        self._is_silent = False  # it fell silent, and nothing was reported of the folder since
        self._is_away = False  # what was reported last is that the folder is not there
        self._told: set[str] = set()  # suffixes of formats that are not read

    def __iter__(self) -> Iterator[Child]:
        """Yield the scanner, if one runs."""
        return iter(self._process)

    @property
    def failures(self) -> int:
        """Scanners that ended since the last whole scan, without those that only began too late."""
        return self._process.failures

    @property
    def tells_outage(self) -> bool:
        """Whether it is raised that the folder is not there, or does not answer."""
        return self._is_away or self._is_silent

    def mount(self, now: float) -> Mount | None:
        """Return the folder's mount if it is there and answers; else nothing may be read or written."""
        silent = self._is_silent or self._has_fallen_silent(now)
        return self.root.mount if self.root and self.root.state == "here" and not silent else None

    def tick(self, now: float) -> None:
        """Start and end scanners as it is time."""
        scanner, timings = self._process.child, self._timings
        if scanner is None:
            if self._process.is_due(now):
                self._start(now)
            return
        if self._is_heard:
            scanner.kill_if_silent(timings.scanner_silence_s, now)
        else:
            limit_s = patience_s(timings.scanner_start_s, self._late)
            is_late = scanner.kill_if_late(scanner.heard_at, limit_s, now, "it did not begin")
            is_slow = now - scanner.heard_at > timings.scanner_silent_s
            if is_slow and not is_late and not self._is_silent:
                why = "the scanner is slow to begin; nothing is judged before it has"
                self._conditions.raise_("scanner", "degraded", why)
        if self._has_fallen_silent(now):
            self._is_silent = True
            if not self._is_away:  # else the reason is known and told
                why = "the folder does not answer; nothing is judged before it does"
                self._conditions.raise_("scanner", "stuck", why)

    def heard(self) -> None:
        """Note that the scanner said something, whatever it was.

        That is no news of the folder: it says that it is alive before it touches that.
        """
        self._is_heard = True
        if (
            not self._is_silent and self._process.failures < 2
        ):  # one that ends again and again is told until a whole scan
            self._conditions.clear("scanner")

    def said(self, message: RootState | Scanned | Degraded, now: float) -> bool:
        """Take what the scanner says of the folder; return whether that is back, moved, or answers again."""
        was_here = self.root is not None and self.root.state == "here" and not self._is_silent
        moved = isinstance(message, RootState) and message != self.root
        if isinstance(message, RootState):
            self.root = message
            self._is_away = message.state != "here"
            if message.state == "here":
                self._conditions.clear("root")
            else:
                self._conditions.raise_("root", message.state, message.why)
            if self._is_silent:
                self._is_silent = False
                self._conditions.clear("scanner")
        elif isinstance(message, Scanned):
            self.scanned, self.scanned_at, self._process.failures = message, now, 0
            self._is_silent = False
            self._conditions.clear("scanner")
            self._tell_unread(message.not_read)
            self._conditions.raise_barred("folder not readable", message.barred)
        elif message.why:
            self._conditions.raise_("looking", "degraded", message.why)
        else:
            self._conditions.clear("looking")
        return self.mount(now) is not None and (moved or not was_here)

    def settles(self, message: Settles) -> None:
        """Take how many files are not yet at rest, which is newer than the last scan."""
        if self.scanned:
            self.scanned = replace(
                self.scanned,
                settling=message.settling,
                settled_before=message.settled_before,
                unmarked=message.unmarked,
            )

    def rescan(self) -> None:
        """Have the folder looked through now."""
        if self._process.child:
            self._process.child.send(Rescan())

    def ended(self, now: float) -> None:
        """Take note that the scanner ended."""
        scanner = self._process.release()
        assert scanner is not None  # noqa: S101 # it did not end otherwise
        self.root = None  # without a scanner nobody knows
        log.error("the scanner ended: %s", scanner.end, extra={"COLVI_EVENT": "scanner ended"})
        if not self._is_silent:  # else that is what is raised, until something is reported of the folder
            self._conditions.raise_("scanner", "degraded", f"the scanner ended: {scanner.end}")
        if scanner.is_killed and not self._is_heard and self._late < MOST_PATIENCE:
            self._late += 1
        else:
            self._process.failed(now)

    def _tell_unread(self, not_read: Mapping[str, int]) -> None:
        """Log a format that is not read when its first files are seen; later ones are in the status."""
        for suffix in sorted(not_read.keys() - self._told):
            self._told.add(suffix)
            extra = {"COLVI_EVENT": "not read", "COLVI_SUFFIX": suffix}
            log.warning("%s", unread_words(suffix, not_read[suffix]), extra=extra)

    def _has_fallen_silent(self, now: float) -> bool:
        scanner = self._process.child
        silent_s = now - scanner.heard_at if scanner and self._is_heard else 0.0
        return silent_s > self._timings.scanner_silent_s

    def _start(self, now: float) -> None:
        self._is_heard = False
        if why := self._process.start():
            self._conditions.raise_("scanner", "degraded", f"no scanner can be started: {why}")
            self._process.failed(now)
