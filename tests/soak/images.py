"""Raw files for the soak scripts: simulated projections, drawn once, each file different by some pixels."""

import functools
import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from colvi_edge.simulate import image_seed, simulate_projection
from colvi_edge.tasks.classify import CLASSES

DRAWN = 4


@functools.cache
def drawn(index: int, size_px: int) -> NDArray[np.uint16]:
    """Return one of the few projections that were drawn: (2, size_px, size_px)."""
    return simulate_projection(CLASSES[index % 2], image_seed(20, index), size_px=size_px)


@functools.cache
def _template(index: int, size_px: int) -> tuple[bytes, int]:
    file = io.BytesIO()
    tifffile.imwrite(file, drawn(index, size_px), imagej=True, metadata={"axes": "CYX"})
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as tif:
        return file.getvalue(), tif.pages.first.dataoffsets[0]


def image(number: int, size_px: int = 256) -> bytes:
    """Return an ImageJ TIFF of two channels; another one for each number below 2**24."""
    data, pixels = _template(number % DRAWN, size_px)
    # Two pixels of the nuclei.
    mark = np.array([100 + (number >> 12), 100 + (number & 4095)], "<u2").tobytes()
    place = pixels + 2 * size_px
    return data[:place] + mark + data[place + len(mark) :]


def write(path: Path, data: bytes) -> None:
    """Write a file as simple programs do: open, write, close."""
    with path.open("xb") as file:
        file.write(data)
