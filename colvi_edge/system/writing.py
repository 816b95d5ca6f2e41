"""Files that somebody named and folders that are written into: what goes wrong there is one sentence."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from colvi_edge.errors import BlockedOutputError, OutputError
from colvi_edge.printable import printable_name
from colvi_edge.system.atomic import Drafts, open_folder, remove_leftovers, write_atomically


def write_file(path: Path, data: bytes) -> None:
    """Write a file that somebody named, whole or not at all; its folder is made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    with hold_folder(path.parent, printable_name(path.name)) as folder_fd:
        write_atomically(folder_fd, path.name, data)


def check_writable(path: Path) -> None:
    """Check before long work that a file can be written; nothing stays.

    Raises:
        OutputError: it cannot.
    """
    with hold_folder(path.parent, printable_name(path.name)) as folder_fd, Drafts(folder_fd) as drafts:
        drafts.write(path.name, b"")


@contextmanager
def hold_folder(folder: Path, what: str) -> Iterator[int]:
    """Hold a folder that is written into open, made if need be; gives its descriptor.

    Args:
        folder: to be opened.
        what: is to be written there, for the error.

    Raises:
        OutputError: it cannot be opened; or, while it is held, written.
    """
    with explained(str(folder), what):
        folder.mkdir(parents=True, exist_ok=True)
        with open_folder(folder) as folder_fd:
            yield folder_fd


@contextmanager
def explained(folder: str, what: str, shown: Callable[[str], str] = printable_name) -> Iterator[None]:
    """Turn what the file system says against writing into a folder into an OutputError.

    Args:
        folder: how it is called.
        what: is written there, such as "results", "the report" or a file's name.
        shown: returns how the name of what is in the way is told.
    """
    try:
        yield
    except IsADirectoryError as error:
        name = os.fsdecode(error.filename2 or error.filename)
        raise BlockedOutputError(
            f"cannot write {what} into {folder}: {error.strerror}; a folder named {shown(name)} "
            "is in the way, rename or remove it"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write {what} into {folder}: {error.strerror}; make room, make the folder "
            "writable, or choose another"
        ) from error


def clear_leftovers(folders: Iterable[Path]) -> None:
    """Remove what killed writers left in folders that were written into, where that is possible."""
    for folder in folders:
        with suppress(OSError), open_folder(folder) as folder_fd:
            remove_leftovers(folder_fd)
