"""The table of an image's cells, one a row: its patches, itself, or the slices of a stack.

It is read by spreadsheets, by napari (any CSV whose header holds axis-0 and axis-1 opens as points,
one at the centre of each cell, every other column as a property) and by tools for WSInfer's
results, which look for minx, miny, width, height and prob_*. Of a stack, `row` is the slice, counted from 0,
and the first of three axes.
"""

from collections.abc import Iterable

from colvi_edge.outputs.cells import Cell, cells
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Cells, Sidecar
from colvi_edge.outputs.table import as_csv, plain_text

_PLACE = ("index", "image", "row", "col", "minx", "miny", "width", "height")
PATCH_COLUMNS = (*_PLACE, "prob_control", "prob_patient", "prediction", "band", "axis-0", "axis-1")
"""Of an image whose patches tell control from patient."""


def render(sidecar: Sidecar, listed: Iterable[Cell] | None = None) -> bytes:
    """Return the patch table of a judged image.

    Args:
        sidecar: of the image.
        listed: its cells, where they are at hand.

    Raises:
        ValueError: the image was rejected.
    """
    image = plain_text(image_label(sidecar.image.name, sidecar.image.key))
    rows = (_row(index, image, cell) for index, cell in enumerate(listed or cells(sidecar)))
    return as_csv(_columns(sidecar), rows)


def _columns(sidecar: Sidecar) -> tuple[str, ...]:
    grid = sidecar.patches
    if not isinstance(grid, Cells):
        return PATCH_COLUMNS
    axes = ("axis-0", "axis-1", "axis-2") if grid.of == "slice" else ("axis-0", "axis-1")
    return (*_PLACE, *(f"prob_{name}" for name in grid.probabilities), "prediction", *axes)


def _row(index: int, image: str, cell: Cell) -> tuple[object, ...]:
    # napari counts from the pixels' centres
    centre = (cell.y + (cell.height - 1) / 2, cell.x + (cell.width - 1) / 2)
    return (
        index, image, cell.row, cell.col, cell.x, cell.y, cell.width, cell.height,
        *cell.probabilities.values(), cell.vote, *([cell.band] if cell.band else []),
        *([] if cell.plane is None else [cell.plane]), *centre,
    )  # fmt: skip
