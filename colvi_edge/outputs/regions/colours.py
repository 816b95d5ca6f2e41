"""The colours of the pixels of a labels TIFF: of classes those of all outputs, of single objects many."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.palette import class_colour, further_colour

_LUT_COLOURS = 255


def class_lut() -> NDArray[np.uint8]:
    """Return the colours of the pixels of a class map: (256, 3); 0 is black."""
    return np.array([(0, 0, 0), *map(class_colour, range(1, _LUT_COLOURS + 1))], np.uint8)


@lru_cache(maxsize=1)
def object_lut() -> NDArray[np.uint8]:
    """Return colours in which neighbouring numbers of objects are told apart: (256, 3); 0 is black."""
    return np.array([(0, 0, 0), *map(further_colour, range(1, _LUT_COLOURS + 1))], np.uint8)
