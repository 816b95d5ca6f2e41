"""The colours of classes and of single objects: told apart also by eyes that do not see all colours.

The first classes have those of Okabe & Ito, "Color universal design", 2008, which differ in brightness as
well as in hue; blue, that is hard to see on a black picture, comes late. Beyond these, hues follow each other
by the golden angle, so that neighbours in the list are never alike, in three steps of brightness.
"""

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.palette import Colour

_OKABE_ITO: tuple[Colour, ...] = (
    (240, 228, 66),  # yellow
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 200, 140),  # bluish green, lighter than theirs: it is drawn on black
    (225, 140, 185),  # reddish purple, likewise
    (235, 95, 20),  # vermilion
    (60, 130, 255),  # blue
)
_GOLDEN_ANGLE = 0.618034
_LUT_COLOURS = 255


def class_colour(index: int) -> Colour:
    """Return the colour of a class by its index, 1 or more; 0 is the background, and has none."""
    return _OKABE_ITO[index - 1] if index <= len(_OKABE_ITO) else _further(index)


def class_lut() -> NDArray[np.uint8]:
    """Return the colours of the pixels of a class map: (256, 3); 0 is black."""
    return np.array([(0, 0, 0), *map(class_colour, range(1, _LUT_COLOURS + 1))], np.uint8)


@lru_cache(maxsize=1)
def object_lut() -> NDArray[np.uint8]:
    """Return colours in which neighbouring numbers of objects are told apart: (256, 3); 0 is black."""
    return np.array([(0, 0, 0), *map(_further, range(1, _LUT_COLOURS + 1))], np.uint8)


def _further(index: int) -> Colour:
    value, saturation = ((1.0, 0.55), (0.85, 0.9), (1.0, 0.85))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_ANGLE % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
