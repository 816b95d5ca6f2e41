"""Tables of results as CSV, one image a row: for a run, a folder or OMERO.

RFC 4180 with newlines for line ends, UTF-8, decimal points. No cell holds a control character. Cells of text
from outside (names of files and models) are kept from being taken for formulas, except in OMERO's table the
two by which an image is found; numbers are left alone.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from colvi_edge.outputs.cells import counts_of, grids_of
from colvi_edge.outputs.names import OutputKind, record_label, series_name
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.system.writing import write_file

RESULT_COLUMNS = ("image_name", "prediction", "probability")
OMERO_COLUMNS = {
    "Image Name": "s", "status": "s", "diagnosis": "s", "score": "d",
    "votes_control": "l", "votes_patient": "l", "votes_tie": "l", "coverage": "d",
    "quality": "s", "model": "s", "model_sha256": "s", "result_id": "s", "intended_use": "s", "path": "s",
}  # fmt: skip
"""Columns for OMERO and their types: s text, d number, l whole number."""
LEFT_OUT = "left_out"
"""Column that says how many cells of a row have no column; only in a table where some have none."""
MOST_FURTHER = 512
"""Columns of other classes: with one for each class of any row a table would grow with the square of rows."""
_COUNTED = ("votes_", "objects_", LEFT_OUT)
"""Columns of whole numbers begin so."""
FOLDER_COLUMNS = (
    "path", "status", "diagnosis", "score", "votes_control", "votes_patient", "votes_tie", "p_control_mean",
    "coverage", "quality", "remarks", "model", "model_version", "model_sha256", "runtime", "precision",
    "result_id", "created", "raw_sha256", "error_kind", "error_message", "intended_use",
)  # fmt: skip


class ListedResult(NamedTuple):
    """A result among others.

    Attributes:
        path: of its image, relative to the folder that was named, with the image's key if the file holds
            several: `P01/X.tif`, `P01/X.lif.0003-Series004`. Printable; no two results of a table have one.
        sidecar: all that is known of it.
    """

    path: str
    sidecar: Sidecar


def write_table(
    path: Path, folders: Mapping[str, Path], render: Callable[[Iterable[ListedResult]], bytes]
) -> int:
    """Write a table of every result with plain names in the folders, such as `result_csv` renders it.

    Returns:
        How many files are called as sidecars are, but are none, nor the index of images.

    Args:
        path: of the table.
        folders: each by its place, see `pipeline.inputs.InputFile`.
        render: makes the table.

    Raises:
        OutputError: the table cannot be written.
    """
    unread: list[Path] = []
    write_file(path, render(_listed(folders, unread)))
    return len(unread)


def _listed(folders: Mapping[str, Path], unread: list[Path]) -> Iterator[ListedResult]:
    for place, folder in sorted(folders.items()):
        for record in sorted(folder.glob(f"*{OutputKind.SIDECAR.value}")):
            if sidecar := read_record(Sidecar, record):
                if sidecar.slot:  # of a further bundle, which answers another question
                    continue
                label = record_label(record.name, sidecar.image.name, sidecar.image.key)
                yield ListedResult(unambiguous_name(f"{place}/{label}" if place else label), sidecar)
            elif read_record(Index, record) is None:
                unread.append(record)


def result_csv(results: Iterable[ListedResult]) -> bytes:
    """Return the table of the published program: a row for each judged image, in order.

    `image_name` is the key of a row: the path, which in the folder named itself is the bare name, as there.
    `probability` is, as there, the share of patches that vote control, to three decimals;
    `prediction` is control, patient or unsure. Of other classes it is one of these, and `probability` the
    hundredth part of the score. Rejected images are left out.
    """
    return as_csv(
        RESULT_COLUMNS,
        (
            (plain_text(path), sidecar.diagnosis, f"{sidecar.score / 100:.3f}")
            for path, sidecar in results
            if sidecar.score is not None
        ),
    )


def omero_csv(results: Iterable[ListedResult]) -> bytes:
    """Return the table that `omero metadata populate` attaches to a dataset: a row for each image, in order.

    OMERO finds an image by its exact name, so names stand here as they are, even one that a
    spreadsheet would take for a formula. Images of one name are told apart by the last column, `path`, the
    key of a row; OMERO itself can tell them apart only in datasets of their own. Empty numbers stop the
    import unless it is told otherwise: a rejected image has the score NaN and no votes. Votes for other
    classes than control and patient, regions and objects have columns of their own, before that, as in
    `folder_csv`.
    """
    names, rows = _bounded((_omero_row(*result) for result in results), OMERO_COLUMNS)
    more = {name: "l" if name.startswith(_COUNTED) else "d" for name in names}
    *others, path = OMERO_COLUMNS
    columns = [*others, *more, path]
    types = {**OMERO_COLUMNS, **more}
    kinds = [types[name] for name in columns]
    unknown = {"l": 0, "d": "NaN"}
    cells = ([row.get(name, unknown.get(types[name])) for name in columns] for row in rows)
    return as_csv(["# header " + kinds[0], *kinds[1:]], chain([columns], cells))


def folder_csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return the table of all results of a folder: a row for each image, in order, see `folder_row`.

    Of further columns it has the first 512; where that is not all, one more, `left_out`, says of each row how
    many of its cells have none.
    """
    further, listed = _bounded(rows, FOLDER_COLUMNS)
    columns = [*FOLDER_COLUMNS, *further]
    return as_csv(columns, ([row.get(name) for name in columns] for row in listed))


def _bounded(
    rows: Iterable[Mapping[str, object]], known: Collection[str]
) -> tuple[list[str], list[Mapping[str, object]]]:
    """Return the further columns of a table, and its rows, which tell where they have more."""
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row if name not in known)
    if len(names) <= MOST_FURTHER:
        return list(names), listed
    further = list(names)[:MOST_FURTHER]
    has_column = {*known, *further}
    told: list[Mapping[str, object]] = [
        {**row, LEFT_OUT: sum(name not in has_column for name in row)} for row in listed
    ]
    return [*further, LEFT_OUT], told


def folder_row(path: str, record: Sidecar | ErrorRecord) -> dict[str, object]:
    """Return the row of an image: its cells by column, those of `FOLDER_COLUMNS` first.

    `status` is ok, rejected or error; what an image has not is empty. `p_control_mean` is the mean over its
    patches, `quality` the names of its flags and `remarks` their words. Other classes have columns of their
    own behind these, votes_CLASS and p_CLASS_mean; regions share_CLASS and area_um2_CLASS; objects
    objects_CLASS, and the median diameter of all that do not touch the border.

    Args:
        path: of its image, as of a `ListedResult`.
        record: what became of it.
    """
    if isinstance(record, ErrorRecord):
        cells: dict[str, object] = {
            "error_kind": record.error.kind,
            "error_message": plain_text(record.error.message),
        }
    else:
        cells = {
            "diagnosis": record.diagnosis,
            "score": record.score,
            "coverage": record.coverage,
            "quality": " ".join(plain_text(flag.name) for flag in record.quality),
            "remarks": plain_text(" ".join(flag.words for flag in record.quality)),
            "model": plain_text(record.model.name),
            "model_version": plain_text(record.model.version),
            "model_sha256": record.model.sha256,
            "runtime": plain_text(f"{record.engine.runtime} {record.engine.version}"),
            "precision": plain_text(record.engine.precision),
            "result_id": record.result_id,
            "intended_use": plain_text(record.intended_use),
        }
        if record.votes and record.patches:
            cells |= {f"votes_{vote}": count for vote, count in counts_of(record).items()}
            grids = grids_of(record.patches)
            if record.task is None:
                grids = {"control": grids["control"]}
            cells |= {f"p_{name}_mean": _mean(grid) for name, grid in grids.items()}
        cells |= _regions(record)
    cells |= {
        "path": plain_text(path),
        "status": record.status,
        "created": record.created.isoformat(timespec="seconds"),
        "raw_sha256": record.image.sha256,
    }
    return cells


def _regions(record: Sidecar) -> dict[str, object]:
    """Return the cells of regions and objects; none of a result without."""
    cells: dict[str, object] = {}
    for region in record.regions or ():
        cells[f"share_{region.name}"] = region.share
        if region.area_um2 is not None:
            cells[f"area_um2_{region.name}"] = region.area_um2
    if (objects := record.objects) is not None:
        cells |= {f"objects_{name}": count for name, count in objects.by_class.items()}
        cells["objects_at_border"] = objects.count - objects.counted
        for unit, spread in (("px", objects.diameter_px), ("um", objects.diameter_um)):
            if spread is not None:
                cells[f"diameter_{unit}_median"] = spread.median
    return cells


def _mean(grid: list[list[float]]) -> float:
    return round(fmean(chain.from_iterable(grid)), 6)


def _omero_row(path: str, sidecar: Sidecar) -> dict[str, object]:
    return {
        "Image Name": series_name(sidecar.image.name, sidecar.image.key),
        "status": sidecar.status,
        "diagnosis": sidecar.diagnosis or "",
        "score": "NaN" if sidecar.score is None else sidecar.score,
        **{f"votes_{vote}": count for vote, count in counts_of(sidecar).items()},
        **_regions(sidecar),
        "coverage": sidecar.coverage,
        "quality": " ".join(flag.words for flag in sidecar.quality),
        "model": plain_text(sidecar.model.label),
        "model_sha256": sidecar.model.sha256,
        "result_id": sidecar.result_id,
        "intended_use": sidecar.intended_use,
        "path": path,
    }


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table whose cells are printable."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([printable_name(cell) if isinstance(cell, str) else cell for cell in row])
    return lines.getvalue().encode("utf-8", "backslashreplace")


def plain_text(name: str) -> str:
    """Keep a spreadsheet from taking a name for a formula, which could run commands, or for two rows."""
    # Also before the apostrophes of a name such as '=1.tif, or it would stand as =1.tif does.
    formula = name.lstrip("'").startswith(("=", "+", "-", "@", "\t"))
    return printable_name("'" + name if formula else name)
