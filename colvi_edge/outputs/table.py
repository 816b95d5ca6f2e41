"""Tables as CSV: one patch a row beside each image, and one image a row for a run, a folder or OMERO.

The patch table is read by spreadsheets, by napari (any CSV whose header holds axis-0 and axis-1
opens as points, one at the centre of each patch, every other column as a property) and by
tools for WSInfer's results, which look for minx, miny, width, height and prob_*.

RFC 4180 with newlines for line ends, UTF-8, decimal points. No cell holds a control character. Cells of text
from outside (names of files and models) are kept from being taken for formulas, except in OMERO's table the
two by which an image is found; numbers are left alone.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from statistics import fmean
from typing import NamedTuple

from colvi_edge.diagnosis import Vote
from colvi_edge.outputs.names import image_label, series_name
from colvi_edge.outputs.sidecar import BandName, ErrorRecord, Sidecar, Votes
from colvi_edge.printable import printable_name

PATCH_COLUMNS = (
    "index", "image", "row", "col", "minx", "miny", "width", "height",
    "prob_control", "prob_patient", "prediction", "band", "axis-0", "axis-1",
)  # fmt: skip
RESULT_COLUMNS = ("image_name", "prediction", "probability")
OMERO_COLUMNS = {
    "Image Name": "s", "status": "s", "diagnosis": "s", "score": "d",
    "votes_control": "l", "votes_patient": "l", "votes_tie": "l", "coverage": "d",
    "quality": "s", "model": "s", "model_sha256": "s", "result_id": "s", "intended_use": "s", "path": "s",
}  # fmt: skip
"""Columns for OMERO and their types: s text, d number, l whole number."""
FOLDER_COLUMNS = (
    "path", "status", "diagnosis", "score", "votes_control", "votes_patient", "votes_tie", "p_control_mean",
    "coverage", "quality", "remarks", "model", "model_version", "model_sha256", "runtime", "precision",
    "result_id", "created", "raw_sha256", "error_kind", "error_message", "intended_use",
)  # fmt: skip


class Listed(NamedTuple):
    """A result among others.

    Attributes:
        path: of its image, relative to the folder that was named, with the image's key if the file holds
            several: `P01/X.tif`, `P01/X.lif.0003-Series004`. Printable; no two results of a table have one.
        sidecar: all that is known of it.
    """

    path: str
    sidecar: Sidecar


class Cell(NamedTuple):
    """One patch as a sidecar records it; x and y are its top left pixel, origin top left."""

    row: int
    col: int
    x: int
    y: int
    size_px: int
    p_control: float
    p_patient: float
    vote: Vote
    band: BandName

    @property
    def name(self) -> str:
        """Its name in other programs, such as r02_c01; from 100 rows on one digit longer."""
        return f"r{self.row:02}_c{self.col:02}"


def cells(sidecar: Sidecar) -> Iterator[Cell]:
    """Yield the patches of a judged image, row-major.

    Raises:
        ValueError: the image was rejected; it has none.
    """
    grid = sidecar.patches
    if grid is None:
        raise ValueError(f"{sidecar.image.name} was rejected: it has no patches")
    for row in range(grid.rows):
        columns = zip(grid.p_control[row], grid.p_patient[row], grid.vote[row], grid.band[row], strict=True)
        for col, patch in enumerate(columns):
            yield Cell(row, col, col * grid.size_px, row * grid.size_px, grid.size_px, *patch)


def headline(sidecar: Sidecar) -> str:
    """Return the result in a few words, fit to stand alone: `patient, score 10.5 (research use only)`."""
    if sidecar.score is None:
        return "rejected, not judged (research use only)"
    return f"{sidecar.diagnosis}, score {sidecar.score:.1f} (research use only)"


def render(sidecar: Sidecar) -> bytes:
    """Return the patch table of a judged image.

    Raises:
        ValueError: the image was rejected.
    """
    image = _text(image_label(sidecar.image.name, sidecar.image.key))
    return _csv(PATCH_COLUMNS, (_patch_row(index, image, cell) for index, cell in enumerate(cells(sidecar))))


def result_csv(results: Iterable[Listed]) -> bytes:
    """Return the table of the published program: a row for each judged image, in order.

    `image_name` is the key of a row: the path, which in the folder named itself is the bare name, as there.
    `probability` is, as there, the share of patches that vote control, to three decimals;
    `prediction` is control, patient or unsure. Rejected images are left out.
    """
    return _csv(
        RESULT_COLUMNS,
        (
            (_text(path), sidecar.diagnosis, f"{sidecar.score / 100:.3f}")
            for path, sidecar in results
            if sidecar.score is not None
        ),
    )


def omero_csv(results: Iterable[Listed]) -> bytes:
    """Return the table that `omero metadata populate` attaches to a dataset: a row for each image, in order.

    OMERO finds an image by its exact name, so names stand here as they are, even one that a
    spreadsheet would take for a formula. Images of one name are told apart by the last column, `path`, the
    key of a row; OMERO itself can tell them apart only in datasets of their own. Empty numbers stop the
    import unless it is told otherwise: a rejected image has the score NaN and no votes.
    """
    columns = list(OMERO_COLUMNS)
    types = ["# header " + OMERO_COLUMNS[columns[0]], *(OMERO_COLUMNS[name] for name in columns[1:])]
    return _csv(types, [columns, *(_omero_row(*result) for result in results)])


def folder_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Return the table of all results of a folder: a row for each image, in order, see `folder_row`."""
    return _csv(FOLDER_COLUMNS, rows)


def folder_row(path: str, record: Sidecar | ErrorRecord) -> tuple[object, ...]:
    """Return the row of an image, its cells in the order of `FOLDER_COLUMNS`.

    `status` is ok, rejected or error; what an image has not is empty. `p_control_mean` is the mean over its
    patches, `quality` the names of its flags and `remarks` their words.

    Args:
        path: of its image, as of a `Listed`.
        record: what became of it.
    """
    if isinstance(record, ErrorRecord):
        cells: dict[str, object] = {
            "error_kind": record.error.kind,
            "error_message": _text(record.error.message),
        }
    else:
        cells = {
            "diagnosis": record.diagnosis,
            "score": record.score,
            "coverage": record.coverage,
            "quality": " ".join(_text(flag.name) for flag in record.quality),
            "remarks": _text(" ".join(flag.words for flag in record.quality)),
            "model": _text(record.model.name),
            "model_version": _text(record.model.version),
            "model_sha256": record.model.sha256,
            "runtime": _text(f"{record.engine.runtime} {record.engine.version}"),
            "precision": _text(record.engine.precision),
            "result_id": record.result_id,
            "intended_use": _text(record.intended_use),
        }
        if record.votes and record.patches:
            cells |= {f"votes_{vote}": count for vote, count in record.votes}
            cells["p_control_mean"] = round(fmean(chain.from_iterable(record.patches.p_control)), 6)
    cells |= {
        "path": _text(path),
        "status": record.status,
        "created": record.created.isoformat(timespec="seconds"),
        "raw_sha256": record.image.sha256,
    }
    return tuple(cells.get(column) for column in FOLDER_COLUMNS)


def _omero_row(path: str, sidecar: Sidecar) -> tuple[object, ...]:
    votes = sidecar.votes or Votes(control=0, patient=0, tie=0)
    return (
        series_name(sidecar.image.name, sidecar.image.key),
        sidecar.status,
        sidecar.diagnosis or "",
        "NaN" if sidecar.score is None else sidecar.score,
        votes.control,
        votes.patient,
        votes.tie,
        sidecar.coverage,
        " ".join(flag.words for flag in sidecar.quality),
        _text(sidecar.model.label),
        sidecar.model.sha256,
        sidecar.result_id,
        sidecar.intended_use,
        path,
    )


def _patch_row(index: int, image: str, cell: Cell) -> tuple[object, ...]:
    to_centre = (cell.size_px - 1) / 2  # napari counts from the pixels' centres
    return (
        index, image, cell.row, cell.col, cell.x, cell.y, cell.size_px, cell.size_px,
        cell.p_control, cell.p_patient, cell.vote, cell.band, cell.y + to_centre, cell.x + to_centre,
    )  # fmt: skip


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([printable_name(cell) if isinstance(cell, str) else cell for cell in row])
    return lines.getvalue().encode("utf-8", "backslashreplace")


def _text(name: str) -> str:
    """Keep a spreadsheet from taking a name for a formula, which could run commands, or for two rows."""
    # Also before the apostrophes of a name such as '=1.tif, or it would stand as =1.tif does.
    formula = name.lstrip("'").startswith(("=", "+", "-", "@", "\t"))
    return printable_name("'" + name if formula else name)
