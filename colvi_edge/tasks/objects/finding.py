"""From a map of classes to its objects: labelled on the whole map, so that none is cut; parted; measured."""

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects.model import ObjectMeasures, Objects
from colvi_edge.tasks.objects.parting import Split, parted, parts_in
from colvi_edge.tasks.objects.runs import Runs, components, paint, row_blocks, runs_of
from colvi_edge.tasks.objects.shape import boxes_of, shapes_of

Numbers = NDArray[np.int64]


def find_objects(
    labels: NDArray[np.uint8],
    probability: NDArray[np.uint8],
    split: Split = "none",
    depth: float = 0.15,
    pixel_size_um: float | None = None,
) -> Objects:
    """Return the objects of each plane and class, in row-major order of their first pixels.

    Args:
        labels: (Z, H, W) uint8, index of the class; 0 is the background.
        probability: (Z, H, W) uint8, round(255 p).
        split: how components that are several objects are parted.
        depth: 0..1, how deep a neck or a saddle is that is cut.
        pixel_size_um: side of a pixel; None if it is not known.
    """
    found = np.empty(labels.shape, np.int32)
    rows: list[ObjectMeasures] = []
    for plane, (classes, numbers) in enumerate(zip(labels, found, strict=True)):
        runs = runs_of(classes)
        member = components(runs)
        paint(runs, member + 1, numbers)
        if split != "none" and parted(numbers, runs, member, split, depth):
            runs = runs_of(numbers)
            member = _in_order(runs.values)
            paint(runs, member + 1, numbers)
        parts = parts_in(numbers, runs, member, depth) if split == "radon" else {}
        if rows:  # numbers go on over the planes
            paint(runs, member + 1 + len(rows), numbers)
        rows += _measured(
            classes,
            probability[plane],
            runs,
            member,
            parts,
            plane=plane,
            first_label=len(rows) + 1,
            pixel_size_um=pixel_size_um,
        )
    return Objects(found, tuple(rows))


def _in_order(values: NDArray[np.int32]) -> Numbers:
    """Return numbers 0.. for the values, in the order in which they appear."""
    _, first, member = np.unique(values, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[member]


def _measured(
    classes: NDArray[np.uint8],
    probability: NDArray[np.uint8],
    runs: Runs,
    member: Numbers,
    parts: dict[int, int],
    *,
    plane: int,
    first_label: int,
    pixel_size_um: float | None,
) -> list[ObjectMeasures]:
    """Return what was measured of each object of a plane, by number."""
    count = int(member.max(initial=-1)) + 1
    if not count:
        return []
    shapes, boxes = shapes_of(runs, member, count), boxes_of(runs, member, count)
    _, first = np.unique(member, return_index=True)
    class_index = classes[runs.rows[first], runs.starts[first]]
    height, width = classes.shape
    touches = (boxes.top == 0) | (boxes.left == 0) | (boxes.bottom == height - 1) | (boxes.right == width - 1)
    mean = np.bincount(member, _sums(probability, runs)) / (255 * shapes.area)
    diameter = 2 * np.sqrt(shapes.area / np.pi)
    roundness = 4 * shapes.area / (np.pi * shapes.major**2)
    circularity = np.minimum(4 * np.pi * shapes.area / shapes.perimeter**2, 1)
    return [
        ObjectMeasures(
            label=first_label + number,
            class_index=int(class_index[number]),
            plane=plane,
            x=float(shapes.x[number]),
            y=float(shapes.y[number]),
            area_px=int(shapes.area[number]),
            area_um2=None if pixel_size_um is None else float(shapes.area[number]) * pixel_size_um**2,
            diameter_px=float(diameter[number]),
            diameter_um=None if pixel_size_um is None else float(diameter[number]) * pixel_size_um,
            roundness=float(roundness[number]),
            circularity=float(circularity[number]),
            mean_probability=float(mean[number]),
            touches_border=bool(touches[number]),
            parts_at_least=parts.get(number, 1),
        )
        for number in range(count)
    ]


def _sums(plane: NDArray[np.uint8], runs: Runs) -> Numbers:
    """Return the sum of a plane (H, W) over each run, (n,) int64."""
    width = plane.shape[1]
    sums = np.zeros(len(runs.rows), np.int64)
    for rows in row_blocks(plane.shape):  # `reduceat` makes int64 of all that it is given
        some = slice(*np.searchsorted(runs.rows, (rows.start, rows.stop)))
        if some.start == some.stop:
            continue
        first = (runs.rows[some] - rows.start) * width
        ends = np.stack([first + runs.starts[some], first + runs.stops[some]], axis=1).ravel()
        part = plane[rows].reshape(-1)
        # The end of the last run may be the end of the part, where no further sum begins.
        ends = ends[: ends.size - (ends[-1] == part.size)]
        sums[some] = np.add.reduceat(part, ends, dtype=np.int64)[::2]
    return sums
