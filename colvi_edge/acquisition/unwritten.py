"""Unwritten ends of a file: space reserved for pixels and never filled, told from pixels that are black.

Many programs reserve a file's full length first and fill it in afterwards; until then its end
reads as zeros. Neither the length nor the structure of such a file shows it, and uncompressed
pixels may be zero (a compressed stream that ends in zeros does not decode to its full length).

An acquisition that was broken off leaves the same behind for good. So a black last plane is believed of a
file that is at rest, by whoever knows that no later look would find another.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.source import AT_REST_S
from colvi_edge.errors import AcquisitionError, IncompleteFileError, LastPlaneBlackError

DARK_TAIL_PX = 16
DARK_SHARE = 0.01
"""Where fewer pixels than this are zero, 16 in a row are so by chance once in 10^32 images."""


def ends_black(plane: NDArray[Any], tile_px: tuple[int, int] | None) -> bool:
    """Return whether an image ends in a black plane; refuse one that ends in the midst of a plane.

    Black itself is no sign: a detector whose offset clips, or that counts photons, records
    zeros by the million. A whole plane of them at the very end is one, and so is a run of them
    at the end of a plane that otherwise has next to none, as every camera's has.

    Args:
        plane: (H, W, samples), the one that is stored last.
        tile_px: (height, width) of the tiles it is stored in; None when it is stored row by row.

    Raises:
        IncompleteFileError: the plane's end is zeros as space is that was reserved, but not filled.
    """
    height, width, _ = plane.shape
    rows, columns = tile_px or (1, width)
    tail_px = 0
    for y in reversed(range(0, height, rows)):
        for x in reversed(range(0, width, columns)):
            dark = ~plane[y : y + rows, x : x + columns].any(axis=-1).ravel()
            if not dark.all():
                _refuse_tail(plane, tail_px + int(np.argmin(dark[::-1])))
                return False
            tail_px += dark.size
    return True


def refuse_unfinished(at_rest: bool, is_final: Callable[[AcquisitionError], bool]) -> None:
    """Refuse an image that ends in a black plane, unless that is all there will be.

    Args:
        at_rest: from `source.is_at_rest`.
        is_final: asked whether no later look can help.

    Raises:
        LastPlaneBlackError: the file is at rest, but a later look is to confirm it.
        IncompleteFileError: it is not, or was never written so far.
    """
    black = "its last plane holds nothing but zeros, as in a file that is still being written; "
    if not at_rest:
        raise IncompleteFileError(
            f"{black}try again {AT_REST_S:g} s after its last change; if that does not help, export the "
            "planes that were acquired"
        )
    doubt = LastPlaneBlackError(f"{black}it will be judged if the next look finds the same")
    if not is_final(doubt):
        raise doubt


def _refuse_tail(plane: NDArray[Any], tail_px: int) -> None:
    if tail_px < DARK_TAIL_PX:
        return
    pixels = plane.shape[0] * plane.shape[1]
    dark = pixels - np.count_nonzero(plane.any(axis=-1))
    if dark - tail_px < DARK_SHARE * (pixels - tail_px):
        raise IncompleteFileError(
            f"its last {tail_px:,} pixels are zeros, and hardly any other is, as in a file that is still "
            "being written; wait for the microscope, or crop the black margin"
        )
