"""The folder that results go to: held open, looked through, and what is wrong with it explained."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from colvi_edge.errors import BlockedOutputError, OutputError
from colvi_edge.outputs import table
from colvi_edge.outputs.names import OutputKind, record_label
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import Index, Sidecar
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.system.atomic import Drafts, open_folder, remove_leftovers, write_atomically


def write_table(
    path: Path, folders: Mapping[str, Path], render: Callable[[Iterable[table.Listed]], bytes]
) -> int:
    """Write a table of every result that lies in the folders, such as `table.result_csv` renders it.

    Returns:
        How many files are called as sidecars are, but are none, nor the index of images.

    Args:
        path: of the table.
        folders: each by its place, see `jobs.Job`.
        render: makes the table.

    Raises:
        OutputError: the table cannot be written.
    """
    unread: list[Path] = []
    write_file(path, render(_listed(folders, unread)))
    return len(unread)


def _listed(folders: Mapping[str, Path], unread: list[Path]) -> Iterator[table.Listed]:
    for place, folder in sorted(folders.items()):
        for record in sorted(folder.glob(f"*{OutputKind.SIDECAR.value}")):
            if sidecar := read_sidecar(record):
                label = record_label(record.name, sidecar.image.name, sidecar.image.key)
                yield table.Listed(unambiguous_name(f"{place}/{label}" if place else label), sidecar)
            elif read_record(Index, record) is None:
                unread.append(record)


def check_writable(path: Path) -> None:
    """Find out before long work whether a file can be written; nothing stays.

    Raises:
        OutputError: it cannot.
    """
    with open_results(path.parent, printable_name(path.name)) as folder_fd, Drafts(folder_fd) as drafts:
        drafts.write(path.name, b"")


def write_file(path: Path, data: bytes) -> None:
    """Write a file that somebody named, whole or not at all; its folder is made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    with open_results(path.parent, printable_name(path.name)) as folder_fd:
        write_atomically(folder_fd, path.name, data)


def clear_leftovers(folders: Iterable[Path]) -> None:
    """Remove what killed writers left in folders that results were written into, where that is possible."""
    for folder in folders:
        with suppress(OSError), open_folder(folder) as folder_fd:
            remove_leftovers(folder_fd)


def read_sidecar(name: str | Path, folder_fd: int | None = None) -> Sidecar | None:
    """Return a sidecar; None if there is none, or it is not one of this version.

    Args:
        name: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.
    """
    return read_record(Sidecar, name, folder_fd)


@contextmanager
def open_results(folder: Path, what: str = "results") -> Iterator[int]:
    """Hold a folder for results open, made if need be; gives its descriptor.

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
def explained(folder: str, what: str = "results", *, names: bool = True) -> Iterator[None]:
    """Turn what the file system says against writing into a folder into an OutputError.

    Args:
        folder: how it is called.
        what: is written there, such as "results", "the report" or a file's name.
        names: what is in the way is named in full, and not by its end only, which says nothing of people.
    """
    try:
        yield
    except IsADirectoryError as error:
        name = os.fsdecode(error.filename2 or error.filename)
        if not names:
            name = f"*{next((kind.value for kind in OutputKind if name.endswith(kind.value)), '')}"
        raise BlockedOutputError(
            f"cannot write {what} into {folder}: {error.strerror}; a folder named {printable_name(name)} "
            "is in the way, rename or remove it"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write {what} into {folder}: {error.strerror}; make room, make the folder "
            "writable, or choose another"
        ) from error
