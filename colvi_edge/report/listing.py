"""Every result below a folder as one table."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from colvi_edge.errors import UsageError
from colvi_edge.outputs.names import OutputKind, record_label
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.outputs.table import folder_csv, folder_row
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.report.gather import records_below
from colvi_edge.system.atomic import open_folder


class Listing(NamedTuple):
    """The results of a folder.

    Attributes:
        table: as CSV, a row for each image, by path.
        images: how many there are.
        unread: how many records are none of this version or cannot be read, and folders cannot be listed.
        bereft: paths of the images whose raw file is gone: others of their folder lie beside their results.
    """

    table: bytes
    images: int
    unread: int
    bereft: list[str]


class _Row(NamedTuple):
    created: datetime
    folder: str
    has_raw: bool
    cells: Mapping[str, object]


def list_results(folder: Path) -> Listing:
    """Return what lies in a folder and those below it; links are not followed.

    Raises:
        UsageError: the folder cannot be listed, or holds no result.
    """
    unlisted: list[OSError] = []
    rows: dict[str, _Row] = {}
    there: dict[str, set[str]] = {}
    unread = 0
    try:
        with open_folder(folder) as folder_fd:
            for below, name, here in records_below(folder_fd, unlisted):
                record = _read(name, here)
                if record is None:
                    unread += 1
                elif not isinstance(record, Index):
                    label = record_label(name, record.image.name, record.image.key, record.slot or "")
                    path = unambiguous_name(f"{below}/{label}" if below else label)
                    # A result and an error of one image stand side by side only where something broke off.
                    if path not in rows or rows[path].created < record.created:
                        if below not in there:
                            names = os.listdir(here)  # noqa: PTH208 - of a descriptor
                            there[below] = set(map(printable_name, names))
                        has_raw = record.image.name in there[below]
                        rows[path] = _Row(record.created, below, has_raw, folder_row(path, record))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be listed: {error.strerror}; give a folder with results"
        ) from error
    if not rows:
        raise UsageError(
            f"found no result below {folder}; diagnose its images first (colvi-edge run), or name the folder "
            "that --output-dir put the results into"
        )
    # Where no raw file lies beside a result they may all lie elsewhere, as with --output-dir.
    with_raws = {row.folder for row in rows.values() if row.has_raw}
    bereft = [path for path in sorted(rows) if not rows[path].has_raw and rows[path].folder in with_raws]
    return Listing(folder_csv(_in_order(rows)), len(rows), unread + len(unlisted), bereft)


def _in_order(rows: dict[str, _Row]) -> Iterable[Mapping[str, object]]:
    return (rows[path].cells for path in sorted(rows))


def _read(name: str, folder_fd: int) -> Sidecar | ErrorRecord | Index | None:
    if name.endswith(OutputKind.ERROR.value):
        return read_record(ErrorRecord, name, folder_fd)
    return read_record(Sidecar, name, folder_fd) or read_record(Index, name, folder_fd)
