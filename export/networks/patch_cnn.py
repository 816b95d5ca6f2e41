"""The CNN of the paper, that of the published code, and the activation on top of either.

The paper's network pads every convolution:

                       channels x height x width     parameters (2 / 3 input channels)
    input                    C x 64 x 64
    conv 3x3, ReLU         128 x 64 x 64                 2,432 / 3,584
    max pool 2             128 x 32 x 32
    conv 3x3, ReLU          64 x 32 x 32                73,792
    max pool 2              64 x 16 x 16
    conv 3x3, ReLU          32 x 16 x 16                18,464
    max pool 2              32 x  8 x  8
    dense, ReLU, dropout   150                         307,350
    dense                    2                             302
                                                       402,340 / 403,492

(Bazaga et al. 2019, section 3.3.) The code that its authors published pads the first one only:
its maps are 64, 32, 30, 15, 13 and 6 wide, so that 32 x 6 x 6 = 1152 numbers reach a dense layer
of 172,950 parameters, 267,940 / 269,092 in all. Inputs are normalised patches; outputs are logits
in the order (control, patient).
"""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Literal, cast

import torch
from torch import Tensor, nn

from colvi_edge.errors import ModelError, UsageError

Activation = Literal["softmax", "sigmoid", "none"]

PATCH_PX = 64


class PaperNetwork(nn.Sequential):
    """(N, channels, 64, 64) float32 normalised patches -> (N, 2) logits (control, patient)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            *_stage(channels, 128, "same"),
            *_stage(128, 64, "same"),
            *_stage(64, 32, "same"),
            *_head(32 * 8 * 8),
        )


class PublishedNetwork(nn.Sequential):
    """As `PaperNetwork`, but only the first convolution pads."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            *_stage(channels, 128, "same"),
            *_stage(128, 64, "valid"),
            *_stage(64, 32, "valid"),
            *_head(32 * 6 * 6),
        )


NETWORKS: dict[str, Callable[[int], nn.Sequential]] = {"paper": PaperNetwork, "published": PublishedNetwork}


class Turned(nn.Module):
    """A network trained with the classes in the order (patient, control), giving (control, patient)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        """Return the network's two outputs of (N, C, P, P) patches in the other order."""
        return cast(Tensor, self.network(patches)).flip(1)


class OfTwo(nn.Module):
    """A network of one output, p of the second of two classes or its logit, giving that of both.

    Attributes:
        network: (N, C, h, w) -> (N, 1) or (N, 1, h, w).
        is_probability: of what it gives; else a sigmoid makes it one.
    """

    def __init__(self, network: nn.Module, *, is_probability: bool) -> None:
        super().__init__()
        self.network = network
        self.is_probability = is_probability

    def forward(self, windows: Tensor) -> Tensor:
        """Return 1 - p and p, or the two logits of these."""
        found = cast(Tensor, self.network(windows))
        return torch.cat([1 - found if self.is_probability else -found, found], dim=1)


class Probabilities(nn.Module):
    """A network with its final activation: (N, C, h, w) -> (N, K) or (N, K, h, w) float32, a class each.

    Attributes:
        network: gives logits, or probabilities where the activation is "none".
        activation: "softmax" over all outputs, "sigmoid" of each, or "none".
        temperature: logits are divided by it first; above 1 it takes confidence away.
        from_one: the network has one output, p of the second of two classes; the first gets 1 - p.
    """

    def __init__(
        self, network: nn.Module, activation: Activation, temperature: float = 1.0, *, from_one: bool = False
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"a temperature must be above 0, got {temperature}")
        if activation == "none" and temperature != 1:
            raise ValueError("a network that gives probabilities has no logits to divide by a temperature")
        if activation == "softmax" and from_one:
            raise ValueError("a softmax of one output is 1, whatever it is")
        self.network = network
        self.activation = activation
        self.temperature = temperature
        self.from_one = from_one

    def forward(self, windows: Tensor) -> Tensor:
        """Return the probabilities of normalised patches or windows."""
        found = self._activated(cast(Tensor, self.network(windows)).float())
        return torch.cat([1 - found, found], dim=1) if self.from_one else found

    def _activated(self, logits: Tensor) -> Tensor:
        if self.activation == "none":
            return logits
        scaled = logits / self.temperature
        return torch.softmax(scaled, dim=1) if self.activation == "softmax" else torch.sigmoid(scaled)


def build_network(name: str, channels: int) -> nn.Module:
    """Return an untrained network.

    Args:
        name: of NETWORKS.
        channels: of the input, 2 (collagen, nuclei) or 3 (empty, collagen, nuclei).

    Raises:
        UsageError: no network has this name.
    """
    if name not in NETWORKS:
        choices = " or ".join(f"'{known}'" for known in NETWORKS)
        raise UsageError(f"there is no network '{name}'; choose {choices}")
    return NETWORKS[name](channels)


def network_with(tensors: Mapping[str, Tensor], name: str) -> nn.Module:
    """Return a network with trained weights, in evaluation mode.

    No two tensors of a network have the same shape, so that shapes alone tell which is which:
    the file may call its layers what it likes.

    Args:
        tensors: weights and biases in torch's layout, under any names.
        name: of NETWORKS.

    Raises:
        UsageError: no network has this name.
        ModelError: a tensor is missing, left over or of another shape; the first one is named.
    """
    network = build_network(name, _channels(tensors))
    if not _fits(tensors, network):
        expected = network.state_dict()
        pairs = zip_longest(tensors.items(), expected.items(), fillvalue=("no tensor", None))
        found, wanted = next((f, w) for f, w in pairs if _shape(f[1]) != _shape(w[1]))
        fitting = fitting_networks(tensors)
        remedy = (
            f"the file fits network '{fitting[0]}'"
            if fitting
            else "save another architecture as ONNX, or as TorchScript by "
            "torch.jit.script(model.eval()).save('model.pt')"
        )
        raise ModelError(
            f"the weights are not those of network '{name}': found {found[0]} ({_shape(found[1])}) "
            f"where it has {wanted[0]} ({_shape(wanted[1])}); {remedy}"
        )
    by_shape = {tensor.shape: tensor for tensor in tensors.values()}
    network.load_state_dict({key: by_shape[tensor.shape] for key, tensor in network.state_dict().items()})
    return network.eval()


def fitting_networks(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the networks whose weights these tensors can be."""
    return [name for name in NETWORKS if _fits(tensors, build_network(name, _channels(tensors)))]


def _fits(tensors: Mapping[str, Tensor], network: nn.Module) -> bool:
    found, wanted = tensors.values(), network.state_dict().values()
    return sorted(tensor.shape for tensor in found) == sorted(tensor.shape for tensor in wanted)


def _channels(tensors: Mapping[str, Tensor]) -> int:
    """Return the input channels of the first convolution, known by its 128 filters; 2 where there is none."""
    return next((t.shape[1] for t in tensors.values() if t.ndim == 4 and len(t) == 128), 2)


def _shape(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else " x ".join(map(str, tensor.shape)) or "a number"


def _stage(channels: int, filters: int, padding: str) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, filters, kernel_size=3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)


def _head(features: int) -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(features, 150), nn.ReLU(), nn.Dropout(0.5), nn.Linear(150, 2)
