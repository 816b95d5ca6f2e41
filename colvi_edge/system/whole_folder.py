"""Folders that are whole or absent, as `atomic` has it for files."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from colvi_edge.system.atomic import open_folder, temporary_name, write_new


def write_folder(path: Path, files: Iterable[tuple[str, bytes]], mode: int = 0o755) -> None:
    """Put a folder in its place so that it is seen whole or not at all, even after a power cut.

    What stands there, of whatever kind, is renamed aside until the new folder has its name: interrupted, one
    of the two stands at `path`. Only a kill between the two renames leaves both beside it, whole and hidden.
    A link is moved, its target left alone.

    Args:
        path: of the folder; the one that it is in is there.
        files: name and content of each, asked for one after the other.
        mode: of the folder, less the umask.

    Raises:
        OSError: as the file system gave it; the draft is gone, what stood there is untouched.
    """
    new, old = path.with_name(temporary_name()), path.with_name(temporary_name())
    try:
        new.mkdir(mode)
        with open_folder(new) as folder_fd:
            for name, data in files:
                write_new(folder_fd, name, data)
            os.fsync(folder_fd)
        _exchange(path, new, old)
        with open_folder(path.parent) as parent_fd:
            os.fsync(parent_fd)
    finally:  # Ctrl-C too must not leave litter
        with suppress(OSError):
            remove_all(new)
            if os.path.lexists(path):
                remove_all(old)


def remove_all(path: Path) -> None:
    """Remove whatever is there: a folder with all in it, a file, a link but not its target, or nothing.

    Raises:
        OSError: a part of it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _exchange(path: Path, new: Path, old: Path) -> None:
    """Put `new` at `path`, what stood there at `old`."""
    try:
        if os.path.lexists(path):
            path.rename(old)
        new.rename(path)
    except BaseException:  # Ctrl-C too must not cost what stood there
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        raise
