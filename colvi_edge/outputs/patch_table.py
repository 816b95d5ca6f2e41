"""The table of an image's patches, one a row.

It is read by spreadsheets, by napari (any CSV whose header holds axis-0 and axis-1 opens as points,
one at the centre of each patch, every other column as a property) and by tools for WSInfer's
results, which look for minx, miny, width, height and prob_*.
"""

from colvi_edge.outputs.cells import Cell, cells
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.outputs.table import as_csv, plain_text

PATCH_COLUMNS = (
    "index", "image", "row", "col", "minx", "miny", "width", "height",
    "prob_control", "prob_patient", "prediction", "band", "axis-0", "axis-1",
)  # fmt: skip


def render(sidecar: Sidecar) -> bytes:
    """Return the patch table of a judged image.

    Raises:
        ValueError: the image was rejected.
    """
    image = plain_text(image_label(sidecar.image.name, sidecar.image.key))
    return as_csv(
        PATCH_COLUMNS, (_patch_row(index, image, cell) for index, cell in enumerate(cells(sidecar)))
    )


def _patch_row(index: int, image: str, cell: Cell) -> tuple[object, ...]:
    to_centre = (cell.size_px - 1) / 2  # napari counts from the pixels' centres
    return (
        index, image, cell.row, cell.col, cell.x, cell.y, cell.size_px, cell.size_px,
        cell.p_control, cell.p_patient, cell.vote, cell.band, cell.y + to_centre, cell.x + to_centre,
    )  # fmt: skip
