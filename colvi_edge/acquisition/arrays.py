"""An image that is in memory already: an array, and what its owner says of it."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import Acquisition, Provenance, exact_pixels
from colvi_edge.acquisition.refusals import told_of
from colvi_edge.acquisition.tiff.axes import axis_order
from colvi_edge.acquisition.wanted import Asking, assign_together
from colvi_edge.errors import AxesError, PixelTypeError, UsageError
from colvi_edge.printable import printable_name

AXES = "TZCYXS"
"""Which an array may have: time (of length 1), planes, channels, rows, columns, and samples of a picture."""

_TYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f4")
"""Those that a TIFF file may hold, too."""

_COLOURS = (3, 4)
"""Samples of a picture in red, green and blue, and of one that has an opacity as well."""


def acquire_array(
    planes: NDArray[Any],
    axes: str,
    *,
    channels: Sequence[str] | None = None,
    pixel_size_um: float | None = None,
    asking: Sequence[Asking] = (Asking(),),
    name: str = "array",
) -> Acquisition:
    """Return an image that is in memory, as if a file had said the same of it.

    Args:
        planes: pixels in any order of axes: uint8, uint16 or finite float32, or signed and 32-bit counts that
            one of these holds exactly. Nothing of it is kept but a view, or a copy.
        axes: what each axis is, a letter of AXES for each, such as "CYX".
        channels: role of each channel, in their order; None to go by the rule for files that say nothing.
        pixel_size_um: edge of a pixel; None where it is not known.
        asking: what those who judge ask for.
        name: how the image is called in records and errors.

    Raises:
        AcquisitionError: the array is no image of what is asked for; the sentence begins with the name.
        UsageError: the pixel size is no length.
    """
    if pixel_size_um is not None and not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise UsageError(f"pixel_size_um={pixel_size_um}: expected micrometres above 0, such as 0.3")
    shown, found = printable_name(name), np.asarray(planes)
    with told_of(shown):
        _refuse_type(found.dtype)
        _refuse_axes(axes, found.shape)
        order = axis_order(axes, found.shape)
        samples = found.shape[axes.index("S")] if "S" in axes else 1
        count = order.channels - (samples == max(_COLOURS))  # the fourth of RGB is opacity
        assigned = assign_together(count, [], asking, rgb=samples in _COLOURS, asked=channels)
        ordered = found.transpose(order.axes).reshape(order.planes, order.channels, *order.frame)
        native = np.ascontiguousarray(ordered[:, :count], found.dtype.newbyteorder("="))
        exact = exact_pixels(native)
    return Acquisition(
        name=shown,
        image_key="",
        planes=exact,
        channels=assigned.roles,
        pixel_size_um=pixel_size_um,
        plane_spacing_um=None,
        planes_planned=None,
        channels_assumed=assigned.assumed,
        last_plane_black=not (exact[-1] if samples > 1 else exact[-1, -1]).any(),
        provenance=Provenance(exact.nbytes, hashlib.sha256(exact.data).hexdigest(), axes, found.shape),
    )


def _refuse_type(dtype: np.dtype[Any]) -> None:
    if dtype.str[1:] not in _TYPES:
        raise PixelTypeError(
            f"its pixels are {dtype}; expected whole numbers of 8, 16 or 32 bits or float32; convert them, "
            "e.g. planes.astype('uint16') or planes.astype('float32')"
        )


def _refuse_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse axes that are not the array's; the rest is said of it as of a file."""
    lengths = " x ".join(map(str, shape)) or "none"
    if len(axes) != len(shape) or not set(axes) <= set(AXES) or 0 in shape:
        raise AxesError(
            f"has {len(shape)} axes of lengths {lengths}, and they are called '{axes}'; expected pixels, and "
            f"a letter of {AXES} for each axis: time, planes, channels, rows, columns, samples of a picture"
        )
