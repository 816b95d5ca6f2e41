"""Norms that take their statistics from the image, with constants in their place: the reach gets an end.

InstanceNorm and GroupNorm divide by what the image is like. Of images that are alike it is nearly the same,
and so the means over the calibration images can stand for it, as a batch norm's running ones do.
"""

import copy
from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colvi_edge.errors import UsageError


def freeze_norms(network: nn.Module, images: Iterable[NDArray[np.float32]]) -> nn.Module:
    """Return a copy of a network whose norms are constants.

    Args:
        network: in evaluation mode, of plain modules.
        images: normalised, (1, C, h, w) each, as large as the network takes them.

    Raises:
        UsageError: there is no such norm in it, as in TorchScript, whose parts are not seen.
    """
    frozen = copy.deepcopy(network)
    norms = {name: part for name, part in frozen.named_modules() if _is_of_image(part)}
    if not norms:
        raise UsageError(
            "--freeze-norm finds no InstanceNorm and no GroupNorm in the network (those of TorchScript and "
            "ONNX files are not seen); take --join blend or --window whole"
        )
    measured: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in norms}
    hooks = [
        part.register_forward_pre_hook(
            lambda part, given, name=name: measured[name].append(_statistics(part, given[0]))
        )
        for name, part in norms.items()
    ]
    with torch.inference_mode():
        for image in images:
            frozen(torch.from_numpy(image))
    for hook in hooks:
        hook.remove()
    for name, part in norms.items():
        means, variances = (torch.stack(one).mean(0) for one in zip(*measured[name], strict=True))
        _put(frozen, name, _constant(part, means, variances))
    return frozen.eval()


def _is_of_image(part: nn.Module) -> bool:
    if isinstance(part, nn.InstanceNorm2d):
        return not part.track_running_stats
    return isinstance(part, nn.GroupNorm)


def _statistics(part: nn.Module, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of each channel of (1, C, h, w), as the norm takes them."""
    channels = maps.shape[1]
    groups = part.num_groups if isinstance(part, nn.GroupNorm) else channels
    flat = maps.reshape(groups, -1).double()
    of_each = channels // groups
    mean, variance = flat.mean(1), flat.var(1, unbiased=False)
    return mean.repeat_interleave(of_each), variance.repeat_interleave(of_each)


def _constant(part: nn.Module, mean: Tensor, variance: Tensor) -> nn.BatchNorm2d:
    """Return the norm with constants: a batch norm does exactly this when it does not learn."""
    constant = nn.BatchNorm2d(len(mean), eps=cast(float, part.eps))
    scale, bias = part.weight, part.bias
    with torch.no_grad():
        cast(Tensor, constant.running_mean).copy_(mean)
        cast(Tensor, constant.running_var).copy_(variance)
        if isinstance(scale, Tensor):
            constant.weight.copy_(scale)
        if isinstance(bias, Tensor):
            constant.bias.copy_(bias)
    return constant


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    """Put a part where one of this name is."""
    place, _, last = name.rpartition(".")
    setattr(network.get_submodule(place), last, part)
