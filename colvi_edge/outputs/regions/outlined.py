"""Regions and objects with their outlines, for the views that draw polygons; bounded in number and length.

A view of too many is of use to no program: the labels and the table hold all of them, however many there are.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.palette import Colour, class_colour
from colvi_edge.outputs.regions.contours import Outline, TooManyCornersError, outlines
from colvi_edge.tasks.objects import ObjectMeasures
from colvi_edge.tasks.segment import Segmentation

MOST_OBJECTS = 2**16 - 1
"""With outlines: a zip of ROIs has room for no more, and QuPath takes a minute."""
MOST_CORNERS = 2**21
"""Of all outlines of a view: some 30 MB of GeoJSON."""

Rings = tuple[NDArray[np.int32], ...]


class Shape(NamedTuple):
    """One object, or all of a class in one plane.

    Attributes:
        name: in other programs, such as nucleus_0012, or nucleus; no two shapes of a view have one.
        class_name: what it is.
        colour: of its class.
        plane: that it lies in, from 0.
        pieces: each an outer ring and its holes, as of an `Outline`.
        measures: of an object; else None.
    """

    name: str
    class_name: str
    colour: Colour
    plane: int
    pieces: tuple[Rings, ...]
    measures: ObjectMeasures | None = None


class Outlined:
    """The outlines of a segmentation, made once, when they are first asked for."""

    def __init__(self, result: Segmentation) -> None:
        """Keep what is outlined."""
        self.result = result

    @cached_property
    def regions(self) -> Sequence[Shape]:
        """All of each class in each plane; none if they have too many corners."""
        several = len(self.result.labels) > 1
        found = []
        for plane, index, pieces in _grouped(self.result.labels):
            name = self.result.classes[index]
            shown = f"{name}_z{plane:03}" if several else name
            found.append(Shape(shown, name, class_colour(index), plane, pieces))
        return found

    @cached_property
    def objects(self) -> Sequence[Shape]:
        """Each object; none if they are, or have corners, too many."""
        objects = self.result.objects
        if objects is None or len(objects.rows) > MOST_OBJECTS:
            return []
        found = []
        for plane, label, pieces in _grouped(objects.labels):
            row = objects.rows[label - 1]
            name = self.result.classes[row.class_index]
            shape = Shape(f"{name}_{label:04}", name, class_colour(row.class_index), plane, pieces, row)
            found.append(shape)
        return found

    @property
    def left_out(self) -> str:
        """What of it has no outlines and why, as a sentence; "" where all have."""
        objects, regions = self.result.objects, sum(region.pixels > 0 for region in self.result.regions)
        if objects is not None and len(objects.rows) > MOST_OBJECTS:
            what = f"{len(objects.rows):,} objects have no outlines, at most {MOST_OBJECTS:,} may"
        elif objects is not None and objects.rows and not self.objects:
            what = f"The objects have no outlines, as these would have more than {MOST_CORNERS:,} corners"
        elif regions and not self.regions:
            what = f"The regions have no outlines, as these would have more than {MOST_CORNERS:,} corners"
        else:
            return ""
        return f"{what}: they are in the labels and in the table."


def _grouped(planes: NDArray[np.uint8] | NDArray[np.int32]) -> Iterator[tuple[int, int, tuple[Rings, ...]]]:
    """Yield plane, label and pieces of all labels of planes (Z, H, W); nothing if corners are too many."""
    left, found = MOST_CORNERS, list[list[Outline]]()
    try:
        for labels in planes:
            found.append(outlines(labels, left))
            left -= sum(len(ring) for outline in found[-1] for ring in outline.rings)
    except TooManyCornersError:
        return
    for plane, pieces in enumerate(found):
        for label, group in groupby(pieces, lambda outline: outline.label):
            yield plane, label, tuple(outline.rings for outline in group)
