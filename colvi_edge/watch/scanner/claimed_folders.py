"""The watched folder and that of its results, as the scanner has them: open, on their mounts, and locked."""

import errno
import os
import time
from contextlib import ExitStack
from pathlib import Path

from colvi_edge.printable import printable_name
from colvi_edge.watch.folder.away import AwayError, away, claiming, is_of_share
from colvi_edge.watch.folder.mounts import Mount, is_away
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.share_lock import FolderTakenError, ShareLock

# Made by the file system or by Windows, and closed to all but the administrator.
_SYSTEM_FOLDERS = {"lost+found", "System Volume Information", "$RECYCLE.BIN"}


class ClaimedFolders:
    """Both folders, held open. Without an output folder they are one.

    Attributes:
        root: the watched folder.
        mount: of the watched folder.
        results: where the results go, folders mirrored.
        results_mount: of the folder of the results.
        apart: the results do not go beside the raw files.
        unlocked: why the folder of the results has no lock; "" if it has.
    """

    def __init__(self, paths: FolderPaths, mount: Mount | None, results_mount: Mount | None) -> None:
        """Open and lock both.

        Args:
            paths: of both.
            mount: of the watched folder when it was last there; None before that.
            results_mount: of the folder of the results when it was last there; None before that.

        Raises:
            AwayError: one of them is not there, not mounted, stale, or its server does not answer.
            FolderTakenError: another daemon holds the lock.
        """
        self._opened = ExitStack()
        self._lock: ShareLock | None = None
        self.unlocked = ""
        try:
            pinned = self._pin(paths.root, mount)
            self.root, self.mount, status = pinned
            self.results, self.results_mount, results_status = (
                pinned if paths.output_dir is None else self._pin(paths.output_dir, results_mount)
            )
            self._keep_lock()
        except BaseException:
            self.close()
            raise
        self.apart = not os.path.samestat(status, results_status)
        self._results_within = _within(self.root, self.results) if self.apart else None

    def is_walked(self, folder: str) -> bool:
        """Return whether raw files are looked for in a folder.

        They are not in hidden folders, those of the system, and those of the results.

        Args:
            folder: its path, relative to the watched one.
        """
        if any(name.startswith(".") or name in _SYSTEM_FOLDERS for name in folder.split("/")):
            return False
        return self._results_within is None or not f"{folder}/".startswith(f"{self._results_within}/")

    def is_ours(self) -> bool:
        """Return whether both are still there and ours; a lost lock is taken again if it can be.

        Raises:
            AwayError: the server of one of them does not answer.
        """
        for folder in (self.root, self.results) if self.apart else (self.root,):
            with claiming(str(folder.path)):
                if not folder.is_current():
                    return False
        try:
            self._keep_lock()
        except FolderTakenError:
            return False
        return True

    def close(self) -> None:
        """Close both, and release the lock."""
        if self._lock:
            self._lock.close()
        self._opened.close()

    def _pin(self, path: Path, remembered: Mount | None) -> tuple[PinnedFolder, Mount, os.stat_result]:
        with claiming(str(path)):
            folder = self._opened.enter_context(PinnedFolder(path))
            mount, status = folder.mount(), os.fstat(folder.fileno())
            if not folder.is_current():  # a share may open a folder that it calls stale when asked for it
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if remembered and is_away(mount, remembered):
            source, point = printable_name(remembered.source), printable_name(remembered.point)
            raise AwayError(f"{source} is not mounted on {point} any more; mount it again")
        return folder, mount, status

    def _keep_lock(self) -> None:
        with claiming(str(self.results.path)):
            if self._lock and not self._lock.is_held():
                self._lock.close()
                self._lock = None
        if self._lock is None:
            began = time.monotonic()
            try:
                self._lock = ShareLock(self.results)
                self.unlocked = ""
            except OSError as error:
                if is_of_share(error):
                    raise away(str(self.results.path), error, time.monotonic() - began) from error
                self.unlocked = (
                    f"the folder of the results cannot be locked: {error.strerror}; give the daemon's "
                    "user the right to write to it (chown or setfacl), mount it writable, or put the results "
                    "elsewhere: --output-dir"
                )


def make_results(folder: Path, remembered: Mount | None) -> None:
    """Make the folder of the results if it is missing, but never in the place of a share that is away.

    Args:
        folder: to be made.
        remembered: its mount when it was last there; None before that.

    Raises:
        OSError: it cannot be made.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there == folder:
        return
    with PinnedFolder(there) as above:
        if remembered and is_away(above.mount(), remembered):
            return
    folder.mkdir(parents=True, exist_ok=True)


def _within(root: PinnedFolder, folder: PinnedFolder) -> str | None:
    """Return the path of a folder relative to another one; None if it does not lie in that."""
    top, below = root.real_path(), folder.real_path()
    return os.path.relpath(below, top) if below.startswith(f"{top.rstrip('/')}/") else None
