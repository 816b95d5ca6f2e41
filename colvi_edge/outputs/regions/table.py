"""The table of an image's objects, one a row; of its classes where no objects are asked for.

Spreadsheets read it, and napari opens it as points at the centroids: axis-0 is the row, axis-1 the column,
and of a stack axis-0 is the plane. Lengths stand in pixels, and in micrometres where the size of a pixel is
known.
"""

from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.outputs.table import as_csv, plain_text
from colvi_edge.tasks.objects import ObjectMeasures
from colvi_edge.tasks.segment import Segmentation

OBJECT_COLUMNS = (
    "label", "image", "class", "plane", "x", "y", "area_px", "area_um2", "diameter_px", "diameter_um",
    "roundness", "circularity", "mean_probability", "touches_border", "parts_at_least",
)  # fmt: skip
REGION_COLUMNS = ("image", "class", "pixels", "share", "area_um2", "parts")


def render(sidecar: Sidecar, result: Segmentation) -> bytes:
    """Return the table of a segmented image."""
    image = plain_text(image_label(sidecar.image.name, sidecar.image.key))
    if result.objects is None:
        return as_csv(
            REGION_COLUMNS,
            (
                (image, region.name, region.pixels, region.share, region.area_um2, region.parts)
                for region in result.regions
            ),
        )
    is_stack = len(result.labels) > 1
    axes = ("axis-0", "axis-1", "axis-2") if is_stack else ("axis-0", "axis-1")
    return as_csv(
        (*OBJECT_COLUMNS, *axes),
        (
            (
                *_row(image, result.classes[row.class_index], row),
                *([row.plane] if is_stack else []),
                row.y,
                row.x,
            )
            for row in result.objects.rows
        ),
    )


def _row(image: str, name: str, row: ObjectMeasures) -> tuple[object, ...]:
    return (
        row.label, image, name, row.plane, row.x, row.y, row.area_px, row.area_um2, row.diameter_px,
        row.diameter_um, row.roundness, row.circularity, row.mean_probability, int(row.touches_border),
        row.parts_at_least,
    )  # fmt: skip
