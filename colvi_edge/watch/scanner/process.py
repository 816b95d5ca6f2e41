"""The scanner: the child that finds the finished raw files of the watched folder.

Started by the supervisor, as `ipc.child` tells. It may be killed at any time, as when a share hangs: all that
it knows is in the folder and in the ledger.
"""

import math
import os
import selectors
import time
import warnings
from contextlib import suppress

from colvi_edge.watch.folder.away import AwayError
from colvi_edge.watch.folder.share_lock import FolderTakenError
from colvi_edge.watch.ipc.channel import Channel
from colvi_edge.watch.ipc.child import join_supervisor
from colvi_edge.watch.ipc.messages import Alive, Degraded, Rescan, RootState
from colvi_edge.watch.ipc.settings import ScannerSettings
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.claimed_folders import ClaimedFolders, make_results
from colvi_edge.watch.scanner.session import FolderSession


class Scanner:
    """Holds a session on the watched folder whenever that is there."""

    def __init__(self, channel: Channel, settings: ScannerSettings) -> None:
        """Prepare; nothing of the folder is touched yet."""
        self._channel = channel
        self._settings = settings
        self._ledger = LedgerReader(settings.ledger)
        self._known = self._ledger.finished_by_all(settings.slots)
        self._mount = settings.mount
        self._results_mount = settings.results_mount
        self._folders: ClaimedFolders | None = None
        self._claimed_once = False
        self._session: FolderSession | None = None
        self._root = RootState("share away", "", None)
        self._degraded = ""
        self._alive_at = self._check_at = -math.inf
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def run(self) -> None:
        """Work until the supervisor ends."""
        selector = selectors.DefaultSelector()
        selector.register(self._channel, selectors.EVENT_READ)
        selector.register(self._wakeup, selectors.EVENT_READ)
        while True:
            for act in (self._check_claim, self._step):
                self._send_alive()  # before each, as each may be held up by a server
                try:
                    act()
                except AwayError as error:
                    self._send_root(RootState("share away", str(error), None))
                    self._release()  # only now: to release a lock asks the server, too
            self._send_degraded()
            wake_at = min(self._alive_at, self._check_at)
            if self._session:
                wake_at = min(wake_at, self._session.wake_at())
            for key, _ in selector.select(max(0.0, wake_at - time.monotonic())):
                if key.fd == self._wakeup:
                    os.eventfd_read(self._wakeup)
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        """Receive the supervisor's messages; return whether it still is there."""
        messages = self._channel.receive()
        if messages is None:
            return False
        if self._session and any(isinstance(message, Rescan) for message in messages):
            self._session.rescan()
        return True

    def _check_claim(self) -> None:
        """Claim the folders, or release them if they are lost, when it is time; send what changes by that."""
        if time.monotonic() < self._check_at:
            return
        try:
            if self._folders and not self._folders.is_ours():
                self._release()  # without a message: a folder that was made anew is claimed at once
            if not self._folders:
                self._claim()
            apart = self._results_mount if self._settings.folders.output_dir else None
            self._send_root(RootState("here", "", self._mount, apart))
        except FolderTakenError as error:
            self._send_root(RootState("taken", str(error), None))
        finally:
            self._check_at = time.monotonic() + self._settings.timings.claim_check_s

    def _step(self) -> None:
        """Do what is due in the session."""
        if self._session:
            self._session.step()

    def _claim(self) -> None:
        settings, paths = self._settings, self._settings.folders
        if paths.output_dir and not self._claimed_once:  # later, a missing one is a share that is away
            with suppress(OSError):
                make_results(paths.output_dir, self._results_mount)
        self._folders = ClaimedFolders(paths, self._mount, self._results_mount)
        self._mount, self._results_mount = self._folders.mount, self._folders.results_mount
        self._claimed_once = True
        self._session = FolderSession(
            self._folders, settings, self._known, self._ledger, self._channel.send, self._wake
        )

    def _release(self) -> None:
        if self._session:
            self._session.close()
        if self._folders:
            self._folders.close()
        self._session = self._folders = None

    def _wake(self) -> None:
        os.eventfd_write(self._wakeup, 1)

    def _send_alive(self) -> None:
        now = time.monotonic()
        if now >= self._alive_at:
            self._channel.send(Alive())
            self._alive_at = now + self._settings.timings.scanner_alive_s

    def _send_root(self, root: RootState) -> None:
        if root != self._root:
            self._root = root
            self._channel.send(root)

    def _send_degraded(self) -> None:
        why = "; ".join(self._session.degraded) if self._session else ""
        if why != self._degraded:
            self._degraded = why
            self._channel.send(Degraded(why))


def main() -> None:
    """Run as the supervisor's child."""
    # Of no consequence, but it would write the names of folders into the log.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    channel = join_supervisor().channel
    settings = channel.first()
    assert isinstance(settings, ScannerSettings)  # noqa: S101 - the supervisor's first word
    with suppress(BrokenPipeError, ConnectionResetError):  # the supervisor ended, so do we
        Scanner(channel, settings).run()
