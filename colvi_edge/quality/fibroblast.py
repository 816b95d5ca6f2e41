"""Is this an image that can be judged at all? Flags, each with value, limit and words.

A rule must never turn away the sick: little, broken or no collagen *is* the disease. So nearly
everything is judged on the nuclei, which both classes have alike. The collagen is asked only whether
it was recorded at all (a constant was not, nor was a copy of the nuclei channel: `copies`), whether its
detector was saturated, whether it holds what the nuclei channel lacks: nuclei, and whether its structure
is one that the training, or the disease, could have left (`familiarity`).

Each limit stands beside what was measured: good images are 200 simulated controls and 200 patients of
each severity 0.2, 0.5, 0.8 and 1; of each defect 15 to 24 were looked at when the limits were chosen.
docs/quality.md tells what the rules make of more.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.bounds import listed
from colvi_edge.acquisition.model import Acquisition, Role
from colvi_edge.bundle.manifest import Expected
from colvi_edge.patches import grid_shape
from colvi_edge.quality.copies import copied, is_constant, shares_explained
from colvi_edge.quality.familiarity import WORDS, Familiar, Measure, Measured, measure, unfamiliar
from colvi_edge.quality.measures import (
    COARSE_PX,
    FINE_PX,
    Look,
    binned,
    chord_px,
    emptier_half,
    halved,
    look_at,
    noise_at_nuclei,
    outshone,
    relief,
    saturated_share,
    sharpness,
)

Severity = Literal["warn", "reject"]

SATURATED_WARN, SATURATED_REJECT = 0.01, 0.25
"""Share of a channel's pixels at its ceiling."""

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

PIXEL_SIZE_FACTOR = 1.25
"""A pixel size off by more than this factor shows the network another magnification."""

PIXEL_ASPECT = 1.01
"""Edges of a pixel: unlike by more than resolutions are rounded, structures come out stretched."""

ROLES: tuple[Role, ...] = ("collagen", "nuclei")


class Flag(NamedTuple):
    """One finding; value and limit are None where nothing could be measured."""

    name: str
    severity: Severity
    value: float | None
    limit: float | None
    words: str


class Assessment(NamedTuple):
    """What is known about an image before the network sees it.

    Attributes:
        flags: what is wrong, worst first; empty for a good image.
        measures: how it compares with the training images; empty where they, or it, cannot be compared.
    """

    flags: list[Flag]
    measures: list[Measure]

    @property
    def is_rejected(self) -> bool:
        """Whether it must not be judged."""
        return any(flag.severity == "reject" for flag in self.flags)


def assess(
    acquisition: Acquisition, expected: Expected, patch_px: int, familiar: Familiar | None
) -> Assessment:
    """Return what is wrong with an image, and how it compares with those that the network learnt from.

    Args:
        acquisition: with a collagen and a nuclei channel.
        expected: what the bundle's training images were like.
        patch_px: edge of the bundle's patches.
        familiar: how they measured; None if the bundle does not know.
    """
    flags = _saturated(acquisition)
    clipped = any(flag.name == "saturated_nuclei" for flag in flags)
    measures: list[Measure] = []
    if constant := _constant(acquisition):
        flags += constant
    elif min(acquisition.planes.shape[2:]) >= 2 * COARSE_PX:  # no cell is as small as that
        content, measured = _content(acquisition, expected, clipped=clipped)
        flags += content
        if measured is not None:
            measures = familiar.compare(measured) if familiar else []
            if not any(flag.severity == "reject" for flag in flags):  # those say more
                flags += _familiar(measures) if familiar else [_familiarity_unknown()]
    flags += [
        *_patches(acquisition, patch_px, expected.patches_at_least),
        *_pixel_size(acquisition.pixel_size_um, expected.pixel_size_um),
        *_pixel_size_overruled(acquisition),
        *_pixel_aspect(acquisition.pixel_size_um, acquisition.pixel_height_um),
        *_planes(acquisition),
        *_last_plane(acquisition),
        *_colours(acquisition),
        *_channels_overruled(acquisition),
    ]
    return Assessment(sorted(flags, key=lambda flag: flag.severity != "reject"), measures)


def _saturated(acquisition: Acquisition) -> list[Flag]:
    flags = []
    for role in ROLES:
        # Plane by plane: in their sum the ceiling of one plane is a value like any other.
        share = saturated_share(_channel(acquisition, role), of_interest=SATURATED_WARN)
        if share < SATURATED_WARN:
            continue
        severity, limit = _graded(share >= SATURATED_REJECT, SATURATED_WARN, SATURATED_REJECT)
        words = f"{share:.1%} of the {role} pixels are saturated: lower the gain or the laser power."
        flags.append(Flag(f"saturated_{role}", severity, share, limit, words))
    return flags


def _constant(acquisition: Acquisition) -> list[Flag]:
    """Refuse channels that were not recorded; of such an image nothing else is worth saying."""
    flags = []
    for role in ROLES:
        if is_constant(channel := _channel(acquisition, role)):
            words = (
                f"Every pixel of the {role} channel holds the same value, {channel[0, 0, 0]:g}, which no "
                "detector delivers: this channel was not recorded; acquire it, or export it with the other."
            )
            flags.append(Flag(f"{role}_constant", "reject", float(channel[0, 0, 0]), None, words))
    return flags


def _one_recording() -> Flag:
    words = (
        "The collagen and the nuclei channel are one recording that was saved twice (as it is, scaled or "
        "blurred): one has no noise of its own; export both channels as they were acquired."
    )
    return Flag("one_recording", "reject", None, None, words)


def _content(
    acquisition: Acquisition, expected: Expected, *, clipped: bool
) -> tuple[list[Flag], Measured | None]:
    channel = _channel(acquisition, "collagen")
    nuclei, fine = look_at(_channel(acquisition, "nuclei")), binned(channel)
    shares = shares_explained(halved(fine), nuclei.coarse)
    if copied(channel, _channel(acquisition, "nuclei"), shares):
        return [_one_recording()], None
    flags: list[Flag] = []
    in_order = _holds_nuclei(nuclei)
    if not in_order or acquisition.channels_assumed:
        collagen = look_at(channel)
        if nuclei.unevenness > UNEVEN and _holds_nuclei(collagen):
            return [_swapped(acquisition, nuclei)], None
        if acquisition.channels_assumed and not (in_order and collagen.unevenness > UNEVEN):
            flags = [_assumed(acquisition)]
    flags += _nuclei(nuclei, acquisition, expected, clipped=clipped)
    return flags, measure(nuclei, fine, shares[0])


def _familiar(measures: list[Measure]) -> list[Flag]:
    if not (outside := unfamiliar(measures)):
        return []
    worst = outside[0]
    too_low = worst.value < worst.low
    said = WORDS[worst.name].too_low if too_low else WORDS[worst.name].too_high
    limit, bound = (worst.low, "from") if too_low else (worst.high, "up to")
    words = (
        f"Unlike the images that the network learnt from: {said} ({worst.name} {worst.value:.3g}, familiar "
        f"{bound} {limit:.3g}). Check the stains, the magnification, and that this is the image as it was "
        "acquired; colvi-edge doctor --image shows all measures."
    )
    return [Flag("unfamiliar", "reject", worst.value, limit, words)]


def _familiarity_unknown() -> Flag:
    words = (
        "The bundle does not know what its training images were like, so anything may be judged that looks "
        "like nuclei: export it again with --calibration, or train again."
    )
    return Flag("familiarity_unknown", "warn", None, None, words)


def _holds_nuclei(look: Look) -> bool:
    return look.unevenness < EVEN and look.area < NUCLEAR_AREA and relief(look) >= RELIEF


def _swapped(acquisition: Acquisition, nuclei: Look) -> Flag:
    other: dict[Role, Role] = {"nuclei": "collagen", "collagen": "nuclei", "other": "other"}
    order = ",".join(other[role] for role in acquisition.channels)
    words = (
        "The nuclei channel holds no nuclei, but the collagen channel looks like nuclei: if they are "
        f"swapped, run it alone again with --channels {order}."
    )
    return Flag("channels_swapped", "reject", nuclei.unevenness, UNEVEN, words)


def _assumed(acquisition: Acquisition) -> Flag:
    words = (
        "The file names no channels, and they do not tell themselves: taken as "
        f"{', '.join(acquisition.channels)}; if they lie the other way round, say so with --channels."
    )
    return Flag("channels_assumed", "warn", None, None, words)


def _colours(acquisition: Acquisition) -> list[Flag]:
    if not acquisition.colours_disagree:
        return []
    words = (
        "The file shows its channels in colours that speak against their names or wavelengths: these were "
        f"believed ({', '.join(acquisition.channels)}); if the colours are right, say so with --channels."
    )
    return [Flag("colours_disagree", "warn", None, None, words)]


def _channels_overruled(acquisition: Acquisition) -> list[Flag]:
    if not (told := acquisition.channels_overruled):
        return []
    words = (
        f"The file says {listed(told)}; --channels says {listed(acquisition.channels)}, which counts: leave "
        "the option out if the file is right."
    )
    return [Flag("channels_overruled", "warn", None, None, words)]


def _nuclei(nuclei: Look, acquisition: Acquisition, expected: Expected, *, clipped: bool) -> list[Flag]:
    """Judge the nuclei; once they cannot be seen well, no more is said about them."""
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
    if not clipped:  # it makes nuclei larger and noise smaller
        flags += _nuclear_size(nuclei, _mean_edge_um(acquisition) or expected.pixel_size_um)
        flags += _grey_levels(nuclei)
        if expected.planes != 1:  # a network of single planes knows their noise
            flags += _noise(_channel(acquisition, "nuclei"), nuclei)
    return flags


def _half_empty(nuclei: Look) -> list[Flag]:
    # No rejection: that fewer cells hold on may be the disease.
    if (share := emptier_half(nuclei.bright)) >= HALF:
        return []
    words = (
        f"Half of the field holds {share:.0%} of the nuclei: its patches say nothing about the culture; "
        "choose another field."
    )
    return [Flag("half_empty", "warn", share, HALF, words)]


def _nuclear_size(nuclei: Look, pixel_size_um: float | None) -> list[Flag]:
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


def _grey_levels(nuclei: Look) -> list[Flag]:
    if nuclei.contrast >= GREY_LEVELS * nuclei.grey_step:
        return []
    levels = nuclei.contrast / nuclei.grey_step
    words = f"The nuclei span {levels:.0f} grey levels: raise the gain or the laser power."
    return [Flag("few_grey_levels", "warn", levels, GREY_LEVELS, words)]


def _noise(planes: NDArray[Any], nuclei: Look) -> list[Flag]:
    noise = noise_at_nuclei(planes, nuclei)
    if nuclei.contrast >= SIGNAL_TO_NOISE * noise:
        return []
    times = nuclei.contrast / noise
    words = (
        f"Noisy: the nuclei are {times:.1f} times as bright as their noise; sum the planes of a stack, or "
        "let in more light."
    )
    return [Flag("noisy", "warn", times, SIGNAL_TO_NOISE, words)]


def _pixel_size(found_um: float | None, expected_um: float | None) -> list[Flag]:
    if expected_um is None:
        return []
    if found_um is None:
        words = (
            f"The file states no pixel size; the network was trained at {expected_um:g} um. Name it with "
            "--pixel-size-um."
        )
        return [Flag("pixel_size_unknown", "warn", None, expected_um, words)]
    if 1 / PIXEL_SIZE_FACTOR <= found_um / expected_um <= PIXEL_SIZE_FACTOR:
        return []
    words = (
        f"Pixel size {found_um:g} um, the network was trained at {expected_um:g} um: structures come out "
        f"{expected_um / found_um:.2g} times their usual size."
    )
    return [Flag("pixel_size_off", "warn", found_um, expected_um, words)]


def _pixel_size_overruled(acquisition: Acquisition) -> list[Flag]:
    told_um, named_um = acquisition.pixel_size_overruled_um, acquisition.pixel_size_um
    if told_um is None:
        return []
    words = (
        f"Pixel size {named_um:g} um, as --pixel-size-um says; the file says {told_um:g} um: leave the "
        "option out if the file is right."
    )
    return [Flag("pixel_size_overruled", "warn", named_um, told_um, words)]


def _mean_edge_um(acquisition: Acquisition) -> float | None:
    width_um = acquisition.pixel_size_um
    return width_um and (width_um + (acquisition.pixel_height_um or width_um)) / 2


def _pixel_aspect(width_um: float | None, height_um: float | None) -> list[Flag]:
    if width_um is None or height_um is None or 1 / PIXEL_ASPECT <= height_um / width_um <= PIXEL_ASPECT:
        return []
    ratio = height_um / width_um
    limit, direction = (PIXEL_ASPECT, "width") if ratio > 1 else (1 / PIXEL_ASPECT, "height")
    words = (
        f"Pixels are {width_um:g} um wide and {height_um:g} um high, expected squares: structures come out "
        f"stretched {max(ratio, 1 / ratio):.3g} times in {direction}; acquire square pixels, or resample the "
        "image to them."
    )
    return [Flag("pixels_not_square", "warn", ratio, limit, words)]


def _patches(acquisition: Acquisition, patch_px: int, at_least: int) -> list[Flag]:
    height, width = acquisition.planes.shape[2:]
    rows, cols = grid_shape(height, width, patch_px)
    if not 0 < rows * cols < at_least:  # none: the engine says so
        return []
    words = (
        f"Only {rows * cols} patches of {patch_px} x {patch_px} pixels fit into the image: their majority "
        "says little about the culture; export the whole field of view."
    )
    return [Flag("few_patches", "warn", rows * cols, at_least, words)]


def _planes(acquisition: Acquisition) -> list[Flag]:
    found, planned = acquisition.planes.shape[0], acquisition.planes_planned
    if planned is None or not 1 < found < planned:  # one plane is a ready projection
        return []
    words = f"{found} planes of the {planned} that were to be acquired: the projection is darker than usual."
    return [Flag("planes_missing", "warn", found, planned, words)]


def _last_plane(acquisition: Acquisition) -> list[Flag]:
    if not acquisition.last_plane_black:
        return []
    words = (
        "The last plane of the file holds nothing but zeros: if the acquisition ended early, the projection "
        "is darker than usual; acquire the image again."
    )
    return [Flag("last_plane_black", "warn", None, None, words)]


def _channel(acquisition: Acquisition, role: Role) -> NDArray[Any]:
    return acquisition.planes[:, acquisition.channels.index(role)]


def _graded(reject: bool, warn_limit: float, reject_limit: float) -> tuple[Severity, float]:
    return ("reject", reject_limit) if reject else ("warn", warn_limit)
