"""A U-Net of any depth and width: what a pixel shows, judged with what lies around it.

After Ronneberger et al. 2015 (U-Net: Convolutional Networks for Biomedical Image Segmentation), with
convolutions that pad, so that the map has the image's size. Of depth 3 and base 16:

                                channels x height x width          parameters
    input                            C x h   x w
    2 x (conv 3x3, norm, ReLU)      16 x h   x w        144 C + 2,336 + 2 x N 16
    max pool 2; the same            32 x h/2 x w/2                13,888 + 2 x N 32
    max pool 2; the same            64 x h/4 x w/4                55,424 + 2 x N 64
    max pool 2; the same           128 x h/8 x w/8               221,440 + 2 x N 128
    up; joined; the same            64 x h/4 x w/4     U 64  +   110,720 + 2 x N 64
    up; joined; the same            32 x h/2 x w/2     U 32  +    27,712 + 2 x N 32
    up; joined; the same            16 x h   x w       U 16  +     6,944 + 2 x N 16
    conv 1x1                         K x h   x w                    17 K

"Joined" is with the map of the same size on the way down, so that the first convolution after it takes
twice the filters. Scale and bias of a norm are N f = 2 f for f filters (without one 0); running means and
variances are no parameters. "Up" from 2 f filters to f is either a transposed convolution 2x2
(U f = 8 f^2 + f) or a convolution 1x1 and then a resizing (U f = 2 f^2 + f), which commute: in this order
they are a quarter of the work. For C = 2 and K = 2 that makes 481,906 without a norm and with transposed
convolutions, 449,650 with a resizing; with any norm 483,314 and 451,058.

Filters double with each level. h and w must be multiples of `step_of(depth)`. What a pixel's answer depends
on reaches 6 x 2^depth - 2 px from it, seen from a line on the raster of that step (22, 46, 94 px for a depth
of 2, 3, 4), somewhat further with bilinear resizing (25, 53, 109), and everywhere with a norm that takes
its statistics from the image (instance, group).
"""

import math
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from colvi_edge.errors import UsageError

Norm = Literal["none", "batch", "instance", "group"]
Up = Literal["transpose", "nearest", "bilinear"]

DEPTHS = range(1, 7)
BASES = range(4, 129)
MOST_OUTPUTS = 64

GROUPS = 8
"""Of a group norm; fewer where they do not divide the filters."""


def step_of(depth: int) -> int:
    """Return what height and width of the input must be multiples of, px."""
    return 1 << depth


class UNet(nn.Module):
    """(N, channels, h, w) float32 normalised -> (N, outputs, h, w) logits; h and w multiples of 2^depth."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        depth: int = 3,
        base: int = 16,
        norm: Norm = "batch",
        up: Up = "nearest",
    ) -> None:
        """Build an untrained network.

        Args:
            channels: of the input.
            outputs: maps; one for a sigmoid, else one a class.
            depth: how often it halves the image.
            base: filters of the first level.
            norm: after each convolution 3x3.
            up: how maps are doubled.

        Raises:
            UsageError: a parameter is out of its range.
        """
        super().__init__()
        for name, value, known in (
            ("outputs", outputs, range(1, MOST_OUTPUTS + 1)),
            ("depth", depth, DEPTHS),
            ("base", base, BASES),
        ):
            if value not in known:
                raise UsageError(f"{name} is {value}, expected {known[0]} to {known[-1]}")
        for name, word, words in (("norm", norm, get_args(Norm)), ("up", up, get_args(Up))):
            if word not in words:
                raise UsageError(f"{name} is '{word}', expected one of {', '.join(words)}")
        filters = [base << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _double(inside, outside, norm) for inside, outside in pairwise([channels, *filters])
        )
        self.pool = nn.MaxPool2d(2)
        ways = [(coarse, fine) for fine, coarse in pairwise(filters)][::-1]
        self.up = nn.ModuleList(_doubling(coarse, fine, up) for coarse, fine in ways)
        self.joined = nn.ModuleList(_double(2 * fine, fine, norm) for _, fine in ways)
        self.head = nn.Conv2d(base, outputs, kernel_size=1)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the logits of each pixel."""
        maps = [cast(Tensor, self.down[0](windows))]
        for level in self.down[1:]:
            maps.append(level(self.pool(maps[-1])))
        found = maps.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            found = joined(torch.cat([maps.pop(), up(found)], dim=1))
        return cast(Tensor, self.head(found))


def _double(inside: int, outside: int, norm: Norm) -> nn.Sequential:
    """Return two convolutions 3x3, each with its norm and a ReLU."""
    return nn.Sequential(*_stage(inside, outside, norm), *_stage(outside, outside, norm))


def _stage(inside: int, outside: int, norm: Norm) -> tuple[nn.Module, ...]:
    norms: dict[Norm, tuple[nn.Module, ...]] = {
        "none": (),
        "batch": (nn.BatchNorm2d(outside),),
        "instance": (nn.InstanceNorm2d(outside, affine=True),),
        "group": (nn.GroupNorm(math.gcd(GROUPS, outside), outside),),
    }
    return nn.Conv2d(inside, outside, kernel_size=3, padding=1), *norms[norm], nn.ReLU()


def _doubling(coarse: int, fine: int, up: Up) -> nn.Module:
    if up == "transpose":
        return nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2)
    resized = nn.Upsample(scale_factor=2, mode=up)
    return nn.Sequential(nn.Conv2d(coarse, fine, kernel_size=1), resized)
