"""The patches as objects for QuPath: drop the file onto the open image.

One locked annotation for the whole field carries the diagnosis; below it lies one tile for each
patch, in the colour of its band, or of the class that it votes for. Of a stack each slice is a tile on its
own plane. What QuPath's reader is strict about, and this writer keeps to:

- ids are UUIDs, otherwise they are dropped; here they follow from the result, so that a second
  import replaces nothing by accident and a second run writes the same file;
- a class object without a colour makes the import of the whole file fail; so does null where a
  string belongs, and a ring that is not closed;
- ":" in a class name makes a derived class;
- the class's colour counts only when the class is new to the project: `color` is written too;
- numbers are finite, colours three integers, all text ASCII.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid5

import orjson

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import Cell, cells, classes_of, counts_of, headline
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.palette import BAND_COLOURS, FIELD, Colour, class_colours
from colvi_edge.outputs.sidecar import Sidecar, size_px


def render(sidecar: Sidecar, listed: Iterable[Cell] | None = None) -> bytes:
    """Return the GeoJSON of a judged image; coordinates are pixels of the raw image, y down.

    Args:
        sidecar: of the image.
        listed: its cells, where they are at hand.

    Raises:
        ValueError: the image was rejected, or the sidecar does not say how large it is.
    """
    # json spells foreign letters in ASCII; orjson does not, but the tiles have none, and it takes a tenth.
    field = orjson.Fragment(json.dumps(_field(sidecar), allow_nan=False, separators=(",", ":")))
    colours = class_colours(classes_of(sidecar))
    tiles = (_tile(sidecar, cell, colours) for cell in listed or cells(sidecar))
    return orjson.dumps({"type": "FeatureCollection", "features": [field, *tiles]})


def _field(sidecar: Sidecar) -> dict[str, Any]:
    if sidecar.score is None:
        raise ValueError(f"{sidecar.image.name} was rejected: it has no patches")
    measurements = {
        "score": sidecar.score,
        **{f"votes_{vote}": count for vote, count in counts_of(sidecar).items()},
        "coverage": sidecar.coverage,
    }
    return whole_field(sidecar, measurements, diagnosis=str(sidecar.diagnosis))


def _tile(sidecar: Sidecar, cell: Cell, colours: dict[str, Colour]) -> dict[str, Any]:
    if cell.band:
        colour, name, band = BAND_COLOURS[cell.band], _CLASSES[cell.band], {"band": cell.band}
    else:
        colour, name, band = colours[cell.vote], cell.vote, {}
    return {
        "type": "Feature",
        "id": str(uuid5(sidecar.result_id, cell.name)),
        "geometry": _rectangle(cell.x, cell.y, cell.width, cell.height, cell.plane),
        "properties": {
            "objectType": "tile",
            "name": cell.name,
            "color": colour,
            "classification": {"name": name, "color": colour},
            "isLocked": True,
            "measurements": {
                **{f"p_{name}": p for name, p in cell.probabilities.items()},
                "row": cell.row,
                "col": cell.col,
            },
            "metadata": {
                "model": f"sha256:{sidecar.model.sha256}",
                **band,
                "vote": cell.vote,
            },
        },
    }


def whole_field(sidecar: Sidecar, measurements: Mapping[str, float], **answer: str) -> dict[str, Any]:
    """Return the annotation of a whole image, which carries its result.

    Args:
        sidecar: of the image.
        measurements: by name.
        answer: what stands among the metadata.

    Raises:
        ValueError: the sidecar does not say how large the image is.
    """
    height, width = size_px(sidecar.image)
    return {
        "type": "Feature",
        "id": str(uuid5(sidecar.result_id, "field")),
        "geometry": _rectangle(0, 0, width, height),
        "properties": {
            "objectType": "annotation",
            "name": headline(sidecar),
            "color": FIELD,
            "isLocked": True,
            "measurements": measurements,
            "metadata": {
                "intended_use": sidecar.intended_use,
                "image": image_label(sidecar.image.name, sidecar.image.key),
                **answer,
                "model": sidecar.model.label,
                "model_sha256": sidecar.model.sha256,
                "result_id": str(sidecar.result_id),
                "software": sidecar.software.label,
            },
        },
    }


def _rectangle(x: int, y: int, width: int, height: int, plane: int | None = None) -> dict[str, Any]:
    """Cover the pixels [x, x + width) x [y, y + height); QuPath counts from pixels' corners."""
    right, bottom = x + width, y + height
    ring = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
    of_stack = {} if plane is None else {"plane": {"c": -1, "z": plane, "t": 0}}
    return {"type": "Polygon", "coordinates": [ring], **of_stack}


_CLASSES = {
    band.name: f"colvi P(control) {100 * band.at_least:.0f}-{100 * band.ceiling:.0f}%" for band in BANDS
}
