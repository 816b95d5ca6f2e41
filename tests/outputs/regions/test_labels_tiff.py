"""Plain readers get the numbers, ImageJ its colours and its scale (tests/viewers has the real one)."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import tifffile

from colvi_edge.outputs.regions.labels_tiff import render
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.objects import Objects
from colvi_edge.tasks.segment import Segmentation

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("with_objects", [True, False])
def test_the_pixels_are_the_labels(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, planes: int, with_objects: bool
) -> None:
    """Of objects if there are any, else of classes; a page for each plane."""
    result = make_segmentation(planes, with_objects=with_objects)
    expected = result.objects.labels if result.objects else result.labels
    with tifffile.TiffFile(io.BytesIO(render(make_record(result), result))) as file:
        found = file.asarray()
        assert len(file.pages) == planes
        assert {page.compression for page in file.pages} == {tifffile.COMPRESSION.ADOBE_DEFLATE}
        assert file.is_imagej
        metadata = file.imagej_metadata or {}
        x, y = file.pages[0].resolution

    assert found.dtype == (np.uint16 if with_objects else np.uint8)
    np.testing.assert_array_equal(found, expected[0] if planes == 1 else expected)
    assert metadata["unit"] == "um"
    assert (x, y) == pytest.approx((4, 4))
    assert (metadata["min"], metadata["max"]) == (0, 255)


def test_the_colours_tell_neighbours_apart(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """Nothing is black; the next numbers are never alike, nor dark."""
    for with_objects in (True, False):
        result = make_segmentation(with_objects=with_objects)
        with tifffile.TiffFile(io.BytesIO(render(make_record(result), result))) as file:
            page = file.pages.first
            colours = np.reshape(page.tags["ColorMap"].value, (3, 256)).T // 257
            assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK

        assert colours[0].tolist() == [0, 0, 0]
        assert colours[1:].max(axis=1).min() >= 200
        assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 60
        assert len(np.unique(colours, axis=0)) > 250


def test_pixels_that_are_not_square_and_none_known(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """The height is written where it is not the width; without a size no unit is claimed."""
    result = make_segmentation()
    with tifffile.TiffFile(io.BytesIO(render(make_record(result), result, 0.5))) as file:
        assert file.pages[0].resolution == pytest.approx((4, 2))
    unknown = make_segmentation(pixel_um=None)
    with tifffile.TiffFile(io.BytesIO(render(make_record(unknown), unknown))) as file:
        assert "unit" not in (file.imagej_metadata or {})


def test_more_objects_than_16_bits_number(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """They keep their numbers, in a plain TIFF of 32 bits."""
    made = make_segmentation()
    labels = np.arange(1, 300 * 300 + 1, dtype=np.int32).reshape(1, 300, 300)
    assert made.objects
    many = Segmentation(
        made.classes, made.labels, made.probability, made.regions, Objects(labels, made.objects.rows * 5000)
    )
    with tifffile.TiffFile(io.BytesIO(render(make_record(made), many, 0.5))) as file:
        assert file.asarray().dtype == np.uint32
        np.testing.assert_array_equal(file.asarray(), labels[0])
        x, y = (np.divide(*file.pages.first.tags[f"{side}Resolution"].value) for side in "XY")
        assert file.pages.first.tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        assert (1e4 / x, 1e4 / y) == pytest.approx((0.25, 0.5))  # um


def test_equal_results_give_equal_bytes_that_say_whose_they_are(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """No clock; `clean` knows them by their software."""
    result = make_segmentation(2)
    data = render(make_record(result), result)

    assert data == render(make_record(result), make_segmentation(2))
    assert b"\0colvi-edge " in data[: 2**16]
