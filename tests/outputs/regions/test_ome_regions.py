"""The OME-TIFF of a segmented image: valid by the schema, its polygons fill to the labels, holes and all."""

import io
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import ome_types
import pytest
import roifile
import tifffile
from matplotlib.path import Path
from numpy.typing import NDArray

from colvi_edge.outputs.ome_tiff import render_shown
from colvi_edge.outputs.regions.outlined import Outlined
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation
from tests.tools.segmentations import segmented

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]


def points_of(polygon: Any) -> NDArray[np.float64]:
    """Return the corners of an OME polygon."""
    return np.array([point.split(",") for point in polygon.points.split()], float)


@pytest.mark.parametrize("roles", [("intensity",), ("reflectance", "fluorescence"), ("collagen", "nuclei")])
def test_every_object_is_a_roi(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, roles: tuple[str, ...]
) -> None:
    """Filled by OME's rule the polygons are the labels; the planes are the channels; ImageJ finds as many."""
    result = make_segmentation()
    assert result.objects
    pixels = np.random.default_rng(0).poisson(50, (len(roles), 160, 220)).astype(np.uint16)
    data = render_shown(make_record(result), Shown(pixels, roles), Outlined(result))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        xml = str(tiff.pages.first.description)
        np.testing.assert_array_equal(tiff.asarray().reshape(pixels.shape), pixels)
        imagej = [
            roifile.ImagejRoi.frombytes(roi) for roi in tiff.pages.first.tags["IJMetadata"].value["Overlays"]
        ]
    ome_types.validate_xml(xml)
    ome: Any = ome_types.from_xml(xml)

    assert [channel.name for channel in ome.images[0].pixels.channels] == list(roles)
    field, *objects = ome.rois
    assert field.union[0].width == 220
    assert len(objects) == len(imagej) == 20
    rows, cols = np.indices((160, 220))
    centres = np.stack([cols.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    found = np.zeros((160, 220), int)
    for roi, row in zip(objects, result.objects.rows, strict=True):
        assert roi.name == f"{result.classes[row.class_index]}_{row.label:04}"
        for polygon in roi.union:
            corners = points_of(polygon)
            inside = Path(corners, closed=False).contains_points(centres).reshape(found.shape)
            found[inside] = row.label
            x, y = corners.T
            area = abs(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2
            if len(roi.union) == 1:
                assert area == row.area_px
    np.testing.assert_array_equal(found, result.objects.labels[0])


def test_pairs_tell_shares_and_counts(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> None:
    """As OMERO shows them beside the image; a rejected image has neither."""
    result = make_segmentation()
    shown = Shown(np.ones((1, 160, 220), np.uint16), ("intensity",))

    def pairs(record: Sidecar, outlined: Outlined | None) -> dict[str, str]:
        with tifffile.TiffFile(io.BytesIO(render_shown(record, shown, outlined))) as tiff:
            ome: Any = ome_types.from_xml(str(tiff.pages.first.description))
        return {pair.k: pair.value for pair in ome.structured_annotations.map_annotations[0].value.ms}

    told = pairs(make_record(result), Outlined(result))
    assert told["task"] == "segment"
    assert told["nucleus_share"] == str(result.regions[0].share)
    assert (told["nucleus_objects"], told["vesicle_objects"]) == ("13", "7")
    rejected = pairs(make_record(result, status="rejected", regions=None, objects=None), None)
    assert not {"nucleus_share", "nucleus_objects"} & rejected.keys()


def test_a_class_map_with_thousands_of_holes(make_record: MakeRecord) -> None:
    """Its line goes over to each and back; four times the holes take four times as long: none copies it."""
    took_s = []
    for side in (84, 168):
        labels = np.ones((1, side, side), np.uint8)
        labels[0, 1:-1:3, 1:-1:3] = 0
        labels[0, 0, ::2] = 0
        result = segmented(labels, with_objects=False)
        outlined = Outlined(result)
        shown = Shown(np.ones((1, side, side), np.uint16), ("intensity",))
        times = []
        for _ in range(3):
            begun = process_time()
            data = render_shown(make_record(result), shown, outlined)
            times.append(process_time() - begun)
        took_s.append(min(times))

        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            ome: Any = ome_types.from_xml(str(tiff.pages.first.description))
        areas = []
        for polygon in ome.rois[1].union:
            corners = points_of(polygon)
            x, y = corners.T
            areas.append(abs(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2)
            assert (np.diff(corners, axis=0) == 0).any(axis=1).all()  # along edges of pixels
        assert sum(areas) == np.count_nonzero(labels)
    assert took_s[1] < 9 * took_s[0]  # 20 times where each did
