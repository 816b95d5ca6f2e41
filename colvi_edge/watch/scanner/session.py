"""What is done with a root while it is here: hear, scan, look, and say what is ready."""

import errno
import math
import os
import time
from collections.abc import Callable, Iterator

from colvi_edge.raw_files import is_container_name
from colvi_edge.system.file_systems import promises
from colvi_edge.watch.folder.away import away, is_unanswered
from colvi_edge.watch.ipc.messages import Message, Scanned, ScannerSettings, Settles, Signature
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.claimed_folders import Place
from colvi_edge.watch.scanner.events import Observation, Trust
from colvi_edge.watch.scanner.leftovers import STALE_S, Sweep
from colvi_edge.watch.scanner.result_files import ResultFiles, lacks_files, result_names
from colvi_edge.watch.scanner.settling import Settling
from colvi_edge.watch.scanner.walk import Found, Leftover, Scan
from colvi_edge.watch.supervisor.queue import BARRED_TOLD

LOCAL_INTERVAL_S = 15.0  # so that what events miss is found and told within 30 s
SHARE_INTERVAL_S = 5.0
TELL_EVERY_S = 0.5
_BURST = 4096  # events, after which the kernel's queue of 16384 may have overflowed: watchdog 6 does not tell
_SLICE_S = 0.005  # of work before events are asked for again

_GONE = {errno.ENOENT, errno.ENOTDIR}
# The worker will say what is wrong with links, pipes, and files that we may not read.
_NOT_OPENED = {errno.ELOOP, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV}


class Watching:
    """One stay at a place; `step` is to be called whenever something happened or `wake_at` has come."""

    def __init__(
        self,
        place: Place,
        settings: ScannerSettings,
        known: dict[str, Signature],
        ledger: LedgerReader,
        say: Callable[[Message], None],
        wake: Callable[[], None],
    ) -> None:
        """Begin to listen; the first scan comes when that has begun.

        Args:
            place: where; the caller closes it.
            settings: from the supervisor.
            known: the state of each path in which it needs nothing; what is offered is added.
            ledger: what became of it.
            say: sends a message to the supervisor.
            wake: makes the caller call `step`; called from other threads.
        """
        self._place = place
        self._settings = settings
        self._known = known
        self._ledger = ledger
        self._say = say
        self._wake = wake
        self._polls = settings.poll or not promises(place.mount.kind).hears_others
        self._settling = Settling(share=self._polls)
        self._sweep = Sweep()
        self._trust = Trust()
        self._observation: Observation | None = None
        self._heard = False  # the observation has begun, and the scan after that was asked for
        self._count = 0  # of events, at the last scan that was asked for because of them
        self._walk: Iterator[None] | None = None
        self._scan_at = 0.0
        self._asked = False  # for a scan since the one began that is under way
        self._excused = True  # no event can have announced what the next scan finds
        self._took_s = 0.0
        self._missed = 0
        self._offered_again: set[str] = set()  # for want of a file of its result, which has not come yet
        self._complete: dict[str, int] = {}  # files that are all of a result, if not the usual ones
        self._unread: list[str] = []
        self._told: Settles | None = None  # nothing before the first whole scan
        self._tell_at = 0.0

    @property
    def degraded(self) -> list[str]:
        """What works less well than it should, in words."""
        why = [self._place.unlocked, self._trust.why]
        if self._unread:
            reasons = ", ".join(sorted(set(self._unread)))
            why.append(f"cannot look at {len(self._unread)} of the folders and files below: {reasons}")
        return [words for words in why if words]

    def rescan(self) -> None:
        """Scan at once, from the beginning."""
        self._walk = None
        self._ask()

    def step(self) -> None:
        """Do what is due, for some milliseconds at most if the folder answers.

        Raises:
            AwayError: its server does not.
        """
        if not self._polls:
            self._listen(time.monotonic())
        self._scan_at = min(self._scan_at, time.monotonic() + self._pause_s)
        self._look(time.monotonic() + _SLICE_S)
        self._say_settling()
        self._scan(time.monotonic() + _SLICE_S)

    def wake_at(self) -> float:
        """Return when `step` is to be called at the latest."""
        scan_at = 0.0 if self._walk else math.inf if self._is_starting else self._scan_at
        return min(scan_at, self._settling.wake_at())

    def close(self) -> None:
        """Stop listening."""
        if self._observation:
            self._observation.stop()
            self._observation = None

    # --- events

    @property
    def _is_starting(self) -> bool:
        observation = self._observation
        if observation is None or observation.started:
            return False
        return time.monotonic() < observation.patience

    def _listen(self, now: float) -> None:
        self._trust.reconsider(now)
        if not self._trust.listen:
            self.close()
            return
        if self._observation is None:
            self._observation = Observation(self._place.root, self._settings.marker, self._wake)
            self._heard, self._count = False, 0
        heard = self._observation
        if heard.started and heard.failure:
            self._trust.failed(now, heard.failure)
            return
        if heard.started and not self._heard:
            self._heard = True
            self._scan_unannounced()
        if heard.count - self._count > _BURST:
            self._count = heard.count
            self._scan_unannounced()
        while heard.overflows:
            self._trust.overflowed(heard.overflows.popleft())
            self._scan_unannounced()
        while heard.hints:
            hint = heard.hints.popleft()
            if self._place.is_walked(hint.path.rpartition("/")[0]):
                (self._settling.closed if hint.closed else self._settling.created)(hint.path, hint.at)

    def _scan_unannounced(self) -> None:
        self._excused = True
        self._ask()

    # --- looks

    def _look(self, until: float) -> None:
        while (now := time.monotonic()) < until and (candidate := self._settling.due(now)):
            try:
                signature = self._state(candidate.path)
            except FileNotFoundError:
                self._settling.drop(candidate)
                continue
            if not candidate.anew and signature == self._known.get(candidate.path):
                self._settling.drop(candidate)
                continue
            ready = self._settling.looked(candidate, signature, time.monotonic())
            if ready:
                self._known[ready.path] = ready.signature
                self._say(ready)
                if not candidate.announced:
                    self._miss(now)

    def _say_settling(self) -> None:
        """Say how many files are not at rest if that is news, twice a second at most; a scan says it, too."""
        if self._told is None or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + TELL_EVERY_S
        settles = Settles(len(self._settling), self._settling.among(self._known))
        if settles != self._told:
            self._told = settles
            self._say(settles)

    def _state(self, path: str) -> Signature | None:
        """Return a file's state; None while its writer holds it.

        Raises:
            FileNotFoundError: it is gone, or its marker is.
            AwayError: the server does not answer.
        """
        root = self._place.root
        if self._settings.marker and not root.exists(path + self._settings.marker):
            raise FileNotFoundError
        began = time.monotonic()
        try:
            raw = root.open_raw(path)
            try:
                return Signature.of(os.fstat(raw))
            finally:
                os.close(raw)
        except OSError as error:
            if error.errno in _GONE:
                raise FileNotFoundError from error
            took_s = time.monotonic() - began
            if is_unanswered(error, took_s):
                raise away(str(root.path), error, took_s) from error
            return self._unopened_state(path) if error.errno in _NOT_OPENED else None

    def _unopened_state(self, path: str) -> Signature | None:
        try:
            return Signature.of(self._place.root.status(path))
        except OSError:
            return None

    def _miss(self, now: float) -> None:
        if self._trust.listen:
            self._missed += 1
            if self._trust.missed(now):
                self.close()  # and begin anew at the next step

    # --- scans

    def _ask(self) -> None:
        self._asked, self._scan_at = True, 0.0

    @property
    def _pause_s(self) -> float:
        """How long to rest between scans; on a share that is slow, at least as long as the last one took."""
        interval_s = self._settings.interval_s or (SHARE_INTERVAL_S if self._polls else LOCAL_INTERVAL_S)
        if self._trust.why:
            interval_s = min(interval_s, SHARE_INTERVAL_S)
        return max(min(interval_s, STALE_S) if len(self._sweep) else interval_s, self._took_s)

    def _scan(self, until: float) -> None:
        if self._walk is None:
            if self._is_starting or time.monotonic() < self._scan_at:
                return
            self._asked = False
            self._walk = self._walked()
        for _ in self._walk:
            if time.monotonic() >= until:
                return
        self._walk = None

    def _walked(self) -> Iterator[None]:
        began = time.monotonic()
        scan = Scan(self._place, self._known, self._settings.marker, self._settings.ome_tiff)
        for item in scan:
            if isinstance(item, Found):
                self._found(item, anew=False)
            elif isinstance(item, Leftover):
                self._sweep.saw(self._place.results, item.path, item.signature, time.monotonic())
            yield
        offered_again, self._offered_again = self._offered_again, set()
        complete, self._complete = self._complete, {}
        for found in scan.partial:
            entry = None
            whole = complete.get(found.path) == found.files
            if not whole and (entry := self._settled_entry(found)):
                whole = not self._lacks_files(found, entry)
            if whole:
                self._complete[found.path] = found.files
            elif found.path in offered_again:
                self._offered_again.add(found.path)
            elif entry:
                self._found(found, anew=True)
            yield
        self._sweep.scan_ended()
        self._unread = scan.unread
        self._took_s = time.monotonic() - began
        self._told = Settles(len(self._settling), self._settling.among(self._known))
        self._say(
            Scanned(
                scan.files,
                self._told.settling,
                self._took_s,
                self._missed,
                dict(scan.not_read),
                sorted(scan.barred)[:BARRED_TOLD],
                self._told.settled_before,
            )
        )
        self._missed = 0
        if not self._asked:
            self._excused = False
            self._scan_at = time.monotonic() + self._pause_s

    def _found(self, found: Found, *, anew: bool) -> None:
        now = time.monotonic()
        if self._settings.marker is None:
            announced = self._excused or self._polls or found.path in self._known
            self._settling.found(found.path, found.signature, now, announced=announced, anew=anew)
        elif found.marked and found.path not in self._settling:
            self._settling.closed(found.path, now)
        if anew and found.path in self._settling:
            self._offered_again.add(found.path)

    def _settled_entry(self, found: Found) -> Entry | None:
        """Return what the ledger knows of a file in this very state; None if it is still worked on."""
        entry = self._ledger.entry(found.path)
        if entry is None or entry.state == "pending" or entry.signature != found.signature:
            return None
        return entry

    def _lacks_files(self, found: Found, entry: Entry) -> bool:
        """Return whether files are gone of the result that the ledger takes for done."""
        folder, _, name = found.path.rpartition("/")
        failed = entry.state != "done"
        if not lacks_files(found.files, entry.files, name, failed=failed):
            return False
        # Counted once more: it may have been written since the folder was listed.
        return lacks_files(self._files_there(folder, name), entry.files, name, failed=failed)

    def _files_there(self, folder: str, name: str) -> int:
        results = self._place.results
        if not is_container_name(name):
            prefix = f"{folder}/" if folder else ""
            return sum(results.exists(prefix + path) for path in result_names(name))
        try:
            listed = results.open_folder(folder)
        except OSError:
            return 0
        try:
            names = set(os.listdir(listed))  # noqa: PTH208 - pathlib knows no descriptors
            return ResultFiles(names, [name]).count(name)
        finally:
            os.close(listed)
