"""The label map as a TIFF: `X.tif.colvi.labels.tif`, on the very pixels of the raw image.

Where the task tells objects apart each pixel holds the number of its object, the one in the table, as 16
bits, or 32 where there are more than 65,535; else it holds its class, as 8 bits. 0 is nothing.

ImageJ and Fiji open it in colours and with the size of a pixel, from metadata of ImageJ's own; napari and
scikit-image read plain numbers. ImageJ knows no whole numbers of 32 bits: such a file is a plain TIFF, and
comes to it as floating point numbers, in grey. Deflate makes a hundredth of it.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.regions.colours import class_lut, object_lut
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation

_LEVEL = 6  # of deflate
_COLOUR_MAP, _SHORT = 320, 3


def render(sidecar: Sidecar, result: Segmentation, pixel_height_um: float | None = None) -> bytes:
    """Return the file; equal input gives equal bytes.

    Args:
        sidecar: for the size of a pixel and who wrote it.
        result: whose map it is, as pages if it has several planes.
        pixel_height_um: where it is not the width, which the sidecar has.
    """
    from tifffile import imwrite  # takes 15 ms, which nothing but labels needs

    labels, lut = _labels(result)
    pixels = labels[0] if len(labels) == 1 else labels
    width_um = sidecar.image.pixel_size_um
    written: dict[str, Any] = {"software": sidecar.software.label, "compression": "zlib"}
    written["compressionargs"] = {"level": _LEVEL}
    if width_um is not None:
        written["resolution"] = (1 / width_um, 1 / (pixel_height_um or width_um))
    if pixels.dtype == np.uint32:
        if width_um is not None:  # without ImageJ's metadata the unit is the tag's
            written["resolution"] = (1e4 / width_um, 1e4 / (pixel_height_um or width_um))
            written["resolutionunit"] = "CENTIMETER"
    else:
        # What has the last colour: 255, so that each number has its own, or else the largest number.
        shown: dict[str, Any] = {"min": 0, "max": max(int(pixels.max()), len(lut) - 1)}
        shown["axes"] = "YX" if pixels.ndim == 2 else "ZYX"
        # As a colour map: of an image of one channel ImageJ (1.53t) takes no other. Others pass it over, and
        # libtiff with a warning: with 16 bits it expects more colours.
        colours = lut.T.astype(np.uint16) * 257
        written["extratags"] = [(_COLOUR_MAP, _SHORT, colours.size, colours.ravel().tolist(), True)]
        written["imagej"], written["metadata"] = True, {**shown, "unit": "um"} if width_um else shown
    file = io.BytesIO()
    imwrite(file, pixels, photometric="minisblack", **written)
    return file.getvalue()


def _labels(result: Segmentation) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return the map, (Z, H, W) in the type that holds it, and its colours."""
    if result.objects is None:
        return result.labels, class_lut()
    many = len(result.objects.rows) > np.iinfo(np.uint16).max
    return result.objects.labels.astype(np.uint32 if many else np.uint16), object_lut()
