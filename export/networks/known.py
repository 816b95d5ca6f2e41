"""Every network of ours by its name: what a checkpoint file names, and a training begins with."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from colvi_edge.errors import UsageError

from .patch_cnn import NETWORKS, build_network
from .unet import UNet

Parameters = Mapping[str, int | str]
"""What a network that comes in sizes is built with, beside its channels; nothing for one that does not."""

DENSE = {"unet": UNet}
"""Networks that answer for each pixel, (N, C, h, w) -> (N, outputs, h, w)."""

_TAKEN = {"unet": {"outputs": int, "depth": int, "base": int, "norm": str, "up": str}}


def build_known(name: str, channels: int, parameters: Parameters | None = None) -> nn.Module:
    """Return an untrained network.

    Args:
        name: of `patch_cnn.NETWORKS` or DENSE.
        channels: of its input.
        parameters: of a dense one, as its class takes them, none left out; for "unet" outputs, depth, base,
            norm and up.

    Raises:
        UsageError: no network has this name, or it does not take such parameters.
    """
    given = dict(parameters or {})
    if name not in DENSE:
        if given and name in NETWORKS:
            raise UsageError(f"network '{name}' has one size and takes no {min(given)}")
        return build_network(name, channels)
    taken = _TAKEN[name]
    if off := sorted({*given} ^ {*taken}):
        raise UsageError(f"network '{name}' takes {', '.join(taken)}; {off[0]} is one too many or missing")
    for word, kind in taken.items():
        if type(given[word]) is not kind:
            raise UsageError(f"{word} of network '{name}' is {given[word]!r:.60}, expected {kind.__name__}")
    return DENSE[name](channels, **given)  # type: ignore[arg-type] # each was looked at


def shapes_of(name: str, channels: int, parameters: Parameters | None = None) -> Mapping[str, Tensor]:
    """Return the tensors of a network's state as shapes alone, which take no memory; see `build_known`."""
    with torch.device("meta"):
        return cast(Mapping[str, Tensor], build_known(name, channels, parameters).state_dict())
