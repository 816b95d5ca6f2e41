"""Numbers and lengths that a file names, in bounds: they are text that anyone may have written."""

import math
import re
from collections.abc import Sequence

from colvi_edge.errors import IncompleteFileError

PIXEL_SIZE_UM = (0.01, 20.0)
"""Plausible edge of a pixel. TIFF's resolution is often that of a printer or a screen:
72 dots per inch are 353 um, 1200 are 21 um."""

PLANE_SPACING_UM = (1e-3, 1e3)
"""Plausible distance of two planes, or two pixels of a container: anyone may have written 1e-300."""

MAX_CHANNELS = 256
"""Of one image: what is said of each is read, and weighed against what is said of all."""

_LONGEST_NUMBER = 64  # characters
_LISTED = 8

MICROMETRES = {
    "pm": 1e-6, "angstrom": 1e-4, "å": 1e-4, "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0,
    "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4, "inch": 25_400.0, "m": 1e6,
    **{
        prefix + ending: factor
        for prefix, factor in (("nano", 1e-3), ("micro", 1.0), ("milli", 1e3))
        for ending in ("meter", "meters", "metre", "metres")
    },
}  # fmt: skip


def bounded_count(value: object, least: int = 1) -> int:
    """Return a number of things that the file names, at most nine digits long."""
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise IncompleteFileError(
            "declares a number of planes or pixels that makes no sense; export it again"
        )
    return int(text)


def positive(value: object, factor: float | None) -> float | None:
    """Return value x factor when that is a finite number above 0."""
    try:
        text = str(value)
        product = float(text if len(text) <= _LONGEST_NUMBER else "") * (factor or math.nan)
    except ValueError:
        return None
    return product if 0 < product < math.inf else None


def plausible_spacing_um(distance_um: float | None) -> float | None:
    """Return the distance of two planes, or pixels, where it may be one of a microscope."""
    low, high = PLANE_SPACING_UM
    return distance_um if distance_um is not None and low <= distance_um <= high else None


def plausible_pixel_um(size_um: float | None) -> float | None:
    """Return the edge of a pixel where it may be one of a microscope."""
    return size_um if size_um is not None and PIXEL_SIZE_UM[0] <= size_um <= PIXEL_SIZE_UM[1] else None


def allowing(**numbers: object) -> str:
    """Return the options that let a raw file ask for so much, for a sentence."""
    return " ".join(f"--limit {name}={number}" for name, number in numbers.items())


def listed(words: Sequence[str], separator: str = ", ") -> str:
    """Return words for a sentence, which has no room for more than the first eight of them."""
    more = f"{separator}..." if len(words) > _LISTED else ""
    return separator.join(words[:_LISTED]) + more
