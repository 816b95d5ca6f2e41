"""Small numbers, drawn pixel by pixel: by them classes are told apart by eyes that see no colours."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_DIGITS = (
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
)
"""Of 3 x 5 dots, row by row."""


@lru_cache(maxsize=256)
def numeral(number: int, dot_px: int = 2) -> NDArray[np.bool_]:
    """Return where a whole number is drawn: (5 dots, as wide as it needs) bool, each dot so many pixels."""
    gap = np.zeros((5, 1), bool)
    columns = [gap]
    for digit in str(number):
        drawn = np.array([dot == "1" for dot in _DIGITS[int(digit)]]).reshape(5, 3)
        columns += [drawn, gap]
    dots = np.concatenate(columns[1:-1], axis=1)
    return dots.repeat(dot_px, axis=0).repeat(dot_px, axis=1)
