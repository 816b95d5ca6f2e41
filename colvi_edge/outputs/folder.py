"""The folder that results go to: held open, looked through, and told of in tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from colvi_edge.outputs import table
from colvi_edge.outputs.names import OutputKind, record_label
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import Index, Sidecar
from colvi_edge.printable import unambiguous_name
from colvi_edge.system.writing import hold_folder, write_file


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


def read_sidecar(name: str | Path, folder_fd: int | None = None) -> Sidecar | None:
    """Return a sidecar; None if there is none, or it is not one of this version.

    Args:
        name: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.
    """
    return read_record(Sidecar, name, folder_fd)


def open_results(folder: Path) -> AbstractContextManager[int]:
    """Hold a folder for results open, made if need be; gives its descriptor.

    Raises:
        OutputError: it cannot be opened; or, while it is held, written.
    """
    return hold_folder(folder, "results")


def kind_of_name(name: str) -> str:
    """Return how an output is called where its name may not be told, such as "*.colvi.json"."""
    return f"*{next((kind.value for kind in OutputKind if name.endswith(kind.value)), '')}"
