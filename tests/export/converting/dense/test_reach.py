"""Reach and raster of dense networks: the known ones, none with an end, and what cannot be measured."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError
from colvi_edge.export.converting.dense.reach import Reach, measure_reach
from colvi_edge.export.networks.unet import Norm, UNet, Up


@cache
def measured(depth: int, up: Up = "nearest", norm: Norm = "batch", seed: int = 0) -> Reach:
    """The reach of a small U-Net."""
    torch.manual_seed(seed)
    return measure_reach(UNet(2, 2, depth, 4, norm, up).eval(), 2)


@pytest.mark.parametrize(
    ("depth", "up", "expected"),
    [
        *((2, up, 22) for up in ("transpose", "nearest")),
        *((3, up, 46) for up in ("transpose", "nearest")),
        (4, "nearest", 94),
        *((2, "bilinear", 25), (3, "bilinear", 53), (4, "bilinear", 109)),
    ],
)
def test_the_reach_of_a_unet_is_the_known_one(depth: int, up: Up, expected: int) -> None:
    """To every side alike, on the raster of its poolings."""
    found = measured(depth, up)

    assert (found.left, found.right, found.top, found.bottom) == (expected,) * 4
    assert found.step_px == 2**depth
    assert found.halo_px == -(-expected // 2**depth) * 2**depth


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_statistics_of_the_image_reach_everywhere(norm: Norm) -> None:
    """No halo is wide enough; the raster is known all the same."""
    found = measured(2, norm=norm)

    assert (found.px, found.halo_px, found.step_px) == (None, None, 4)


class _Padding(nn.Module):
    """Takes an image of any size, as many of others do: padded to the raster within, and cut again."""

    def __init__(self, inner: nn.Module, raster: int) -> None:
        super().__init__()
        self.inner, self.raster = inner, raster

    def forward(self, windows: Tensor) -> Tensor:
        height, width = windows.shape[2:]
        padded = nn.functional.pad(windows, (0, -width % self.raster, 0, -height % self.raster))
        return self.inner(padded)[..., :height, :width]


class _Gated(nn.Module):
    """Weighs its maps by their means over the image (squeeze and excitation), behind a pooling."""

    def forward(self, windows: Tensor) -> Tensor:
        found = nn.functional.interpolate(nn.functional.max_pool2d(windows, 4), scale_factor=4)
        return found * found.mean(dim=(2, 3), keepdim=True).sigmoid()


@pytest.mark.parametrize(("norm", "depth"), [("instance", 2), ("group", 3)])
def test_the_raster_is_that_of_the_poolings_whatever_sizes_are_taken(norm: Norm, depth: int) -> None:
    """A network that pads by itself takes every size, and still answers otherwise one pixel on."""
    torch.manual_seed(0)
    inner = UNet(2, 2, depth, 8, norm, "nearest").eval()

    assert measure_reach(_Padding(inner, 2**depth).eval(), 2).step_px == 2**depth


def test_what_reaches_everywhere_without_a_norm_is_given_the_coarsest_raster() -> None:
    """Whatever its poolings are, they lie on it."""
    found = measure_reach(_Padding(_Gated(), 4).eval(), 2)

    assert (found.px, found.step_px) == (None, 64)


class _OneSize(nn.Module):
    """Takes the one size that is tried first."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows.reshape(1, -1, 192, 320)


def test_each_side_is_measured_for_itself() -> None:
    """A lopsided convolution looks 4 px to the left and 1 up, and nowhere else."""
    lopsided = nn.Sequential(nn.ZeroPad2d((4, 0, 1, 0)), nn.Conv2d(1, 2, (2, 5)))

    assert measure_reach(lopsided.eval(), 1) == Reach(left=4, right=0, top=1, bottom=0, step_px=1)


def test_the_line_that_makes_the_reach_is_the_one_that_changes_the_answer() -> None:
    """What lies just within the reach changes a pixel's answer, what lies beyond does not, by numbers."""
    torch.manual_seed(1)
    network = UNet(1, 2, 2, 4, "none", "transpose").double().eval()
    reach, line = measured(2, "transpose").left, 64
    assert reach is not None
    image = torch.randn(1, 1, 64, 160, dtype=torch.float64)
    changed = image.clone()
    changed[..., :line] += 3 * torch.randn(1, 1, 64, line, dtype=torch.float64)
    with torch.inference_mode():
        differs = (network(image) - network(changed)).abs().amax(dim=(0, 1, 2))

    assert differs[line + reach - 1] > 0
    assert torch.equal(differs[line + reach :], torch.zeros(160 - line - reach, dtype=torch.float64))


class _Swallowing(nn.Module):
    """Makes numbers of NaN, behind a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, windows: Tensor) -> Tensor:
        return self.convolution(windows).nan_to_num()


class _Pooled(nn.Module):
    """Answers for the image."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows.mean(dim=(2, 3))


class _Drifting(nn.Module):
    """Answers otherwise wherever the image lies: it adds where a pixel is."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows + torch.arange(windows.shape[-1])


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (_Swallowing(), "makes numbers of NaN"),
        (_Pooled(), "answers with 1 x 1 for one image"),
        (nn.MaxPool2d(2), "answers with 1 x 1 x 96 x 160 for one image of 192 x 320"),
        (_OneSize(), "takes images of no raster of 64 px or less"),
        (nn.Linear(64, 64), r"takes no image of 320 x 192 pixels"),
        (_Drifting(), "moves along with the image on no raster"),
    ],
)
def test_what_cannot_be_measured_is_said(network: nn.Module, words: str) -> None:
    """In a sentence, with what would help."""
    with pytest.raises(ModelError, match=words):
        measure_reach(network.eval(), 1)
