"""Regions and objects for QuPath, under the rules of its reader that `outputs.patches.geojson` tells.

A locked annotation for the whole field carries the result in words; each class is an annotation, each object
a detection, with its measurements. Coordinates are corners of pixels, y down; filling the polygons gives the
labels again. Of a stack every geometry names its plane.
"""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid5

import orjson

from colvi_edge.outputs.patches.geojson import whole_field
from colvi_edge.outputs.regions.outlined import Outlined, Rings, Shape
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.objects import ObjectMeasures
from colvi_edge.tasks.segment import Region

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def render(sidecar: Sidecar, outlined: Outlined) -> bytes:
    """Return the GeoJSON of a segmented image.

    Raises:
        ValueError: the sidecar does not say how large the image is.
    """
    field = orjson.Fragment(json.dumps(_field(sidecar, outlined), allow_nan=False, separators=(",", ":")))
    regions = {region.name: region for region in outlined.result.regions}
    features = [
        field,
        *(_region(sidecar, shape, regions[shape.class_name]) for shape in outlined.regions),
        *(_object(sidecar, shape) for shape in outlined.objects),
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features}, option=_NUMPY)


def _field(sidecar: Sidecar, outlined: Outlined) -> dict[str, Any]:
    measurements: dict[str, float] = {}
    for region in outlined.result.regions:
        measurements |= {f"{region.name} {key}": value for key, value in _area(region)}
    if sidecar.objects is not None:
        measurements |= {f"{name} objects": count for name, count in sidecar.objects.by_class.items()}
    told = {"left_out": outlined.left_out} if outlined.left_out else {}
    return whole_field(sidecar, measurements, task="segment", **told)


def _region(sidecar: Sidecar, shape: Shape, region: Region) -> dict[str, Any]:
    # What is measured is of all planes; of one plane of several nothing is claimed.
    measurements = dict(_area(region)) if shape.name == region.name else {}
    return _feature(sidecar, shape, "annotation", measurements)


def _object(sidecar: Sidecar, shape: Shape) -> dict[str, Any]:
    assert shape.measures is not None  # noqa: S101 - an object has them
    return _feature(sidecar, shape, "detection", dict(_measured(shape.measures)))


def _feature(sidecar: Sidecar, shape: Shape, kind: str, measurements: dict[str, float]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": str(uuid5(sidecar.result_id, shape.name)),
        "geometry": _geometry(shape),
        "properties": {
            "objectType": kind,
            "name": shape.name,
            "color": shape.colour,
            "classification": {"name": shape.class_name, "color": shape.colour},
            "isLocked": True,
            "measurements": measurements,
        },
    }


def _geometry(shape: Shape) -> dict[str, Any]:
    polygons = [_closed(rings) for rings in shape.pieces]
    geometry: dict[str, Any] = (
        {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) == 1
        else {"type": "MultiPolygon", "coordinates": polygons}
    )
    if shape.plane:
        geometry["plane"] = {"c": -1, "z": shape.plane, "t": 0}
    return geometry


def _closed(rings: Rings) -> list[list[list[int]]]:
    closed = []
    for ring in rings:
        corners = ring.tolist()
        closed.append([*corners, corners[0]])
    return closed


def _area(region: Region) -> Iterator[tuple[str, float]]:
    yield "area px^2", region.pixels
    if region.area_um2 is not None:
        yield "area um^2", region.area_um2
    yield "share", region.share
    yield "parts", region.parts


def _measured(row: ObjectMeasures) -> Iterator[tuple[str, float]]:
    yield "label", row.label
    yield "area px^2", row.area_px
    if row.area_um2 is not None:
        yield "area um^2", row.area_um2
    yield "diameter px", row.diameter_px
    if row.diameter_um is not None:
        yield "diameter um", row.diameter_um
    yield "roundness", row.roundness
    yield "circularity", row.circularity
    yield "mean probability", row.mean_probability
    yield "touches border", int(row.touches_border)
    yield "parts at least", row.parts_at_least
