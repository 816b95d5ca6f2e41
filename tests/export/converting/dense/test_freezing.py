"""Norms frozen to constants: the same answer for the image that set them, and a reach with an end."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from colvi_edge.errors import UsageError
from colvi_edge.export.converting.dense.freezing import freeze_norms
from colvi_edge.export.converting.dense.reach import measure_reach
from colvi_edge.export.networks.unet import Norm, UNet


def images(count: int) -> list[NDArray[np.float32]]:
    """Noise, each image of another brightness and contrast."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(k, 1 + k, (1, 2, 48, 64))).astype(np.float32)  # of its own statistics
        for k in range(count)
    ]


def network(norm: Norm) -> nn.Module:
    """An untrained U-Net whose norms scale and shift."""
    torch.manual_seed(0)
    made = UNet(2, 2, 2, 8, norm, "nearest")
    for part in made.modules():
        if isinstance(part, nn.GroupNorm | nn.InstanceNorm2d):
            nn.init.normal_(part.weight, 1, 0.2)
            nn.init.normal_(part.bias, 0, 0.2)
    return made.eval()


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_the_image_that_sets_them_is_judged_as_before(norm: Norm) -> None:
    """Its own statistics are the constants; another image's are not."""
    live, (one, other) = network(norm), images(2)
    frozen = freeze_norms(live, [one])
    with torch.inference_mode():
        differs = [
            float((live(torch.from_numpy(x)) - frozen(torch.from_numpy(x))).abs().max()) for x in (one, other)
        ]

    assert differs[0] < 1e-4 < 1e-2 < differs[1]


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_the_reach_then_has_an_end(norm: Norm) -> None:
    """As with a batch norm; the network that was given is left alone."""
    live = network(norm)
    frozen = freeze_norms(live, images(3))

    assert measure_reach(frozen, 2).px == 22
    assert measure_reach(live, 2).px is None


@pytest.mark.filterwarnings("ignore")  # of TorchScript, which warns of norms
def test_a_network_without_such_norms_is_refused() -> None:
    """Also one whose parts are not seen."""
    traced = torch.jit.trace(network("instance"), torch.zeros(1, 2, 8, 8))  # type: ignore[no-untyped-call]
    for of_none in (network("batch"), traced):
        with pytest.raises(UsageError, match="finds no InstanceNorm and no GroupNorm"):
            freeze_norms(of_none, images(1))
