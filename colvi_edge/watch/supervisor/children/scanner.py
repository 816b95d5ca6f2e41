"""The one scanner: started, started again when it ends, and known to be deaf when the share hangs."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from colvi_edge.raw_files import unread_words
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import Degraded, Rescan, RootState, Scanned, Settles
from colvi_edge.watch.supervisor.backoff import MOST_PATIENCE, backoff_s, patience_s
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.telling.journal import LOGGER

SILENT_AFTER_S = 20.0  # soft mounts answer with an error before that: CIFS after 10 s, NFS after 15
SILENCE_LIMIT_S = 60.0  # to end it earlier would help nobody: the next one would wait for the same server
FIRST_WORD_LIMIT_S = 60.0  # it touches no share before it, but a slow machine loads it slowly

log = logging.getLogger(LOGGER)


class Lookout:
    """Keeps one scanner looking.

    Attributes:
        scanner: None while none runs.
        root: what the scanner that runs said of the folder; None before it has, and while none runs.
        scanned: of its last whole scan, with what settles now; None before the first.
        scanned_at: when that came.
        failures: scanners that ended since the last whole scan, without those that were slow to begin, as
            long as the next one has more time.
    """

    def __init__(self, start: Callable[[], Child], conditions: Conditions) -> None:
        """Prepare to start scanners.

        Args:
            start: starts one.
            conditions: where it is raised what goes wrong.
        """
        self.scanner: Child | None = None
        self.root: RootState | None = None
        self.scanned: Scanned | None = None
        self.scanned_at = 0.0
        self.failures = 0
        self._start = start
        self._start_at = 0.0
        self._conditions = conditions
        self._began = False  # the scanner has said a word
        self._late = 0  # scanners that had not when their time was up
        self._stuck = False  # it fell silent, and nothing was reported of the folder since
        self._away = False  # what was reported last is that the folder is not there
        self._told: set[str] = set()  # suffixes of formats that are not read

    def __iter__(self) -> Iterator[Child]:
        """Yield the scanner, if one runs."""
        if self.scanner:
            yield self.scanner

    @property
    def tells_outage(self) -> bool:
        """Whether it is said that the folder is not there, or does not answer."""
        return self._away or self._stuck

    def mount(self, now: float) -> Mount | None:
        """Return the folder's mount if it is there and answers; else nothing may be read or written."""
        silent = self._stuck or self._is_silent(now)
        return self.root.mount if self.root and self.root.state == "here" and not silent else None

    def tick(self, now: float) -> None:
        """Start and end scanners as it is time."""
        if self.scanner is None:
            if now >= self._start_at:
                self._begin(now)
            return
        silent_s = now - self.scanner.heard_at
        if not self._began:
            limit_s = patience_s(FIRST_WORD_LIMIT_S, self._late)
            if silent_s > limit_s:
                self.scanner.kill(f"it did not begin within {limit_s:g} s")
            elif silent_s > SILENT_AFTER_S and not self._stuck:
                why = "the scanner is slow to begin; nothing is judged before it has"
                self._conditions.raise_("scanner", "degraded", why)
        elif silent_s > SILENCE_LIMIT_S:
            self.scanner.kill(f"it said nothing for {SILENCE_LIMIT_S:g} s")
        if self._is_silent(now):
            self._stuck = True
            if not self._away:  # else the reason is known and told
                self._conditions.raise_(
                    "scanner", "stuck", "the folder does not answer; nothing is judged before it does"
                )

    def heard(self) -> None:
        """Note that the scanner said something, whatever it was.

        That is no news of the folder: it says that it is alive before it touches that.
        """
        self._began = True
        if not self._stuck and self.failures < 2:  # one that ends again and again is told until a whole scan
            self._conditions.clear("scanner")

    def said(self, message: RootState | Scanned | Degraded, now: float) -> bool:
        """Take what the scanner says of the folder; return whether that is back, moved, or answers again."""
        was_here = self.root is not None and self.root.state == "here" and not self._stuck
        moved = isinstance(message, RootState) and message != self.root
        if isinstance(message, RootState):
            self.root = message
            self._away = message.state != "here"
            if message.state == "here":
                self._conditions.clear("root")
            else:
                self._conditions.raise_("root", message.state, message.why)
            if self._stuck:
                self._stuck = False
                self._conditions.clear("scanner")
        elif isinstance(message, Scanned):
            self.scanned, self.scanned_at, self.failures = message, now, 0
            self._stuck = False
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
                self.scanned, settling=message.settling, settled_before=message.settled_before
            )

    def rescan(self) -> None:
        """Have the folder looked through now."""
        if self.scanner:
            self.scanner.send(Rescan())

    def ended(self, now: float) -> None:
        """Take note that the scanner ended."""
        assert self.scanner is not None  # noqa: S101 # it did not end otherwise
        log.error("the scanner ended: %s", self.scanner.end, extra={"COLVI_EVENT": "scanner ended"})
        if not self._stuck:  # else that is what is said, until something is reported of the folder
            self._conditions.raise_("scanner", "degraded", f"the scanner ended: {self.scanner.end}")
        if self.scanner.is_killed and not self._began and self._late < MOST_PATIENCE:
            self._late += 1
            self._forget()
        else:
            self._lose(now)

    def _tell_unread(self, not_read: Mapping[str, int]) -> None:
        """Log a format that is not read when its first files are seen; later ones are in the status."""
        for suffix in sorted(not_read.keys() - self._told):
            self._told.add(suffix)
            extra = {"COLVI_EVENT": "not read", "COLVI_SUFFIX": suffix}
            log.warning("%s", unread_words(suffix, not_read[suffix]), extra=extra)

    def _is_silent(self, now: float) -> bool:
        return self.scanner is not None and self._began and now - self.scanner.heard_at > SILENT_AFTER_S

    def _begin(self, now: float) -> None:
        self._began = False
        try:
            self.scanner = self._start()
        except OSError as error:
            self._conditions.raise_("scanner", "degraded", f"no scanner can be started: {error.strerror}")
            self._lose(now)

    def _forget(self) -> None:
        self.scanner = None
        self.root = None  # without a scanner nobody knows

    def _lose(self, now: float) -> None:
        self._forget()
        self.failures += 1
        self._start_at = now + backoff_s(self.failures)
