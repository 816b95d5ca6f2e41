"""The U-Net: its table of parameters, its shapes, and what it refuses to be."""

from itertools import pairwise
from typing import get_args

import pytest
import torch

from colvi_edge.errors import UsageError
from colvi_edge.export.networks.known import build_known, shapes_of
from colvi_edge.export.networks.patch_cnn import OfTwo, Probabilities
from colvi_edge.export.networks.unet import Norm, UNet, Up, step_of


def parameters_of(network: torch.nn.Module) -> int:
    """How many numbers a training changes."""
    return sum(parameter.numel() for parameter in network.parameters())


def on_paper(channels: int, outputs: int, depth: int, base: int, norm: Norm, up: Up) -> int:
    """The same, counted from the table of the module: convolutions, norms, ways up and the head."""

    def convolution(inside: int, outside: int, kernel: int) -> int:
        return outside * (kernel * kernel * inside + 1)

    def double(inside: int, outside: int) -> int:
        scales = 0 if norm == "none" else 2 * 2 * outside
        return convolution(inside, outside, 3) + convolution(outside, outside, 3) + scales

    filters = [base * 2**level for level in range(depth + 1)]
    total = double(channels, base) + convolution(base, outputs, 1)
    for fine, coarse in pairwise(filters):
        doubled = convolution(coarse, fine, 1) if up != "transpose" else 4 * coarse * fine + fine
        total += double(fine, coarse) + doubled + double(2 * fine, fine)
    return total


@pytest.mark.parametrize("up", get_args(Up))
@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize(
    ("depth", "base", "channels", "outputs"), [(3, 16, 2, 2), (1, 8, 1, 1), (4, 8, 3, 5)]
)
def test_it_has_the_parameters_of_its_table(
    depth: int, base: int, channels: int, outputs: int, norm: Norm, up: Up
) -> None:
    """For every norm and every way up."""
    network = UNet(channels, outputs, depth, base, norm, up)

    assert parameters_of(network) == on_paper(channels, outputs, depth, base, norm, up)


@pytest.mark.parametrize(
    ("norm", "up", "expected"),
    [
        ("none", "transpose", 481_906),
        ("none", "nearest", 449_650),
        ("batch", "transpose", 483_314),
        ("group", "bilinear", 451_058),
    ],
)
def test_the_table_says_so(norm: Norm, up: Up, expected: int) -> None:
    """The numbers that are printed in the module."""
    assert parameters_of(UNet(2, 2, 3, 16, norm, up)) == expected


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_map_is_as_large_as_the_image(depth: int) -> None:
    """For any height and width on its raster, and no other."""
    network, step = UNet(2, 3, depth, 4).eval(), step_of(depth)

    assert network(torch.zeros(1, 2, 3 * step, 5 * step)).shape == (1, 3, 3 * step, 5 * step)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        network(torch.zeros(1, 2, 3 * step + 1, 5 * step))


def test_one_output_is_two_classes() -> None:
    """1 - p and p, from the checkpoint's own sigmoid, from a logit and from a probability of others."""
    torch.manual_seed(0)
    network, windows = UNet(1, 1, 1, 4).eval(), torch.randn(2, 1, 8, 8)
    p = torch.sigmoid(network(windows))
    wanted = torch.cat([1 - p, p], dim=1)
    alone = torch.nn.Sequential(network, torch.nn.Sigmoid())

    for wrapped in (
        Probabilities(network, "sigmoid", from_one=True),
        Probabilities(OfTwo(network, is_probability=False), "sigmoid"),
        Probabilities(OfTwo(alone, is_probability=True), "none"),
    ):
        torch.testing.assert_close(wrapped.eval()(windows), wanted)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"depth": 7}, "depth is 7, expected 1 to 6"),
        ({"base": 2}, "base is 2, expected 4 to 128"),
        ({"outputs": 65}, "outputs is 65, expected 1 to 64"),
        ({"norm": "layer"}, "norm is 'layer', expected one of none, batch, instance, group"),
        ({"up": "cubic"}, "up is 'cubic', expected one of transpose, nearest, bilinear"),
        ({"depth": True}, "depth of network 'unet' is True, expected int"),
        ({"filters": 3}, "network 'unet' takes outputs, depth, base, norm, up; filters is one too many"),
    ],
)
def test_what_it_cannot_be(wrong: dict[str, int | str], words: str) -> None:
    """Each in a sentence, before a tensor is made."""
    good: dict[str, int | str] = {"outputs": 2, "depth": 2, "base": 4, "norm": "none", "up": "nearest"}
    with pytest.raises(UsageError, match=words):
        build_known("unet", 2, good | wrong)


def test_shapes_take_no_memory() -> None:
    """Those of the largest network, 1.1 billion parameters, of which a hostile file may only speak."""
    shapes = shapes_of(
        "unet", 8, {"outputs": 64, "depth": 6, "base": 128, "norm": "batch", "up": "transpose"}
    )

    assert all(tensor.device.type == "meta" for tensor in shapes.values())
    assert sum(tensor.numel() for tensor in shapes.values()) > 10**9
