"""How far around a pixel its answer looks, and on which raster a window may begin: both measured.

Columns of NaN stand on one side of a line; whatever they can touch becomes NaN, however small the weights
between, and the first clean column tells how far that is. One pass a side. The line lies on the raster of the
network's strides, as windows do: from any other line it would be further. A norm that takes its statistics
from the image, an attention, a pooling of everything: all becomes NaN, and no halo is wide enough.

The raster is found by moving the image under the window: on it the answer moves along, off it the poolings
take other pixels together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.reading.foreign.words import last_line

from .freezing import freeze_norms

STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Rasters that are tried: products of strides of 2."""

LINE = STEPS[-1]
"""A place on every raster, px."""

FURTHEST_PX = 16 * LINE
"""A reach beyond is as good as infinite: its halo alone would cost more than most images."""

_CLOSE = 1e-4
"""How far apart answers may be that are the same; sums in another order move them by 1e-6."""


@dataclass(frozen=True)
class Reach:
    """What a dense network looks at.

    Attributes:
        left, right, top, bottom: how far a pixel's answer depends on pixels of that side, px, seen from a
            line on the raster; None where it depends on all.
        step_px: the raster on which a window may begin, and of which its edges must be multiples.
    """

    left: int | None
    right: int | None
    top: int | None
    bottom: int | None
    step_px: int

    @property
    def px(self) -> int | None:
        """The furthest of the four; None where one is infinite."""
        sides = (self.left, self.right, self.top, self.bottom)
        return None if None in sides else max(side for side in sides if side is not None)

    @property
    def halo_px(self) -> int | None:
        """The least halo with which windows give the whole image's answer; None where there is none."""
        return None if self.px is None else -(-self.px // self.step_px) * self.step_px


def measure_reach(network: nn.Module, channels: int) -> Reach:
    """Measure a dense network.

    Args:
        network: (N, channels, h, w) -> (N, K, h, w), in evaluation mode, for any h and w on its raster.
        channels: of its input.

    Raises:
        ModelError: it answers with another size than the image's, moves along on no raster, or lets NaN pass
            for a number, so that nothing can be said of its reach.
    """
    with torch.inference_mode():
        steps = _steps(network, channels)
        (left, right), (top, bottom) = (_side(network, channels, turned=turned) for turned in (False, True))
        found = Reach(left, right, top, bottom, steps[0])
        if found.px is None:
            return replace(found, step_px=_step_without_end(network, channels, steps))
        return replace(found, step_px=_step(network, channels, steps, found.px))


def _step_without_end(network: nn.Module, channels: int, steps: Sequence[int]) -> int:
    """Return the raster of a network whose answers depend on the whole image.

    With constants for what its norms measure it has an end, and the same raster. Where something else reaches
    everywhere, the coarsest is one for all poolings.
    """
    try:
        constant = freeze_norms(network, [_noise(channels, LINE, LINE).numpy()])
    except UsageError:
        return steps[-1]
    ends = [end for turned in (False, True) for end in _side(constant, channels, turned=turned)]
    found = [end for end in ends if end is not None]
    return _step(constant, channels, steps, max(found)) if len(found) == len(ends) else steps[-1]


def _side(network: nn.Module, channels: int, *, turned: bool) -> tuple[int | None, int | None]:
    """Return how far an answer depends on pixels before it and behind it, along x or, turned, along y."""
    found: list[int | None] = []
    for behind in (False, True):
        line, reach = LINE, None
        while reach is None and line <= FURTHEST_PX:
            reach = _clean_after(network, channels, line, behind=behind, turned=turned)
            line *= 4
        found.append(reach)
    return found[0], found[1]


def _clean_after(network: nn.Module, channels: int, line: int, *, behind: bool, turned: bool) -> int | None:
    """Return how many columns past a line of NaN are NaN, too; None if all are."""
    stripe = _noise(channels, LINE, 2 * line)
    lost = slice(line, None) if behind else slice(None, line)
    stripe[..., lost] = math.nan
    dirty = torch.isnan(_answer(network, stripe, turned=turned)).flatten(0, 2).any(dim=0)
    if behind:
        dirty = dirty.flip(0)
    if not dirty[:line].all():
        raise ModelError(
            "the network makes numbers of NaN, so that its reach cannot be measured; leave nan_to_num and "
            "comparisons with pixels out of it"
        )
    clean = (~dirty[line:]).nonzero()
    return int(clean[0]) if len(clean) else None


def _steps(network: nn.Module, channels: int) -> list[int]:
    """Return the rasters whose multiples the network takes as height and width, and gives back as such."""
    _refuse_other_size(network, channels)
    steps = [step for step in STEPS if _takes(network, channels, step)]
    if not steps:
        raise ModelError(
            f"the network takes images of no raster of {STEPS[-1]} px or less; save it with free height and "
            "width"
        )
    return steps


def _step(network: nn.Module, channels: int, steps: Sequence[int], reach: int) -> int:
    """Return the finest raster on which the answer moves along with the image."""
    width = -(-(2 * reach + 2 * LINE) // LINE) * LINE
    wide = _noise(channels, LINE, width + LINE)
    at_rest = [_answer(network, wide[..., :width], turned=turned) for turned in (False, True)]
    for step in steps:
        moved = [_answer(network, wide[..., step : step + width], turned=turned) for turned in (False, True)]
        if all(_moves_along(a, b, step, reach) for a, b in zip(at_rest, moved, strict=True)):
            return step
    raise ModelError(
        f"the network's answer moves along with the image on no raster of {STEPS[-1]} px or less; take a "
        "network of fewer poolings, or one that answers for the image as a whole"
    )


def _moves_along(at_rest: Tensor, moved: Tensor, step: int, reach: int) -> bool:
    width = at_rest.shape[-1]
    one = at_rest[..., step + reach : width - reach]
    other = moved[..., reach : width - reach - step]
    return bool((one - other).abs().max() <= _CLOSE * max(1.0, float(at_rest.abs().max())))


def _takes(network: nn.Module, channels: int, step: int) -> bool:
    """Return whether an image may be an odd number of steps high and wide."""
    height, width = LINE + step, LINE + 3 * step
    try:
        return tuple(network(_noise(channels, height, width)).shape[2:]) == (height, width)
    except Exception as error:  # noqa: BLE001 # a foreign graph raises what it likes
        _refuse_greed(error)
        return False


def _refuse_other_size(network: nn.Module, channels: int) -> None:
    """Raise ModelError unless a network answers for each pixel of an image that is on every raster."""
    height, width = 3 * LINE, 5 * LINE
    try:
        answer = network(_noise(channels, height, width))
    except Exception as error:
        _refuse_greed(error)
        raise ModelError(
            f"the network takes no image of {width} x {height} pixels ({last_line(error)}); save it with "
            "free height and width"
        ) from error
    if answer.ndim != 4 or answer.shape[2:] != (height, width):
        found = " x ".join(map(str, answer.shape))
        raise ModelError(
            f"the network answers with {found} for one image of {height} x {width}, expected a class for "
            "each pixel; resize its answer within the network"
        )


def _answer(network: nn.Module, stripe: Tensor, *, turned: bool) -> Tensor:
    found: Tensor = network(stripe.transpose(2, 3).contiguous() if turned else stripe.contiguous())
    return found.transpose(2, 3) if turned else found


def _noise(channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((1, channels, height, width), generator=generator)


def _refuse_greed(error: Exception) -> None:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        raise ModelError(
            "the network takes more memory for a few pixels than there is; take another"
        ) from error
