"""Windows for a dense network: how large, how much of each is thrown away, on which raster they begin."""

from dataclasses import dataclass
from typing import Literal

from colvi_edge.bundle.window import LARGEST_WINDOW_PX, MOST_TIMES, Windows
from colvi_edge.errors import UsageError
from colvi_edge.windows import rounded_up

from .reach import Reach

LEAST_PX = 256
"""Edge of a window that nobody chose; the network's halo may ask for more."""

HALOS = 6
"""So many halos is a window wide that nobody chose, at least: each pixel is computed 2.3 times."""

FEWEST_HALOS = 4
"""Of a window of the training, which is kept if it is so many halos wide: 4 times."""


@dataclass(frozen=True)
class Asked:
    """What somebody says of the windows; None and "crop" for nothing.

    Attributes:
        px: their edge, or "whole".
        halo_px: the rim of an answer that is thrown away.
        join: "blend" for windows that overlap and are averaged.
    """

    px: int | Literal["whole"] | None = None
    halo_px: int | None = None
    join: Literal["crop", "blend"] = "crop"


def windows_for(reach: Reach, trained: Windows, asked: Asked) -> Windows:
    """Return how a network's windows lie, such that together they give the whole image's answer.

    Args:
        reach: of the network.
        trained: px as it was trained; a halo there is one that somebody wrote.
        asked: what the options say.

    Raises:
        UsageError: the halo is less than the reach and nobody named it, the reach has no end, or the numbers
            make no windows.
    """
    px = asked.px or trained.px
    whole_anyway = px == "whole" and (asked.px == "whole" or reach.px is None)
    if whole_anyway and asked.halo_px is None and asked.join == "crop":
        return Windows(px="whole", step_px=reach.step_px, reach_px=reach.px)
    if asked.px == "whole":
        raise UsageError("a whole image has no halo and nothing to blend; leave out --halo and --join")
    if asked.join == "blend":
        return _blended(reach, px, asked)
    if reach.px is None and asked.halo_px is None:
        raise UsageError(
            "each pixel's answer depends on the whole image (by InstanceNorm, GroupNorm, attention or a "
            "pooling of everything), so that windows cannot give it; make its statistics constants with "
            "--freeze-norm, or overlap and average windows with --join blend, or give it whole images of up "
            "to 4 million pixels with --window whole"
        )
    halo = asked.halo_px if asked.halo_px is not None else trained.halo_px or reach.halo_px or 0
    if asked.halo_px is None and halo < (reach.px or 0):
        raise UsageError(
            f"the halo is {halo} px and a pixel's answer depends on what lies up to {reach.px} px away, so "
            f"that windows would show; leave the halo to the export ({reach.halo_px} px), or name it with "
            "--halo if you mean it"
        )
    return _cropped(reach, px, halo, chosen=asked.px is not None)


def told_of(windows: Windows) -> str:
    """Return a sentence on the windows, for whoever exports."""
    reach = "the whole image" if windows.reach_px is None else f"{windows.reach_px} px"
    if windows.px == "whole":
        return f"Images are judged whole: reach {reach}, raster {windows.step_px} px."
    how = f"halo {windows.halo_px} px, reach {reach}, raster {windows.step_px} px"
    if windows.stride_px:
        how += f", blended every {windows.stride_px} px"
    return f"Windows of {windows.px} px, {how}: each pixel is computed {windows.times_computed:.1f} times."


def _cropped(reach: Reach, px: int | str, halo: int, *, chosen: bool) -> Windows:
    step = reach.step_px
    halo = rounded_up(halo, step)
    if chosen and isinstance(px, int):
        if px <= 2 * halo or px % step:
            raise UsageError(
                f"--window {px}: expected a multiple of the network's raster, {step} px, and more than twice "
                f"the halo, {2 * halo} px"
            )
        found = px
    elif isinstance(px, int) and px >= max(FEWEST_HALOS * halo, 2 * halo + step):
        found = rounded_up(px, step)
    else:
        most = LARGEST_WINDOW_PX // step * step
        found = max(
            rounded_up(max(FEWEST_HALOS * halo, LEAST_PX), step), min(rounded_up(HALOS * halo, step), most)
        )
    return _checked(
        {"px": found, "halo_px": halo, "step_px": step, "reach_px": reach.px},
        f"a halo of {halo} px on each side of {found} px",
    )


def _blended(reach: Reach, px: int | str, asked: Asked) -> Windows:
    """Return windows as de Bel et al. 2019 overlap them: half of each is kept, the next is a quarter on."""
    quarter = rounded_up(px if isinstance(px, int) else LEAST_PX, 4 * reach.step_px) // 4
    halo = quarter if asked.halo_px is None else rounded_up(asked.halo_px, reach.step_px)
    numbers: dict[str, int | str | None] = {
        **{"px": 4 * quarter, "halo_px": halo, "step_px": reach.step_px, "reach_px": reach.px},
        **{"join": "blend", "stride_px": quarter},
    }
    return _checked(numbers, f"a halo of {halo} px on each side of {4 * quarter} px")


def _checked(numbers: dict[str, int | str | None], words: str) -> Windows:
    try:
        return Windows.model_validate(numbers)
    except ValueError as error:
        raise UsageError(
            f"{words} leaves too little of a window (so that each pixel would be computed more than "
            f"{MOST_TIMES} times), or makes it larger than {LARGEST_WINDOW_PX} px; name a larger --window or "
            "a smaller --halo, or give whole images with --window whole"
        ) from error
