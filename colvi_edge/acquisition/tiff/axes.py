"""Which axis of a TIFF file is which: the file says it, no length does."""

from dataclasses import dataclass

from colvi_edge.errors import AxesError, ImageTooSmallError, TimeSeriesError
from colvi_edge.patches import SMALLEST_PATCH_PX

SWAP_Z_AND_T = (
    "swap z and t in Fiji with Image > Hyperstacks > Re-order Hyperstack, or set slices and frames in "
    "Image > Properties, and save it again"
)


@dataclass(frozen=True)
class AxisOrder:
    """How axes become (Z, C, H, W): transpose to `axes`, then reshape."""

    axes: tuple[int, ...]
    planes: int
    channels: int
    frame: tuple[int, int]


def axis_order(axes: str, shape: tuple[int, ...]) -> AxisOrder:
    """Return where the axes of the file go; they are taken at their word, never by their length."""
    lengths = dict(zip(axes, shape, strict=True))
    if lengths.get("T", 1) > 1:
        remedy = "export each to its own file"
        if lengths.get("Z", 1) == 1:
            remedy += f", or, if they are the planes of a Z-stack, {SWAP_Z_AND_T}"
        raise TimeSeriesError(f"holds {lengths['T']:,} time points (axes {axes}); expected one; {remedy}")
    if lengths.get("R", 1) > 1:
        raise AxesError(
            f"holds {lengths['R']:,} positions (axes {axes}); expected one; export each to its own file"
        )
    unclear = [axis for axis, length in zip(axes, shape, strict=True) if length > 1 and axis not in "ZCYXS"]
    samples = lengths.get("S", 1)
    if (
        unclear
        or len(lengths) != len(axes)
        or not {"Y", "X"} <= set(axes)
        or samples not in (1, 3, 4)
        or (samples > 1 and lengths.get("C", 1) > 1)
    ):
        raise AxesError(
            f"has axes {axes} of lengths {' x '.join(map(str, shape))}; expected Y and X with Z and C where "
            "there are several; save it as ImageJ hyperstack or OME-TIFF"
        )
    height, width = lengths["Y"], lengths["X"]
    if min(height, width) < SMALLEST_PATCH_PX:
        raise ImageTooSmallError(
            f"is {width} x {height} pixels, smaller than the smallest patch, {SMALLEST_PATCH_PX} x "
            f"{SMALLEST_PATCH_PX}; export the whole field of view"
        )
    kept = [axis for axis in "ZCSYX" if axis in axes]
    order = (*(i for i, axis in enumerate(axes) if axis not in kept), *map(axes.index, kept))
    return AxisOrder(order, lengths.get("Z", 1), lengths.get("C", 1) * samples, (height, width))
