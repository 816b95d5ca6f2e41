"""A session on the watched folder while it is there: its events, its scans, and the files that settle."""

import errno
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from colvi_edge.system.file_systems import promises
from colvi_edge.watch.folder.away import away, is_unanswered
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import Message, Scanned, Settles
from colvi_edge.watch.ipc.settings import ScannerSettings
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.claimed_folders import ClaimedFolders
from colvi_edge.watch.scanner.event_health import EventHealth
from colvi_edge.watch.scanner.events import EventStream
from colvi_edge.watch.scanner.leftovers import Leftovers
from colvi_edge.watch.scanner.lost_results import LostResults
from colvi_edge.watch.scanner.settling import Settling
from colvi_edge.watch.scanner.walk import FoundFile, Leftover, TreeWalk
from colvi_edge.watch.words import BARRED_TOLD

_BURST = 4096  # events, after which the kernel's queue of 16384 may have overflowed: watchdog 6 does not tell
_SLICE_S = 0.005  # of work before events are asked for again

_GONE = {errno.ENOENT, errno.ENOTDIR}
# The worker will say what is wrong with devices, and with files that we may not read.
_NOT_OPENED = {errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV}


class FolderSession:
    """Finds the finished raw files; `step` is to be called when something happened or `wake_at` has come."""

    def __init__(
        self,
        folders: ClaimedFolders,
        settings: ScannerSettings,
        known: dict[str, Signature],
        ledger: LedgerReader,
        send: Callable[[Message], None],
        wake: Callable[[], None],
    ) -> None:
        """Begin to listen to events; the first scan comes when that has begun.

        Args:
            folders: the watched one, and that of the results; the caller closes them.
            settings: from the supervisor.
            known: the state of each path in which it needs nothing; what is offered is added.
            ledger: what became of it.
            send: sends a message to the supervisor.
            wake: makes the caller call `step`; called from other threads.
        """
        self._folders = folders
        self._settings = settings
        self._timings = settings.timings
        self._known = known
        self._send = send
        self._wake = wake
        self._polls = settings.scanning.poll or not promises(folders.mount.kind).hears_others
        self._settling = Settling(self._timings, share=self._polls)
        self._leftovers = Leftovers(self._timings.leftover_s)
        self._ledger = ledger
        self._lost_results = LostResults(folders.results, ledger, settings.slots)
        self._health = EventHealth(self._timings)
        self._stream: EventStream | None = None
        self._first_scan_requested = False  # the one after the stream started
        self._count = 0  # of events, at the last scan that was requested because of them
        self._scan: Iterator[None] | None = None
        self._scan_at = 0.0
        self._requested = False  # a scan, since the one began that is under way
        self._unannounced = True  # no event can have announced what the next scan finds
        self._took_s = 0.0
        self._missed = 0
        self._unread: list[str] = []
        self._unmarked: set[str] = set()  # that wait for their marker, and never had one
        self._told: Settles | None = None  # nothing before the first whole scan
        self._tell_at = 0.0

    @property
    def degraded(self) -> list[str]:
        """What works less well than it should, in words."""
        why = [self._folders.unlocked, self._health.fault]
        if self._unread:
            reasons = ", ".join(sorted(set(self._unread)))
            why.append(f"cannot look at {len(self._unread)} of the folders and files below: {reasons}")
        return [words for words in why if words]

    def rescan(self) -> None:
        """Scan at once, from the beginning."""
        self._scan = None
        self._request_scan()

    def step(self) -> None:
        """Do what is due, for some milliseconds at most if the folder answers.

        Raises:
            AwayError: its server does not.
        """
        if not self._polls:
            self._read_events(time.monotonic())
        self._scan_at = min(self._scan_at, time.monotonic() + self._pause_s)
        self._look_at_due(time.monotonic() + _SLICE_S)
        self._send_settles()
        self._go_on_scanning(time.monotonic() + _SLICE_S)

    def wake_at(self) -> float:
        """Return when `step` is to be called at the latest."""
        scan_at = 0.0 if self._scan else math.inf if self._is_starting else self._scan_at
        return min(scan_at, self._settling.wake_at())

    def close(self) -> None:
        """Stop listening."""
        if self._stream:
            self._stream.stop()
            self._stream = None

    # --- events

    @property
    def _is_starting(self) -> bool:
        stream = self._stream
        if stream is None or stream.started:
            return False
        return time.monotonic() < stream.start_limit

    def _read_events(self, now: float) -> None:
        self._health.review(now)
        if not self._health.listens:
            self.close()
            return
        stream = self._stream
        if stream is None:
            marker = self._settings.scanning.marker
            stream = self._stream = EventStream(self._folders.root, marker, self._timings, self._wake)
            self._first_scan_requested, self._count = False, 0
        if stream.started and stream.failure:
            self._health.failed(now, stream.failure)
            return
        if stream.started and not self._first_scan_requested:
            self._first_scan_requested = True
            self._request_unannounced_scan()
        if stream.count - self._count > _BURST:
            self._count = stream.count
            self._request_unannounced_scan()
        while stream.overflows:
            self._health.overflowed(stream.overflows.popleft())
            self._request_unannounced_scan()
        while stream.events:
            event = stream.events.popleft()
            if self._folders.is_walked(event.path.rpartition("/")[0]):
                (self._settling.closed if event.closed else self._settling.created)(event.path, event.at)

    def _request_unannounced_scan(self) -> None:
        self._unannounced = True
        self._request_scan()

    # --- files that settle

    def _look_at_due(self, until: float) -> None:
        while (now := time.monotonic()) < until and (candidate := self._settling.due(now)):
            try:
                signature = self._state(candidate.path)
            except FileNotFoundError:
                self._settling.drop(candidate)
                continue
            if not candidate.force and signature == self._known.get(candidate.path):
                self._settling.drop(candidate)
                continue
            ready = self._settling.looked(candidate, signature, time.monotonic())
            if ready:
                self._known[ready.path] = ready.signature
                self._unmarked.discard(ready.path)
                self._send(replace(ready, lost=self._lost_results.settled(ready.path)))
                if not candidate.announced:
                    self._note_missed(now)

    def _send_settles(self) -> None:
        """Send how many files settle if that changed, twice a second at most; a scan sends it, too."""
        if self._told is None or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + self._timings.settling_told_s
        settles = self._settles()
        if settles != self._told:
            self._told = settles
            self._send(settles)

    def _settles(self) -> Settles:
        return Settles(len(self._settling), self._settling.among(self._known), len(self._unmarked))

    def _state(self, path: str) -> Signature | None:
        """Return a file's state; None while its writer holds it.

        Raises:
            FileNotFoundError: it is gone, or its marker is.
            AwayError: the server does not answer.
        """
        root = self._folders.root
        if self._settings.scanning.marker and not root.exists(path + self._settings.scanning.marker):
            raise FileNotFoundError
        began = time.monotonic()
        try:
            return root.signature(path)
        except OSError as error:
            if error.errno in _GONE:
                raise FileNotFoundError from error
            took_s = time.monotonic() - began
            if is_unanswered(error, took_s):
                raise away(str(root.path), error, took_s) from error
            return self._unopened_state(path) if error.errno in _NOT_OPENED else None

    def _unopened_state(self, path: str) -> Signature | None:
        try:
            return Signature.of(self._folders.root.status(path))
        except OSError:
            return None

    def _note_missed(self, now: float) -> None:
        if self._health.listens:
            self._missed += 1
            if self._health.missed(now):
                self.close()  # and begin anew at the next step

    # --- scans

    def _request_scan(self) -> None:
        self._requested, self._scan_at = True, 0.0

    @property
    def _pause_s(self) -> float:
        """How long to rest between scans; on a share that is slow, at least as long as the last one took."""
        timings = self._timings
        usual_s = timings.share_scan_s if self._polls else timings.local_scan_s
        interval_s = self._settings.scanning.interval_s or usual_s
        if self._health.fault:
            interval_s = min(interval_s, timings.share_scan_s)
        if len(self._leftovers):
            interval_s = min(interval_s, timings.leftover_s)
        return max(interval_s, self._took_s)

    def _go_on_scanning(self, until: float) -> None:
        if self._scan is None:
            if self._is_starting or time.monotonic() < self._scan_at:
                return
            self._requested = False
            self._scan = self._scan_in_steps()
        for _ in self._scan:
            if time.monotonic() >= until:
                return
        self._scan = None

    def _scan_in_steps(self) -> Iterator[None]:
        began = time.monotonic()
        settings = self._settings
        of = (settings.ome_tiff, settings.slots, self._ledger.labelled)
        marker = settings.scanning.marker
        unmarked: set[str] = set()
        walk = TreeWalk(self._folders, self._known, marker, *of)
        for item in walk:
            if isinstance(item, FoundFile):
                self._offer(item, force=False)
                if marker is not None and not item.marked:
                    unmarked.add(item.path)
            elif isinstance(item, Leftover):
                results = self._folders.results
                self._leftovers.found(results, item.path, item.signature, time.monotonic())
            yield
        for lost in self._lost_results.among(walk.partial):
            if lost and self._offer(lost, force=True):
                self._lost_results.offered(lost.path)
            yield
        self._leftovers.scan_ended()
        self._unread = walk.unread
        self._took_s = time.monotonic() - began
        self._unmarked = unmarked - self._known.keys()
        self._told = self._settles()
        self._send(
            Scanned(
                walk.files,
                self._told.settling,
                self._took_s,
                self._missed,
                dict(walk.not_read),
                sorted(walk.barred)[:BARRED_TOLD],
                self._told.settled_before,
                self._told.unmarked,
            )
        )
        self._missed = 0
        if not self._requested:
            self._unannounced = False
            self._scan_at = time.monotonic() + self._pause_s

    def _offer(self, found: FoundFile, *, force: bool) -> bool:
        """Add a file that a scan found to those that settle; return whether it is among them now."""
        now = time.monotonic()
        if self._settings.scanning.marker is None:
            announced = self._unannounced or self._polls or found.path in self._known
            self._settling.found(found.path, found.signature, now, announced=announced, force=force)
        elif found.marked and found.path not in self._settling:
            self._settling.closed(found.path, now)
        return found.path in self._settling
