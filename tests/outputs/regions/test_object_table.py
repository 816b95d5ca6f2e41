"""A row an object, with units in the names of columns; napari's axes at the centroids."""

import csv
import io
from collections.abc import Callable

import numpy as np
import pytest

from colvi_edge.outputs.regions.table import render
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]


def rows(record: Sidecar, result: Segmentation) -> list[dict[str, str]]:
    """Return the table's rows by column."""
    return list(csv.DictReader(io.StringIO(render(record, result).decode(), newline="")))


@pytest.mark.parametrize("planes", [1, 3])
def test_a_row_an_object(make_segmentation: MakeSegmentation, make_record: MakeRecord, planes: int) -> None:
    """With every measure; axes count the plane first where there are several."""
    result = make_segmentation(planes)
    assert result.objects
    found = rows(make_record(result), result)

    assert len(found) == len(result.objects.rows)
    for told, row in zip(found, result.objects.rows, strict=True):
        assert (told["label"], told["class"]) == (str(row.label), result.classes[row.class_index])
        numbers = ("x", "y", "area_px", "area_um2", "diameter_px", "diameter_um", "roundness", "circularity")
        assert [float(told[name]) for name in numbers] == [getattr(row, name) for name in numbers]
        assert told["touches_border"] == str(int(row.touches_border))
        place = [row.plane, row.y, row.x] if planes > 1 else [row.y, row.x]
        assert [float(told[f"axis-{axis}"]) for axis in range(len(place))] == place
        assert ("axis-2" in told) == (planes > 1)
        at = np.argwhere(result.objects.labels[row.plane] == row.label).mean(axis=0)
        assert at == pytest.approx(place[-2:])


def test_what_is_not_known_is_empty(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> None:
    """Not zero, and no word."""
    result = make_segmentation(pixel_um=None)
    found = rows(make_record(result), result)

    assert {(row["area_um2"], row["diameter_um"]) for row in found} == {("", "")}


def test_without_objects_a_row_a_class(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> None:
    """Names that a spreadsheet takes for formulas stand behind an apostrophe."""
    result = make_segmentation(with_objects=False)
    record = make_record(result)
    named = record.model_copy(update={"image": record.image.model_copy(update={"name": "=1.tif"})})
    found = rows(named, result)

    assert [row["class"] for row in found] == ["nucleus", "vesicle"]
    assert [int(row["pixels"]) for row in found] == [region.pixels for region in result.regions]
    assert {row["image"] for row in found} == {"'=1.tif"}
