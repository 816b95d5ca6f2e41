"""The lines that an overlay draws: inside the border of each object, or region, in the colour of its class.

Inside, so that neighbours that touch keep a line each. What touches the border of the image has a dashed
line: it may go on beyond, and its diameter counts nowhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.palette import class_colour
from colvi_edge.tasks.segment import Segmentation

LINE_PX = 2
DASH_PX = 5
_BLOCK_ROWS = 256


def fullest_plane(result: Segmentation) -> int:
    """Return the plane, from 0, of which most belongs to a class that is not the background."""
    return int(np.argmax([np.count_nonzero(plane) for plane in result.labels]))


def draw(picture: NDArray[np.uint8], result: Segmentation, plane: int) -> None:
    """Draw the lines of one plane into a picture (H, W, 3)."""
    objects = result.objects
    labels = (result.labels if objects is None else objects.labels)[plane]
    of_label, dashed = _looks(result)
    height = labels.shape[0]
    for top in range(0, height, _BLOCK_ROWS):
        end = min(top + _BLOCK_ROWS, height)
        first, last = max(0, top - LINE_PX), min(height, end + LINE_PX)
        line = _inside(labels[first:last])[top - first : end - first]
        y, x = np.nonzero(line)
        found = labels[top:end][y, x]
        there = ~dashed[found] | ((x + y + top) // DASH_PX % 2 == 0)
        picture[top + y[there], x[there]] = of_label[found[there]]


def _looks(result: Segmentation) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the colour of each label, (n, 3), and whether its line is dashed, (n,)."""
    of_class = np.array([(0, 0, 0), *map(class_colour, range(1, len(result.classes)))], np.uint8)
    if result.objects is None:
        return of_class, np.zeros(len(of_class), bool)
    rows = result.objects.rows
    classes = np.array([0, *(row.class_index for row in rows)])
    return of_class[classes], np.array([False, *(row.touches_border for row in rows)])


def _inside(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels of labels, (H, W), lie less than LINE_PX from another one; the border is none."""
    line = np.zeros(labels.shape, bool)
    below, beside = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    line[1:] |= below
    line[:-1] |= below
    line[:, 1:] |= beside
    line[:, :-1] |= beside
    for _ in range(LINE_PX - 1):
        grown = line.copy()
        grown[1:] |= line[:-1] & ~below
        grown[:-1] |= line[1:] & ~below
        grown[:, 1:] |= line[:, :-1] & ~beside
        grown[:, :-1] |= line[:, 1:] & ~beside
        line = grown
    return line & (labels != 0)
