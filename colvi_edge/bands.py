"""The five colours of p_control (Bazaga et al. 2019, section 3)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Band(NamedTuple):
    """One of the five colours of p_control.

    Attributes:
        name: of the colour.
        at_least: where the band begins, this value included.
        ceiling: where it ends, this value left out, except at 1.
        rgb: the colour, 0..255.
    """

    name: str
    at_least: float
    ceiling: float
    rgb: tuple[int, int, int]


BANDS = (
    Band("cyan", 0.9, 1.0, (0, 255, 255)),
    Band("steelblue", 0.7, 0.9, (70, 130, 180)),
    Band("yellow", 0.5, 0.7, (255, 255, 0)),
    Band("orange", 0.3, 0.5, (255, 165, 0)),
    Band("red", 0.0, 0.3, (255, 0, 0)),
)
"""The paper's colours, healthiest first."""


def band_of(p_control: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return each p_control's index into BANDS, compared in float32.

    In float64 a patch of exactly float32(0.9) = 0.899999976... would miss its own band.
    """
    floors = np.array([band.at_least for band in BANDS[:-1]], np.float32)
    below = p_control[..., np.newaxis].astype(np.float32) < floors
    return below.sum(axis=-1).astype(np.uint8)
