"""What is said of single objects: nuclei, vesicles, cells.

Lengths are in pixels of the raw image, and in micrometres where the size of a pixel is known. A pixel is a
unit square; coordinates are those of pixel centres, (0, 0) the first pixel's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ObjectMeasures:
    """One object.

    Attributes:
        label: its number in the label map, 1..; in row-major order of the first pixel, plane after plane.
        class_index: index into the classes of the segmentation, 1..
        plane: index of the plane that it lies in, 0..
        x, y: centroid, px.
        area_px, area_um2: area.
        diameter_px, diameter_um: of the disc of the same area, 2 sqrt(area / pi).
        roundness: 4 area / (pi major^2), 0..1, as ImageJ's "Round"; the major axis is that of the ellipse
            with the same second moments.
        circularity: 4 pi area / perimeter^2, 0..1, as ImageJ's "Circ."; the perimeter is Crofton's, from the
            lines of four directions. Small discs that come out above 1 are 1.
        mean_probability: mean of the probability map over its pixels, 0..1.
        touches_border: it lies at the border of the image and may go on beyond; its diameter is left out of
            every summary.
        parts_at_least: more than 1 where it is one object still, but looks like a clump of so many; it may be
            one of more.
    """

    label: int
    class_index: int
    plane: int
    x: float
    y: float
    area_px: int
    area_um2: float | None
    diameter_px: float
    diameter_um: float | None
    roundness: float
    circularity: float
    mean_probability: float
    touches_border: bool
    parts_at_least: int = 1


@dataclass(frozen=True)
class Spread:
    """Where the middle of some values lies, and half of them around it.

    Attributes:
        median, mean: of the values.
        first_quartile, third_quartile: between which the middle half of the values lies.
    """

    median: float
    mean: float
    first_quartile: float
    third_quartile: float


@dataclass(frozen=True)
class ObjectSummary:
    """Many objects in a few numbers.

    Attributes:
        count: of all objects.
        counted: of those that do not touch the border, which the rest is of.
        diameter_px, diameter_um: None where nothing was counted, or the size of a pixel is not known.
        roundness: likewise.
    """

    count: int
    counted: int
    diameter_px: Spread | None
    diameter_um: Spread | None
    roundness: Spread | None


@dataclass(frozen=True)
class Objects:
    """The objects of one image.

    Attributes:
        labels: (Z, H, W) int32, 0 = none.
        rows: what was measured, by label: that of label n is `rows[n - 1]`.
    """

    labels: NDArray[np.int32]
    rows: tuple[ObjectMeasures, ...]

    def summary(self, class_index: int | None = None) -> ObjectSummary:
        """Return the summary of all objects, or of one class's."""
        rows = [row for row in self.rows if class_index in (None, row.class_index)]
        counted = [row for row in rows if not row.touches_border]
        return ObjectSummary(
            count=len(rows),
            counted=len(counted),
            diameter_px=spread_of(row.diameter_px for row in counted),
            diameter_um=spread_of(row.diameter_um for row in counted if row.diameter_um is not None),
            roundness=spread_of(row.roundness for row in counted),
        )


def spread_of(values: Iterable[float]) -> Spread | None:
    """Return where the values lie; None for none."""
    found = np.fromiter(values, np.float64)
    if not found.size:
        return None
    first, median, third = np.percentile(found, (25, 50, 75))
    return Spread(float(median), float(found.mean()), float(first), float(third))
