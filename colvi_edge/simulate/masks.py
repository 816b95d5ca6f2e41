"""Which pixel of a synthetic image belongs to which nucleus: the truth that a segmentation is held to.

A pixel belongs to a nucleus if its centre lies within the edge, where the nucleus has half of its light
(`culture.Outline`). Chromatin, nucleoli and noise do not move it. In the blurred picture, where a nucleus is
a dome that dims towards its rim, the mean profile comes to half of its height about 1 px further in.
Where two nuclei overlap, which only the tips of long ones do, a pixel belongs to the one whose centre is
nearer, measured in its own radii.
"""

import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from colvi_edge.simulate.culture import DIFFICULTY, outlines
from colvi_edge.simulate.images import MARGIN_PX, MARK, PIXEL_SIZE_UM, exposed, refuse_foreign, streams
from colvi_edge.system.writing import write_file
from colvi_edge.tasks.classify import ClassName


def simulate_mask(
    label: ClassName,
    seed: int | np.random.SeedSequence,
    *,
    difficulty: float = DIFFICULTY,
    severity: float | None = None,
    size_px: int = 1024,
) -> NDArray[np.uint16]:
    """Return (size_px, size_px) uint16: 0, or the number of the nucleus that the pixel belongs to, from 1.

    The nuclei are those of `simulate_projection` and `simulate_planes` with the same arguments. Each number
    up to the largest is there; touching nuclei have different ones.
    """
    (scene,) = streams(seed, 1)
    culture, _, _ = exposed(label, scene, difficulty, severity, size_px)
    labels = np.zeros((size_px, size_px), np.uint16)
    nearest = np.full(labels.shape, np.inf)
    for number, outline in enumerate(outlines(culture, size_px + 2 * MARGIN_PX, scene), 1):
        reach = outline.half_px + 5  # the waves of the rim add a tenth
        rows, cols = (
            slice(*np.clip((at - MARGIN_PX - reach, at - MARGIN_PX + reach), 0, size_px).astype(int))
            for at in (outline.y, outline.x)
        )
        v, u = np.mgrid[rows, cols] + MARGIN_PX
        radius = outline.radius(*outline.axes(v - outline.y, u - outline.x))
        inside = (radius <= outline.edge) & (radius < nearest[rows, cols])
        labels[rows, cols][inside] = number
        nearest[rows, cols][inside] = radius[inside]
    return np.unique(labels, return_inverse=True)[1].astype(np.uint16).reshape(labels.shape)


def write_mask(path: Path, labels: NDArray[np.uint16]) -> None:
    """Write a mask as a compressed TIFF; the file is whole or absent.

    Args:
        path: the folder is made if it is not there.
        labels: (H, W), as of `simulate_mask`.

    Raises:
        UsageError: a file that was not written here has the name.
        OutputError: it cannot be written.
    """
    refuse_foreign(path)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        labels,
        photometric="minisblack",
        compression="zlib",
        description=f"a number for each nucleus, 0 for none; {MARK}",
        metadata=None,
        resolution=(1e4 / PIXEL_SIZE_UM, 1e4 / PIXEL_SIZE_UM),
        resolutionunit="CENTIMETER",
    )
    write_file(path, file.getvalue())
