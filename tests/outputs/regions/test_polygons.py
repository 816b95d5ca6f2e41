"""QuPath's and ImageJ's files draw each object and region, and filling them gives the labels again."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import roifile
from matplotlib.path import Path
from numpy.typing import NDArray

from colvi_edge.outputs.regions import geojson, outlined, rois
from colvi_edge.outputs.regions.outlined import Outlined
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]


def fill(rings: Sequence[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels' centres lie within an odd number of rings."""
    rows, cols = np.indices(shape)
    centres = np.stack([cols.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(shape, bool)
    for ring in rings:
        inside ^= Path(np.asarray(ring, float)).contains_points(centres).reshape(shape)
    return inside


def features_of(
    result: Segmentation, make_record: MakeRecord, **changes: Any
) -> tuple[Any, list[Any], list[Any]]:
    """Return the field, the annotations and the detections of its GeoJSON."""
    collection = json.loads(geojson.render(make_record(result, **changes), Outlined(result)))
    assert collection["type"] == "FeatureCollection"
    field, *others = collection["features"]
    annotations = [one for one in others if one["properties"]["objectType"] == "annotation"]
    detections = [one for one in others if one["properties"]["objectType"] == "detection"]
    assert others == [*annotations, *detections]
    return field, annotations, detections


def polygons(feature: Any) -> list[Any]:
    """Return the polygons of a feature, each a list of rings."""
    geometry = feature["geometry"]
    many = geometry["type"] == "MultiPolygon"
    assert many or geometry["type"] == "Polygon"
    return geometry["coordinates"] if many else [geometry["coordinates"]]


def rings_of(feature: Any) -> list[Any]:
    """Return all rings of a feature."""
    return [ring for polygon in polygons(feature) for ring in polygon]


def plane_of(feature: Any) -> int:
    """Return the plane of a feature, as QuPath reads it."""
    return feature["geometry"].get("plane", {"z": 0})["z"]


@pytest.mark.parametrize("planes", [1, 3])
def test_geojson_fills_to_the_labels(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, planes: int
) -> None:
    """Every detection its object, every annotation its class, in its plane."""
    result = make_segmentation(planes)
    assert result.objects
    _, annotations, detections = features_of(result, make_record)
    objects, classes = np.zeros_like(result.objects.labels), np.zeros_like(result.labels)
    for one in detections:
        inside = fill(rings_of(one), objects.shape[1:])
        objects[plane_of(one)][inside] = one["properties"]["measurements"]["label"]
    for one in annotations:
        name = one["properties"]["classification"]["name"]
        classes[plane_of(one)][fill(rings_of(one), classes.shape[1:])] = result.classes.index(name)

    np.testing.assert_array_equal(objects, result.objects.labels)
    np.testing.assert_array_equal(classes, result.labels)
    assert any(len(polygon) > 1 for one in detections for polygon in polygons(one))


def test_measurements_are_those_of_the_objects(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """Numbers, with their units in their names; what is not known is not there."""
    result = make_segmentation()
    assert result.objects
    field, annotations, detections = features_of(result, make_record)
    for one, row in zip(detections, result.objects.rows, strict=True):
        told = one["properties"]["measurements"]
        assert (told["label"], told["area px^2"], told["area um^2"]) == (row.label, row.area_px, row.area_um2)
        assert (told["diameter um"], told["roundness"]) == (row.diameter_um, row.roundness)
        assert told["touches border"] == int(row.touches_border)
        name = result.classes[row.class_index]
        assert one["properties"]["name"] == f"{name}_{row.label:04}"
        assert one["properties"]["classification"]["name"] == name
    nucleus, vesicle = result.regions
    assert [one["properties"]["measurements"]["area px^2"] for one in annotations] == [
        nucleus.pixels,
        vesicle.pixels,
    ]
    told = field["properties"]["measurements"]
    assert (told["nucleus share"], told["vesicle area um^2"]) == (nucleus.share, vesicle.area_um2)
    assert told["nucleus objects"] + told["vesicle objects"] == len(result.objects.rows)

    unknown = make_segmentation(pixel_um=None)
    _, _, detections = features_of(unknown, make_record)
    assert not any("um" in key for one in detections for key in one["properties"]["measurements"])


def everything(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all that is in it, keys too."""
    yield value
    if isinstance(value, dict | list):
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from everything(inner)


@pytest.mark.parametrize("planes", [1, 2])
def test_what_qupath_chokes_on_is_not_there(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, planes: int
) -> None:
    """No null, no open ring, no class without its colour, no number that is not finite; ids are UUIDs."""
    field, annotations, detections = features_of(make_segmentation(planes), make_record)
    features = [field, *annotations, *detections]

    assert None not in list(everything(features))
    for one in features:
        for ring in rings_of(one):
            assert ring[0] == ring[-1]
            assert len(ring) >= 5
            assert all(type(edge) is int for corner in ring for edge in corner)
        properties = one["properties"]
        assert ":" not in properties.get("classification", {}).get("name", "")
        assert properties.get("classification", properties)["color"] == properties["color"]
        assert all(type(part) is int and 0 <= part <= 255 for part in properties["color"])
        assert all(type(n) in (int, float) and isfinite(n) for n in properties["measurements"].values())
        assert all(type(value) is str for value in properties.get("metadata", {}).values())
        assert set(one["geometry"]) <= {"type", "coordinates", "plane"}
        assert one["geometry"].get("plane") in (None, {"c": -1, "z": 1, "t": 0})
    ids = [one["id"] for one in features]
    assert all(UUID(identity).version == 5 for identity in ids)
    assert len(set(ids)) == len(ids)


def test_the_file_is_ascii_and_says_what_it_is(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """The headline names the field."""
    result = make_segmentation()
    data = geojson.render(make_record(result), Outlined(result))
    properties = json.loads(data)["features"][0]["properties"]

    assert data.isascii()
    assert properties["name"] == "13 nuclei, 7 vesicles (research use only)"
    assert properties["metadata"]["task"] == "segment"
    assert properties["metadata"]["intended_use"].startswith("Research use only")
    assert "left_out" not in properties["metadata"]


def read(data: bytes) -> dict[str, roifile.ImagejRoi]:
    """Return the ROIs of a zip by the name of their entry, in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: roifile.ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()}


def paths_of(roi: roifile.ImagejRoi) -> list[Any]:
    """Return the rings of a ROI, as roifile reads them."""
    found: Any = roi.coordinates(multi=True)
    return [found] if isinstance(found, np.ndarray) else list(found)


@pytest.mark.parametrize("planes", [1, 3])
def test_rois_fill_to_the_labels(make_segmentation: MakeSegmentation, planes: int) -> None:
    """As roifile reads them: polygons, and composites where there are holes; of a stack on their slice."""
    result = make_segmentation(planes)
    assert result.objects
    found = np.zeros_like(result.objects.labels)
    kinds = set()
    for (entry, roi), row in zip(
        read(rois.render(Outlined(result))).items(), result.objects.rows, strict=True
    ):
        assert entry == f"{roi.name}.roi" == f"{result.classes[row.class_index]}_{row.label:04}.roi"
        kinds.add(roi.roitype)
        found[row.plane][fill(paths_of(roi), found.shape[1:])] = row.label
        assert (roi.position, roi.z_position) == ((row.plane + 1,) * 2 if planes > 1 else (0, 0))
        box = np.argwhere(result.objects.labels[row.plane] == row.label)
        assert (roi.top, roi.left) == tuple(box.min(axis=0))
        assert (roi.bottom, roi.right) == tuple(box.max(axis=0) + 1)
        assert f"area_px: {row.area_px}\n" in roi.props
        assert roi.stroke_width == 1

    assert kinds == {roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.RECT}
    np.testing.assert_array_equal(found, result.objects.labels)


def test_without_objects_the_classes_are_rois(make_segmentation: MakeSegmentation) -> None:
    """One a class, of all its pieces."""
    result = make_segmentation(with_objects=False)
    found = read(rois.render(Outlined(result)))

    assert list(found) == ["nucleus.roi", "vesicle.roi"]
    for index, roi in enumerate(found.values(), 1):
        inside = fill(paths_of(roi), result.labels.shape[1:])
        np.testing.assert_array_equal(inside, result.labels[0] == index)


def test_the_classes_have_colours_of_their_own(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """The same in both files."""
    result = make_segmentation()
    _, annotations, _ = features_of(result, make_record)
    nucleus, vesicle = (tuple(one["properties"]["color"]) for one in annotations)

    assert nucleus != vesicle
    colours = {"nucleus": nucleus, "vesicle": vesicle}
    for name, roi in read(rois.render(Outlined(result))).items():
        assert tuple(roi.stroke_color[1:]) == colours[name.partition("_")[0]]


def test_what_is_too_much_has_no_outlines_and_a_sentence(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects go before regions; whoever opens the file is told."""
    result = make_segmentation()
    monkeypatch.setattr(outlined, "MOST_OBJECTS", 19)
    field, annotations, detections = features_of(result, make_record)
    assert (len(annotations), len(detections)) == (2, 0)
    assert field["properties"]["metadata"]["left_out"] == (
        "20 objects have no outlines, at most 19 may: they are in the labels and in the table."
    )
    assert list(read(rois.render(Outlined(result)))) == ["nucleus.roi", "vesicle.roi"]

    monkeypatch.setattr(outlined, "MOST_OBJECTS", 20)
    monkeypatch.setattr(outlined, "MOST_CORNERS", 100)
    field, annotations, detections = features_of(result, make_record)
    assert (annotations, detections) == ([], [])
    assert "more than 100 corners" in field["properties"]["metadata"]["left_out"]
    assert read(rois.render(Outlined(result))) == {}


def test_what_ends_beyond_the_formats_end_is_left_out(make_segmentation: MakeSegmentation) -> None:
    """Not misplaced: 16 bits hold 60535."""
    labels = np.zeros((1, 2, 60600), np.uint8)
    labels[0, :, 60000:60535], labels[0, :, 60540:] = 1, 2
    wide = Segmentation(("background", "a", "b"), labels, labels, make_segmentation().regions, None)

    assert list(read(rois.render(Outlined(wide)))) == ["a.roi"]


def test_very_long_outlines_stay_whole() -> None:
    """A polygon has room for 32,767 corners; what has more is a composite."""
    comb = np.zeros((1, 3, 33000), np.uint8)
    comb[0, 0], comb[0, 1:, ::2] = 1, 1
    (roi,) = read(rois.render(Outlined(Segmentation(("background", "a"), comb, comb, (), None)))).values()

    assert roi.roitype == roifile.ROI_TYPE.RECT
    (path,) = paths_of(roi)
    assert len(np.unique(path, axis=0)) > 2**15
