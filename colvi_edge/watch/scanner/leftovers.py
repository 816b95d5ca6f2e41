"""Temporary files that a killed process left beside the results, removed when nobody changes them."""

import os
from contextlib import suppress

from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.signature import Signature


class Leftovers:
    """The temporary files of the last scan, and since when each of them is as it is."""

    def __init__(self, stale_s: float) -> None:
        """Begin with none.

        Args:
            stale_s: how long a file stays as it is before it is removed.
        """
        self._stale_s = stale_s
        self._before: dict[str, tuple[Signature, float]] = {}
        self._seen: dict[str, tuple[Signature, float]] = {}

    def __len__(self) -> int:
        return len(self._before)

    def found(self, results: PinnedFolder, path: str, signature: Signature, now: float) -> None:
        """Note a temporary file that a scan found; remove it if it has long been as it is.

        Args:
            results: where the results go.
            path: of the file, relative to `results`; its name is one of ours.
            signature: its state.
            now: by the monotonic clock.
        """
        before, since = self._before.get(path, (signature, now))
        if before != signature:
            since = now
        self._seen[path] = signature, since
        if now - since >= self._stale_s:
            with suppress(OSError):  # it is gone, or the folder is read-only
                _unlink(results, path)

    def scan_ended(self) -> None:
        """Forget what the scan did not find."""
        self._before, self._seen = self._seen, {}


def _unlink(results: PinnedFolder, path: str) -> None:
    folder, _, name = path.rpartition("/")
    parent = results.open_folder(folder)
    try:
        os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)
