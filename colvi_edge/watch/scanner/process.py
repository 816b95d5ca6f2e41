"""The scanner: the child that looks at the watched folder and says which raw files are finished.

Started by the supervisor, as `child` tells. It may be killed at any time, as when a share hangs: all that it
knows is in the folder and in the ledger.
"""

import math
import os
import selectors
import time
import warnings
from contextlib import suppress
from pathlib import Path

from colvi_edge.watch.folder.away import AwayError
from colvi_edge.watch.folder.share_lock import FolderTakenError
from colvi_edge.watch.ipc.child import join_supervisor
from colvi_edge.watch.ipc.messages import Alive, Degraded, Line, Rescan, Root, ScannerSettings
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.claimed_folders import Place, make_results
from colvi_edge.watch.scanner.session import Watching

_ALIVE_S = 1.0
_PLACE_S = 2.0


class Scanner:
    """Keeps to the folder, as long and as often as it is there."""

    def __init__(self, line: Line, settings: ScannerSettings) -> None:
        """Prepare; nothing of the folder is touched yet."""
        self._line = line
        self._settings = settings
        self._ledger = LedgerReader(Path(settings.ledger))
        self._known = self._ledger.finished()
        self._mount = settings.mount
        self._results_mount = settings.results_mount
        self._place: Place | None = None
        self._entered = False
        self._watching: Watching | None = None
        self._root = Root("share away", "", None)
        self._degraded = ""
        self._alive_at = self._place_at = -math.inf
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def run(self) -> None:
        """Work until the supervisor ends."""
        selector = selectors.DefaultSelector()
        selector.register(self._line, selectors.EVENT_READ)
        selector.register(self._bell, selectors.EVENT_READ)
        while True:
            for act in (self._keep_place, self._step):
                self._say_alive()  # before each, as each may be held up by a server
                try:
                    act()
                except AwayError as error:
                    self._say_root(Root("share away", str(error), None))
                    self._leave()  # only now: to let go of a lock asks the server, too
            self._say_degraded()
            wake_at = min(self._alive_at, self._place_at)
            if self._watching:
                wake_at = min(wake_at, self._watching.wake_at())
            for key, _ in selector.select(max(0.0, wake_at - time.monotonic())):
                if key.fd == self._bell:
                    os.eventfd_read(self._bell)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        """Take what the supervisor says; return whether it still is there."""
        messages = self._line.receive()
        if messages is None:
            return False
        if self._watching and any(isinstance(message, Rescan) for message in messages):
            self._watching.rescan()
        return True

    def _keep_place(self) -> None:
        """Enter the folder, leave it or enter it anew if it is time, and say what changes by that."""
        if time.monotonic() < self._place_at:
            return
        try:
            if self._place and not self._place.is_ours():
                self._leave()  # without a word: a folder that was made anew is entered at once
            if not self._place:
                self._enter()
            apart = self._results_mount if self._settings.output_dir else None
            self._say_root(Root("here", "", self._mount, apart))
        except FolderTakenError as error:
            self._say_root(Root("taken", str(error), None))
        finally:
            self._place_at = time.monotonic() + _PLACE_S

    def _step(self) -> None:
        """Do what is due in the folder."""
        if self._watching:
            self._watching.step()

    def _enter(self) -> None:
        settings = self._settings
        if settings.output_dir and not self._entered:  # later, a missing one is a share that is away
            with suppress(OSError):
                make_results(Path(settings.output_dir), self._results_mount)
        self._place = Place(settings.root, settings.output_dir, self._mount, self._results_mount)
        self._mount, self._results_mount = self._place.mount, self._place.results_mount
        self._entered = True
        self._watching = Watching(
            self._place, settings, self._known, self._ledger, self._line.send, self._ring
        )

    def _leave(self) -> None:
        if self._watching:
            self._watching.close()
        if self._place:
            self._place.close()
        self._watching = self._place = None

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _say_alive(self) -> None:
        now = time.monotonic()
        if now >= self._alive_at:
            self._line.send(Alive())
            self._alive_at = now + _ALIVE_S

    def _say_root(self, root: Root) -> None:
        if root != self._root:
            self._root = root
            self._line.send(root)

    def _say_degraded(self) -> None:
        why = "; ".join(self._watching.degraded) if self._watching else ""
        if why != self._degraded:
            self._degraded = why
            self._line.send(Degraded(why))


def main() -> None:
    """Run as the supervisor's child."""
    # Of no consequence, but it would write the names of folders into the log.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    line = join_supervisor()
    settings = line.first()
    assert isinstance(settings, ScannerSettings)  # noqa: S101 - the supervisor's first word
    with suppress(BrokenPipeError, ConnectionResetError):  # the supervisor ended, so do we
        Scanner(line, settings).run()
