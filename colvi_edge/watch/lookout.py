"""The one scanner: started, started again when it ends, and known to be deaf when the share hangs."""

import logging
from collections.abc import Callable, Iterator, Mapping

from colvi_edge.watch.children import Child
from colvi_edge.watch.formats import unread_words
from colvi_edge.watch.journal import LOGGER
from colvi_edge.watch.messages import Degraded, Mount, Rescan, Root, Scanned
from colvi_edge.watch.schedule import backoff_s
from colvi_edge.watch.states import States

SILENT_AFTER_S = 10.0  # a soft NFS mount answers after 6 to 12 s with an error
SILENCE_LIMIT_S = 20.0

log = logging.getLogger(LOGGER)


class Lookout:
    """Keeps one scanner looking.

    Attributes:
        scanner: None while none runs.
        root: what the scanner that runs said of the folder; None before it has, and while none runs.
        scanned: of its last whole scan; None before the first.
        scanned_at: when that came.
        failures: scanners that ended since the last whole scan.
    """

    def __init__(self, start: Callable[[], Child], states: States) -> None:
        """Prepare to start scanners.

        Args:
            start: starts one.
            states: is told what goes wrong.
        """
        self.scanner: Child | None = None
        self.root: Root | None = None
        self.scanned: Scanned | None = None
        self.scanned_at = 0.0
        self.failures = 0
        self._start = start
        self._start_at = 0.0
        self._states = states
        self._told: set[str] = set()  # suffixes of formats that are not read

    def __iter__(self) -> Iterator[Child]:
        """Yield the scanner, if one runs."""
        if self.scanner:
            yield self.scanner

    def mount(self, now: float) -> Mount | None:
        """Return the folder's mount if it is there and answers; else nothing may be read or written."""
        here = self.root is not None and self.root.state == "here" and not self._is_silent(now)
        return self.root.mount if self.root and here else None

    def tick(self, now: float) -> None:
        """Start and end scanners as it is time."""
        if self.scanner is None:
            if now >= self._start_at:
                self._begin(now)
        elif now - self.scanner.heard_at > SILENCE_LIMIT_S:
            self.scanner.kill(f"it said nothing for {SILENCE_LIMIT_S:g} s")
        if self._is_silent(now):
            self._states.hold(
                "scanner", "stuck", "the folder does not answer; nothing is judged before it does"
            )

    def heard(self) -> None:
        """Note that the scanner said something, whatever it was."""
        self._states.end("scanner")

    def said(self, message: Root | Scanned | Degraded, now: float) -> None:
        """Take what the scanner says of the folder as a whole."""
        if isinstance(message, Root):
            self.root = message
            if message.state == "here":
                self._states.end("root")
            else:
                self._states.hold("root", message.state, message.why)
        elif isinstance(message, Scanned):
            self.scanned, self.scanned_at, self.failures = message, now, 0
            self._tell_unread(message.not_read)
        elif message.why:
            self._states.hold("looking", "degraded", message.why)
        else:
            self._states.end("looking")

    def rescan(self) -> None:
        """Have the folder looked through now."""
        if self.scanner:
            self.scanner.send(Rescan())

    def ended(self, now: float) -> None:
        """Take note that the scanner ended."""
        assert self.scanner is not None  # noqa: S101 # it did not end otherwise
        log.error("the scanner ended: %s", self.scanner.end, extra={"COLVI_EVENT": "scanner ended"})
        if not self.scanner.is_killed:  # else it was stuck, and that is what is said
            self._states.hold("scanner", "degraded", f"the scanner ended: {self.scanner.end}")
        self._lose(now)

    def _tell_unread(self, not_read: Mapping[str, int]) -> None:
        """Log a format that is not read when its first files are seen; later ones are in the status."""
        for suffix in sorted(not_read.keys() - self._told):
            self._told.add(suffix)
            extra = {"COLVI_EVENT": "not read", "COLVI_SUFFIX": suffix}
            log.warning("%s", unread_words(suffix, not_read[suffix]), extra=extra)

    def _is_silent(self, now: float) -> bool:
        return self.scanner is not None and now - self.scanner.heard_at > SILENT_AFTER_S

    def _begin(self, now: float) -> None:
        try:
            self.scanner = self._start()
        except OSError as error:
            self._states.hold("scanner", "degraded", f"no scanner can be started: {error.strerror}")
            self._lose(now)

    def _lose(self, now: float) -> None:
        self.scanner = None
        self.root = None  # without a scanner nobody knows
        self.failures += 1
        self._start_at = now + backoff_s(self.failures)
