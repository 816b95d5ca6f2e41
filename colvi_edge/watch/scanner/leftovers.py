"""Removes the temporary files that a killed process left beside the results."""

import os
from contextlib import suppress

from colvi_edge.watch.folder.pinned import PinnedRoot
from colvi_edge.watch.ipc.messages import Signature

# A worker is given 30 s for a file. The clock of a share says nothing about ours, and a process number in
# the name nothing about a process of another machine; to have watched the file that long does.
STALE_S = 30.0


class Sweep:
    """The temporary files of the last scan, and since when each of them was seen as it is."""

    def __init__(self) -> None:
        """Begin with none."""
        self._before: dict[str, tuple[Signature, float]] = {}
        self._seen: dict[str, tuple[Signature, float]] = {}

    def __len__(self) -> int:
        return len(self._before)

    def saw(self, results: PinnedRoot, path: str, signature: Signature, now: float) -> None:
        """Take that a scan saw a temporary file; remove it if it has long been as it is.

        Args:
            results: where the results go.
            path: of the file, relative to it; the name was found to be one of ours.
            signature: its state.
            now: by the monotonic clock.
        """
        before, since = self._before.get(path, (signature, now))
        if before != signature:
            since = now
        self._seen[path] = signature, since
        if now - since >= STALE_S:
            with suppress(OSError):  # it is gone, or the folder is read-only
                _unlink(results, path)

    def scan_ended(self) -> None:
        """Forget what the scan did not see."""
        self._before, self._seen = self._seen, {}


def _unlink(results: PinnedRoot, path: str) -> None:
    folder, _, name = path.rpartition("/")
    parent = results.open_folder(folder)
    try:
        os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)
