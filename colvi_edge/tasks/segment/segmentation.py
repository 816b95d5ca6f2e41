"""From the kept map to regions: which class each pixel is, and how much of the image each class covers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colvi_edge.tasks.objects import Objects


@dataclass(frozen=True)
class Region:
    """All that is of one class.

    Attributes:
        name: the class.
        pixels: of all planes.
        share: of all pixels of all planes, 0..1.
        area_um2: None where the size of a pixel is not known.
        parts: pieces that do not hang together, across corners neither, plane by plane.
    """

    name: str
    pixels: int
    share: float
    area_um2: float | None
    parts: int


@dataclass(frozen=True)
class Segmentation:
    """What each pixel of one image is.

    Attributes:
        classes: names; the first is the background.
        labels: (Z, H, W) uint8, index into the classes; Z is 1 where the planes were summed.
        probability: (Z, H, W) uint8, round(255 p): of the class that the network gave the pixel, or, with a
            threshold, of the class that it is asked of, everywhere. Smoothed if the decision smooths.
        regions: of every class but the background, in the order of the classes.
        objects: None where the task asks for none.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8]
    regions: tuple[Region, ...]
    objects: Objects | None
