"""Finds the records below a folder, and reads only those that changed since the last look."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from colvi_edge.outputs.names import OutputKind, is_index_name
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.raw_files import MAX_DEPTH
from colvi_edge.report.entries import Entry, entry
from colvi_edge.report.samples import NamePattern


class Gathered(NamedTuple):
    """What lies in the folder.

    Attributes:
        entries: in no order.
        unread: how many records are none of this version, and how many records and folders cannot be read.
    """

    entries: list[Entry]
    unread: int


class Gatherer:
    """Knows the records of one folder."""

    def __init__(self, pattern: NamePattern) -> None:
        """Begin with none; the pattern finds sample and date."""
        self._pattern = pattern
        self._known: dict[str, tuple[tuple[int, ...], Entry | Index | None]] = {}

    def gather(self, folder_fd: int, places: Sequence[str] = (".",)) -> Gathered:
        """Return what lies in a folder and those below it; links are not followed.

        Args:
            folder_fd: of the folder.
            places: folders in it to which the search is confined.

        Raises:
            UsageError: the pattern did not come to an end on a name.
            OSError: the folder itself cannot be listed.
        """
        found: dict[str, tuple[tuple[int, ...], Entry | Index | None]] = {}
        unlisted: list[OSError] = []
        for folder, name, here in records_below(folder_fd, unlisted, places):
            path = f"{folder}/{name}" if folder else name
            try:
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
            except OSError:  # it went away
                continue
            state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._known.get(path)
            if not known or known[0] != state:
                known = (state, self._read(folder, name, here))
            found[path] = known
        self._known = found
        read_back = [kept for _, kept in found.values() if kept]
        read = [kept for kept in read_back if isinstance(kept, Entry)]
        # A result and an error record of one image stand side by side only where something broke off.
        newest = {one.key: one for one in sorted(read, key=lambda one: one.created)}
        return Gathered(list(newest.values()), len(found) - len(read_back) + len(unlisted))

    def _read(self, folder: str, name: str, here: int) -> Entry | Index | None:
        failed = name.endswith(OutputKind.ERROR.value)
        record = read_record(ErrorRecord, name, here) if failed else read_record(Sidecar, name, here)
        if record:
            return entry(record, folder, name, self._pattern)
        return None if failed else read_record(Index, name, here)


def records_below(
    folder_fd: int, unlisted: list[OSError], places: Sequence[str] = (".",)
) -> Iterator[tuple[str, str, int]]:
    """Yield folder, name and the folder's descriptor of all that may be an image's; note what is closed."""
    for place in places:
        for folder, subfolders, names, here in os.fwalk(place, onerror=unlisted.append, dir_fd=folder_fd):
            relative = "" if folder == os.curdir else folder.removeprefix("./")
            deep = relative.count("/") >= MAX_DEPTH
            subfolders[:] = [] if deep else [name for name in subfolders if not name.startswith(".")]
            for name in names:
                is_record = name.endswith((OutputKind.SIDECAR.value, OutputKind.ERROR.value))
                if is_record and not is_index_name(name):
                    yield relative, name, here
