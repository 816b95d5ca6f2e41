"""How an image was recorded, and what its file says of it: channels, pixels, planes."""

from collections.abc import Sequence

from colvi_edge.acquisition.bounds import listed
from colvi_edge.acquisition.model import Acquisition, Role
from colvi_edge.bundle.expected import Expected
from colvi_edge.patches import grid_shape
from colvi_edge.quality.copies import is_constant
from colvi_edge.quality.flags import Flag, Severity
from colvi_edge.quality.measures import saturated_share

SATURATED_WARN, SATURATED_REJECT = 0.01, 0.25
"""Share of a channel's pixels at its ceiling."""

PIXEL_SIZE_FACTOR = 1.25
"""A pixel size off by more than this factor shows the network another magnification."""

PIXEL_ASPECT = 1.01
"""Edges of a pixel: unlike by more than resolutions are rounded, structures come out stretched."""

ROLES: tuple[Role, ...] = ("collagen", "nuclei")


def saturation_flags(acquisition: Acquisition, roles: Sequence[Role] = ROLES) -> list[Flag]:
    """Return which channels are at their ceiling, such as `saturated_collagen` and `saturated_nuclei`."""
    flags = []
    for role in roles:
        # Plane by plane: in their sum the ceiling of one plane is a value like any other.
        share = saturated_share(acquisition.channel(role), of_interest=SATURATED_WARN)
        if share < SATURATED_WARN:
            continue
        severity, limit = _graded(share >= SATURATED_REJECT, SATURATED_WARN, SATURATED_REJECT)
        words = f"{share:.1%} of the {role} pixels are saturated: lower the gain or the laser power."
        flags.append(Flag(f"saturated_{role}", severity, share, limit, words))
    return flags


def constant_flags(acquisition: Acquisition, roles: Sequence[Role] = ROLES) -> list[Flag]:
    """Return which channels were not recorded; of such an image nothing else is worth saying."""
    flags = []
    for role in roles:
        if is_constant(channel := acquisition.channel(role)):
            words = (
                f"Every pixel of the {role} channel holds the same value, {channel[0, 0, 0]:g}, which no "
                "detector delivers: this channel was not recorded; acquire it, or export it with the other."
            )
            flags.append(Flag(f"{role}_constant", "reject", float(channel[0, 0, 0]), None, words))
    return flags


def recording_flags(acquisition: Acquisition, expected: Expected, patch_px: int | None) -> list[Flag]:
    """Return what is odd about how an image was acquired and described.

    Args:
        acquisition: the image.
        expected: what the bundle's training images were like.
        patch_px: edge of the bundle's patches; None where the network sees no patches.
    """
    return [
        *(_patches(acquisition, patch_px, expected.patches_at_least) if patch_px else []),
        *_pixel_size(acquisition.pixel_size_um, expected.pixel_size_um),
        *_pixel_size_overruled(acquisition),
        *_pixel_aspect(acquisition.pixel_size_um, acquisition.pixel_height_um),
        *_planes(acquisition),
        *_last_plane(acquisition),
        *_colours(acquisition),
        *_channels_overruled(acquisition),
    ]


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


def _graded(reject: bool, warn_limit: float, reject_limit: float) -> tuple[Severity, float]:
    return ("reject", reject_limit) if reject else ("warn", warn_limit)
