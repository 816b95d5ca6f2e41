"""Regions and objects as an ImageJ/Fiji RoiSet.zip: drop it onto ImageJ, the ROI Manager lists them.

One piece without holes is a polygon, type 0, its corners counted from its box:

    0    header    magic, version, type, top left bottom right, number of corners, stroke width and colour,
    ... 64   corners   all x, then all y, 16 bits each ...  header 2, name, properties, as of a rectangle

Whatever has holes or several pieces is a composite: type 1 with the length of a path in the header, and in
the place of the corners that path, of 32-bit floats: 0 x y to begin a ring, 1 x y for each further corner, 4
to close it. Of a stack each ROI names its slice.
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.patches.rois import LAST_EDGE_PX, VERSION, opaque, stored_zip
from colvi_edge.outputs.regions.outlined import Outlined, Rings, Shape

_HEADER = struct.Struct(">4shBx4HH16xhiIIhhBBhii")
_HEADER_2 = struct.Struct(">4x5iIhBBifiii12x")
_POLYGON, _COMPOSITE = 0, 1
_STROKE_PX = 1
_MOST_CORNERS = 2**15 - 1  # of a polygon, whose number of corners has 16 bits; a composite has no such end
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0


def render(outlined: Outlined) -> bytes:
    """Return the zip: of every object, or of every class if there are none with outlines."""
    return stored_zip((f"{name}.roi".encode(), roi) for name, roi in imagej_rois(outlined))


def imagej_rois(outlined: Outlined, on_slices: bool = True) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each ROI, in ImageJ's format.

    What ends beyond pixel 60535 has no place in the format and is left out.

    Args:
        outlined: what was found.
        on_slices: of a stack each ROI is on its slice; else on all, as on a projection.
    """
    several = on_slices and len(outlined.result.labels) > 1
    for shape in outlined.objects or outlined.regions:
        if max(int(rings[0].max()) for rings in shape.pieces) <= LAST_EDGE_PX:
            yield shape.name, _roi(shape, shape.plane + 1 if several else 0)


def _roi(shape: Shape, position: int) -> bytes:
    outer = np.concatenate([rings[0] for rings in shape.pieces])
    left, top = outer.min(axis=0).tolist()
    right, bottom = outer.max(axis=0).tolist()
    edges = (top, left, bottom, right)
    is_polygon = len(shape.pieces) == 1 and len(shape.pieces[0]) == 1 and len(outer) <= _MOST_CORNERS
    path = b"" if is_polygon else _path(shape.pieces)
    corners = (outer - (left, top)).T.astype(">i2").tobytes() if is_polygon else path
    header_2_at = _HEADER.size + len(corners)
    header = _HEADER.pack(
        b"Iout", VERSION, _POLYGON if is_polygon else _COMPOSITE, *edges, len(outer) if is_polygon else 0,
        _STROKE_PX, len(path) // 4, opaque(shape.colour), 0, 0, 0, 0, 0, 0, position, header_2_at,
    )  # fmt: skip
    name_at = header_2_at + _HEADER_2.size
    properties = _properties(shape)
    header_2 = _HEADER_2.pack(
        0, position, 0, name_at, len(shape.name), 0, 0, 0,
        0, 0, _STROKE_PX, name_at + 2 * len(shape.name), len(properties), 0,
    )  # fmt: skip
    return header + corners + header_2 + shape.name.encode("utf-16-be") + properties.encode("utf-16-be")


def _path(pieces: Iterable[Rings]) -> bytes:
    """Return the rings of all pieces as a path of 32-bit floats."""
    steps: list[NDArray[np.float32]] = []
    for ring in (ring for rings in pieces for ring in rings):
        step = np.full((len(ring), 3), _LINE, np.float32)
        step[0, 0] = _MOVE
        step[:, 1:] = ring
        steps += [step.ravel(), np.array([_CLOSE], np.float32)]
    return np.concatenate(steps).astype(">f4").tobytes()


def _properties(shape: Shape) -> str:
    told: dict[str, object] = {"class": shape.class_name}
    if (row := shape.measures) is not None:
        told |= {"label": row.label, "area_px": row.area_px, "area_um2": row.area_um2}
        told |= {"diameter_px": row.diameter_px, "diameter_um": row.diameter_um}
        told |= {"mean_probability": row.mean_probability, "touches_border": int(row.touches_border)}
    return "".join(f"{key}: {value}\n" for key, value in told.items() if value is not None)
