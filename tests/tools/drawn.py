"""Discs and ellipses, drawn by their formulas."""

import numpy as np
from numpy.typing import NDArray


def ellipse(
    side: int, y: float, x: float, half_major: float, half_minor: float, turned: float = 0
) -> NDArray[np.bool_]:
    """Return a square mask of all pixels whose centres lie within an ellipse; `turned` in radians."""
    rows, columns = np.mgrid[:side, :side]
    along = (columns - x) * np.cos(turned) + (rows - y) * np.sin(turned)
    across = (rows - y) * np.cos(turned) - (columns - x) * np.sin(turned)
    return np.hypot(along / half_major, across / half_minor) <= 1


def disc(side: int, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    """Return a square mask of a disc."""
    return ellipse(side, y, x, radius, radius)


def pair(random: np.random.Generator, first: float, second: float, apart: float) -> NDArray[np.bool_]:
    """Return two discs of these radii, their centres `apart` times their sum away, in any direction."""
    y, x = random.uniform(100, 101, 2)
    turned, distance = random.uniform(0, 2 * np.pi), apart * (first + second)
    second_y, second_x = y + distance * np.sin(turned), x + distance * np.cos(turned)
    return disc(200, y, x, first) | disc(200, second_y, second_x, second)
