"""The nuclei, which controls and patients have alike: are they there, in focus, bright enough?

Each limit stands beside what was measured: see `fibroblast`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import Acquisition
from colvi_edge.bundle.expected import Expected
from colvi_edge.quality.flags import Flag
from colvi_edge.quality.measures import (
    FINE_PX,
    ChannelStatistics,
    chord_px,
    emptier_half,
    noise_at_nuclei,
    outshone,
    relief,
    sharpness,
)

RELIEF = 8.0
"""Nuclei above their background, in steps between bins: 322 and more, 16 in the dimmest plane of a stack;
2 to 5 in noise under uneven light. Collagen has 2 to 28: dense, it is no nuclei either."""

EVEN, UNEVEN = 0.15, 0.3
"""Unevenness of the dark: at most 0.02 in nuclei channels, 0.12 if blurred by 8 pixels, 0.17 in the
dimmest plane; at least 0.45 in collagen channels. In between nothing is said."""

NUCLEAR_AREA = 0.15
"""Share of the field that is bright: 0.03 to 0.07 in nuclei channels, 0.14 to 0.51 in collagen channels."""

FOCUS_WARN, FOCUS_REJECT = 0.42, 0.34
"""Steepest nuclear edge per 4 pixels: 0.51 to 0.74 in focus. Blurred by 4 pixels 0.35 to 0.44, and 8 of 8
controls were called patients, with scores up to 45; by 8 pixels 0.26 to 0.32, scores of 0."""

FOCUS_MAGNIFIED, EDGE_MAGNIFIED_PX = 0.25, 14.3
"""The edge of nuclei seen larger, and its product with their mean chord: twice as large, at least 0.29
and 15.8. Where a blur leaves an edge of 0.25 to 0.42 the product is at most 12.9."""

GREY_LEVELS = 20.0
"""Nuclei above their background: 2000 and more at 12 bits, 44 in an 8-bit picture of both channels;
9 at 1/400 of the gain, which moved scores by up to 31 points."""

SIGNAL_TO_NOISE = 9.8
"""Nuclei above their background, over the noise of a pixel: 10.2 to 19.1 in a sum of ten planes, 4.0 to
9.3 in one of them. The photons of a culture vary more than that gap is wide: it is a warning."""

HALF = 0.12
"""Share of the nuclei in the emptier half of the field: 0.19 and more; with one half bare up to 0.05."""

RELIEF_OF_CELLS, OUTSHONE = 100.0, 8.0
"""Where nuclei are few, what passes for them is low, and outshone by them: brightest 0.2 % of the field
over the contrast 1.6 to 2.2, 2.8 in the dimmest plane."""

NUCLEUS_UM, SIZE_FACTOR, NUCLEI_AT_LEAST = 8.4, 1.4, 4
"""Mean chord of nuclei 12 to 20 um long: 25 to 31 pixels of 0.3 um, at half the magnification 15 to
16, at twice 47 to 64. A few nuclei do not tell."""


def holds_nuclei(channel: ChannelStatistics) -> bool:
    """Return whether a channel looks like nuclei: few, on an even dark, and far above its noise."""
    return channel.unevenness < EVEN and channel.area < NUCLEAR_AREA and relief(channel) >= RELIEF


def nuclei_flags(
    nuclei: ChannelStatistics, acquisition: Acquisition, expected: Expected, *, clipped: bool
) -> list[Flag]:
    """Return what is wrong with the nuclei; once they cannot be seen well, no more is said about them.

    Args:
        nuclei: their channel.
        acquisition: the image.
        expected: what the bundle's training images were like.
        clipped: the channel is saturated, which makes nuclei larger and noise smaller.
    """
    if (height := relief(nuclei)) < RELIEF:
        words = (
            "No cells: the nuclei channel holds nothing above its noise; check the stain, the field, and "
            "with --channels which channel is which."
        )
        return [Flag("no_cells", "reject", height, RELIEF, words)]
    if height < RELIEF_OF_CELLS and (times := outshone(nuclei)) > OUTSHONE:
        words = "Hardly any cells: what is bright covers less than 0.5 % of the field; choose another field."
        return [Flag("few_cells", "warn", times, OUTSHONE, words)]
    focus = sharpness(nuclei)
    # Nuclei seen larger have softer edges, too; their size tells that, and is judged below.
    magnified = focus >= FOCUS_MAGNIFIED and focus * chord_px(nuclei.bright) >= EDGE_MAGNIFIED_PX
    if focus < FOCUS_REJECT and not magnified:
        words = "Out of focus: no nucleus has a sharp edge; refocus and acquire again."
        return [Flag("out_of_focus", "reject", focus, FOCUS_REJECT, words)]
    if nuclei.unevenness > UNEVEN:
        words = (
            "The nuclei channel does not look like nuclei on a dark background; check the stain, and with "
            "--channels which channel is which."
        )
        return [Flag("nuclei_unclear", "warn", nuclei.unevenness, UNEVEN, words)]
    flags = _half_empty(nuclei)
    if focus < FOCUS_WARN and not magnified:
        words = "Soft focus: blurred collagen looks like a patient's; refocus and acquire again."
        flags.append(Flag("out_of_focus", "warn", focus, FOCUS_WARN, words))
    if not clipped:
        flags += _nuclear_size(nuclei, _mean_edge_um(acquisition) or expected.pixel_size_um)
        flags += _grey_levels(nuclei)
        if expected.planes != 1:  # a network of single planes knows their noise
            flags += _noise(acquisition.channel("nuclei"), nuclei)
    return flags


def _half_empty(nuclei: ChannelStatistics) -> list[Flag]:
    # No rejection: that fewer cells hold on may be the disease.
    if (share := emptier_half(nuclei.bright)) >= HALF:
        return []
    words = (
        f"Half of the field holds {share:.0%} of the nuclei: its patches say nothing about the culture; "
        "choose another field."
    )
    return [Flag("half_empty", "warn", share, HALF, words)]


def _nuclear_size(nuclei: ChannelStatistics, pixel_size_um: float | None) -> list[Flag]:
    chord = chord_px(nuclei.bright)
    of_one = 4 / np.pi * chord**2  # a disc's area from its mean chord
    if pixel_size_um is None or nuclei.area * nuclei.fine.size * FINE_PX**2 < NUCLEI_AT_LEAST * of_one:
        return []
    size_um = chord * pixel_size_um
    if 1 / SIZE_FACTOR <= size_um / NUCLEUS_UM <= SIZE_FACTOR:
        return []
    words = (
        f"At {pixel_size_um:g} um a pixel the nuclei are {size_um:.1f} um across, {size_um / NUCLEUS_UM:.1f} "
        "times the usual: magnification and pixel size do not agree."
    )
    return [Flag("nuclei_size_off", "warn", size_um, NUCLEUS_UM, words)]


def _grey_levels(nuclei: ChannelStatistics) -> list[Flag]:
    if nuclei.contrast >= GREY_LEVELS * nuclei.grey_step:
        return []
    levels = nuclei.contrast / nuclei.grey_step
    words = f"The nuclei span {levels:.0f} grey levels: raise the gain or the laser power."
    return [Flag("few_grey_levels", "warn", levels, GREY_LEVELS, words)]


def _noise(planes: NDArray[Any], nuclei: ChannelStatistics) -> list[Flag]:
    noise = noise_at_nuclei(planes, nuclei)
    if nuclei.contrast >= SIGNAL_TO_NOISE * noise:
        return []
    times = nuclei.contrast / noise
    words = (
        f"Noisy: the nuclei are {times:.1f} times as bright as their noise; sum the planes of a stack, or "
        "let in more light."
    )
    return [Flag("noisy", "warn", times, SIGNAL_TO_NOISE, words)]


def _mean_edge_um(acquisition: Acquisition) -> float | None:
    width_um = acquisition.pixel_size_um
    return width_um and (width_um + (acquisition.pixel_height_um or width_um)) / 2
