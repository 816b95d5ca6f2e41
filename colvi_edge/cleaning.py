"""Find and remove what colvi-edge left in a folder: results, explanations, unfinished files and the lock.

What is ours is told by its name, which no raw file has (`outputs.names`); only of OME-TIFF and labels, images
by themselves, the content must say so, too. Pages and tables were written where somebody said, and stay. Of
links neither they nor what they lead to are touched.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.outputs.names import OutputKind, is_output_name
from colvi_edge.printable import counted, printable_name
from colvi_edge.raw_files import MAX_DEPTH
from colvi_edge.system.atomic import is_temporary_name, open_folder
from colvi_edge.system.bounded import read_beginning
from colvi_edge.watch.folder.share_lock import LOCK_NAME, FolderTakenError, hold_off

_UNFINISHED = ".colvi-*.tmp"
_EXPLANATION = ".colvi.*.png"
_HEAD_BYTES = 2**16
_MARKS = {OutputKind.OME_TIFF: b'Creator="colvi-edge ', OutputKind.LABELS: b"\0colvi-edge "}


@dataclass
class OurFiles:
    """Our files below a folder.

    Attributes:
        names: of each folder, relative to the one that was searched; "" is that itself.
        counts: how many there are, by the end of their names.
        bytes: how long they are together, by the same.
        others: how many files, links and folders are named as ours are, and are not ours.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    others: int = 0


def find_ours(folder: Path) -> OurFiles:
    """Return what of ours lies in a folder and those below it; hidden folders and links are not entered.

    Raises:
        UsageError: the folder, or one below it, cannot be listed.
    """
    found = OurFiles()
    try:
        for below, names, here in _folders(folder):
            ours = []
            for name in filter(_is_named_as_ours, names):
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and _is_ours(name, here):
                    ours.append(name)
                    found.counts[_kind(name)] += 1
                    found.bytes[_kind(name)] += status.st_size
                else:
                    found.others += 1
            if ours:  # the word "done" goes first
                found.names[below] = sorted(
                    ours, key=lambda name: not name.endswith(OutputKind.SIDECAR.value)
                )
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be listed: {error.strerror}; nothing was removed; check "
            "name and permissions"
        ) from error
    return found


@contextmanager
def no_daemon(folder: Path, found: OurFiles) -> Iterator[None]:
    """Keep daemons away from a folder, and those below it, meanwhile.

    Raises:
        UsageError: one watches it, or a folder above or below it.
    """
    locked = [Path(folder, below) for below, names in found.names.items() if LOCK_NAME in names]
    with ExitStack() as held:
        for place in dict.fromkeys([*folder.resolve().parents, folder, *locked]):
            try:
                if (file := hold_off(place)) is not None:
                    held.callback(os.close, file)
            except FolderTakenError as error:
                raise UsageError(
                    f"{place}: {error}, which would write the results again; end it first, with Ctrl-C or "
                    "systemctl stop 'colvi-edge@*'"
                ) from error
        yield


def remove_ours(folder: Path, found: OurFiles) -> int:
    """Remove what was found, and is still a file; return how many went.

    Raises:
        OutputError: some cannot be removed; the others were.
    """
    removed, kept, why = 0, 0, ""
    for below, names, here in _folders(folder):
        for name in found.names.get(below, ()):
            if name not in names:
                continue
            try:
                if stat.S_ISREG(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=here)
                    removed += 1
            except FileNotFoundError:
                pass
            except OSError as error:
                kept, why = kept + 1, f"{printable_name(name)}: {error.strerror}"
        if found.names.get(below):
            os.fsync(here)
    if kept:
        raise OutputError(
            f"{counted(kept, 'file')} cannot be removed ({why}), {removed:,} were; make the folder writable"
        )
    return removed


def _folders(folder: Path) -> Iterator[tuple[str, list[str], int]]:
    """Yield path, names and descriptor of a folder and all below it."""
    with open_folder(folder) as folder_fd:
        for path, subfolders, names, here in os.fwalk(".", onerror=_refuse, dir_fd=folder_fd):
            below = path.removeprefix(".").removeprefix("/")
            deep = below.count("/") >= MAX_DEPTH
            yield below, [*names, *subfolders], here
            subfolders[:] = [] if deep else [name for name in subfolders if not name.startswith(".")]


def _refuse(error: OSError) -> None:
    raise error


def _is_named_as_ours(name: str) -> bool:
    return name == LOCK_NAME or is_output_name(name)


def _is_ours(name: str, folder_fd: int) -> bool:
    mark = next((mark for kind, mark in _MARKS.items() if name.endswith(kind.value)), None)
    if mark is None:
        return True
    try:
        return mark in read_beginning(name, _HEAD_BYTES, folder_fd)
    except OSError:  # it cannot be read, so that nobody knows
        return False


def _kind(name: str) -> str:
    if name == LOCK_NAME:
        return name
    if is_temporary_name(name):
        return _UNFINISHED
    return next((kind.value for kind in OutputKind if name.endswith(kind.value)), _EXPLANATION)
