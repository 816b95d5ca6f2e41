"""Every result below a folder as one table."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from colvi_edge.errors import UsageError
from colvi_edge.outputs.atomic import open_folder
from colvi_edge.outputs.names import OutputKind, record_label
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.outputs.table import folder_csv, folder_row
from colvi_edge.printable import unambiguous_name
from colvi_edge.report.gather import records_below


class Listing(NamedTuple):
    """The results of a folder.

    Attributes:
        table: as CSV, a row for each image, by path.
        images: how many there are.
        unread: how many records are none of this version or cannot be read, and folders cannot be listed.
    """

    table: bytes
    images: int
    unread: int


class _Row(NamedTuple):
    created: datetime
    cells: tuple[object, ...]


def list_results(folder: Path) -> Listing:
    """Return what lies in a folder and those below it; links are not followed.

    Raises:
        UsageError: the folder cannot be listed, or holds no result.
    """
    unlisted: list[OSError] = []
    rows: dict[str, _Row] = {}
    unread = 0
    try:
        with open_folder(folder) as folder_fd:
            for below, name, here in records_below(folder_fd, unlisted):
                record = _read(name, here)
                if record is None:
                    unread += 1
                elif not isinstance(record, Index):
                    label = record_label(name, record.image.name, record.image.key)
                    path = unambiguous_name(f"{below}/{label}" if below else label)
                    # A result and an error of one image stand side by side only where something broke off.
                    if path not in rows or rows[path].created < record.created:
                        rows[path] = _Row(record.created, folder_row(path, record))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be listed: {error.strerror}; give a folder with results"
        ) from error
    if not rows:
        raise UsageError(
            f"found no result below {folder}; diagnose its images first (colvi-edge run), or name the folder "
            "that --output-dir put the results into"
        )
    return Listing(folder_csv(_in_order(rows)), len(rows), unread + len(unlisted))


def _in_order(rows: dict[str, _Row]) -> Iterable[tuple[object, ...]]:
    return (rows[path].cells for path in sorted(rows))


def _read(name: str, folder_fd: int) -> Sidecar | ErrorRecord | Index | None:
    if name.endswith(OutputKind.ERROR.value):
        return read_record(ErrorRecord, name, folder_fd)
    return read_record(Sidecar, name, folder_fd) or read_record(Index, name, folder_fd)
