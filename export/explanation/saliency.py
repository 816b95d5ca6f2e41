"""What a network's vote on a patch hangs on: the pixels of its input, and the maps of its convolutions.

    margin         D = ln(p_control / p_patient), or of two sigmoids logit(p_control) - logit(p_patient);
                   above 0 the patch votes control
    saliency       S[y, x] = max over c of |dD / dN[c, y, x]|, N the normalised patch
    contribution   A dD/dA of a convolution's map A: above 0 where it speaks for control

Saliency is that of Simonyan et al. 2013 (arXiv 1312.6034, section 3), but for the score: theirs is the
class's own logit, of which a softmax of two uses the difference alone, and that is D. Contribution is
gradient times activation (Shrikumar et al. 2016, arXiv 1605.01713).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colvi_edge.errors import ModelError
from colvi_edge.export.networks.patch_cnn import Activation, Probabilities
from colvi_edge.export.reading.checkpoint import Checkpoint

MARGIN: dict[Activation, str] = {
    "softmax": "ln(p_control / p_patient)",
    "sigmoid": "logit(p_control) - logit(p_patient)",
    "none": "ln(p_control / p_patient)",
}
"""The margin in words, by the activation that makes probabilities of the outputs."""

_BATCH = 32  # patches: 270 MiB in the paper's network; 64 took 445 and an eighth less time


@dataclass(frozen=True)
class Saliency:
    """What was found of the patches of an image.

    Attributes:
        probabilities: (N, 2) float32, (control, patient).
        margin: (N,) float32.
        gradient: (N, C, P, P) float32, of each patch's margin by its normalised pixels; 0 in an empty
            channel, which no image can change.
    """

    probabilities: NDArray[np.float32]
    margin: NDArray[np.float32]
    gradient: NDArray[np.float32]

    @property
    def strongest(self) -> NDArray[np.float32]:
        """(N, P, P) saliency: the largest magnitude among the channels."""
        return cast(NDArray[np.float32], np.abs(self.gradient).max(axis=1))


class Stage(NamedTuple):
    """The maps of one convolution for one patch, after its ReLU, before they are pooled.

    Attributes:
        activation: (maps, height, width) float32, 0 or above.
        contribution: the same shape, of either sign.
    """

    activation: NDArray[np.float32]
    contribution: NDArray[np.float32]


def find_saliency(checkpoint: Checkpoint, patches: NDArray[np.float32]) -> Saliency:
    """Judge normalised (N, C, P, P) patches, and differentiate each one's margin by its pixels.

    Raises:
        ModelError: the network has no gradient.
    """
    judge = Probabilities(nn.Identity(), checkpoint.activation, checkpoint.temperature)
    is_taken = torch.tensor([role != "empty" for role in checkpoint.channels])
    probabilities, margins, gradients = [], [], []
    for start in range(0, len(patches), _BATCH):
        batch = torch.from_numpy(patches[start : start + _BATCH]).requires_grad_()
        outputs = checkpoint.network(batch)
        margin = _margin(checkpoint, outputs)
        (gradient,) = _gradients(margin, [batch])
        gradients.append(gradient * is_taken.reshape(-1, 1, 1))
        margins.append(margin.detach())
        probabilities.append(judge(outputs.detach()))
    return Saliency(*(torch.cat(parts).numpy() for parts in (probabilities, margins, gradients)))


def find_stages(checkpoint: Checkpoint, patch: NDArray[np.float32]) -> list[Stage]:
    """Return the maps of each convolution for one normalised (C, P, P) patch, in the network's order.

    They are found by their ReLU. A network that came as a graph (TorchScript, torch.export) keeps its
    layers to itself: the list is empty.
    """
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        if output.ndim == 4:
            maps.append(output)

    hooks = [
        module.register_forward_hook(keep)
        for module in checkpoint.network.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        margin = _margin(checkpoint, checkpoint.network(torch.from_numpy(patch)[None].requires_grad_()))
    finally:
        for hook in hooks:
            hook.remove()
    gradients = _gradients(margin, maps) if maps else []
    return [
        Stage(activation[0].detach().numpy(), (activation[0].detach() * gradient[0]).numpy())
        for activation, gradient in zip(maps, gradients, strict=True)
    ]


def strongest_maps(stage: Stage, count: int) -> list[int]:
    """Return the indices of the maps whose contribution, summed as magnitudes, is largest; largest first."""
    weight = np.abs(stage.contribution).sum(axis=(1, 2))
    return np.argsort(-weight, kind="stable")[:count].tolist()


def _margin(checkpoint: Checkpoint, outputs: Tensor) -> Tensor:
    """Return (N,) margins of the (N, 2) outputs of a network without its activation."""
    if checkpoint.activation == "none":  # of exactly 0 the logarithm is infinite, and has no gradient
        outputs = outputs.clamp_min(torch.finfo(torch.float32).tiny).log()
    return (outputs[:, 0] - outputs[:, 1]) / checkpoint.temperature


def _gradients(margin: Tensor, of: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradient of each margin by its own patch: that of their sum, as no patch sees another."""
    if margin.requires_grad:
        gradients = torch.autograd.grad(margin.sum(), of, allow_unused=True)
        if all(gradient is not None and gradient.isfinite().all() for gradient in gradients):
            return gradients
    raise ModelError(
        "the network has no finite gradient, which its explanation is made of; save it without no_grad, "
        "detach and rounding, or explain the checkpoint that it was made from"
    )
