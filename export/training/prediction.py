"""What a network says of patches, and the temperature that makes its probabilities honest."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from colvi_edge.export.data.patch_set import PatchSet, wide
from colvi_edge.patches import Normalisation, normalise


def predict_logits(
    network: nn.Module, patches: PatchSet, normalisation: Normalisation, *, bfloat16: bool = False
) -> Tensor:
    """Return the (N, 2) float32 logits of all patches, a few at a time.

    All at once, the first convolution's output alone is 2 MiB a patch.
    """
    network.eval()
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(patches.label), 64):
            batch = normalise(wide(patches.counts[start : start + 64]), normalisation)
            parts.append(network(torch.from_numpy(batch)).float())
    return torch.cat(parts)


def class_weights(truth: Tensor) -> Tensor:
    """Return (2,) float32 weights that let both classes count alike; 1 and 1 where they are as many.

    Args:
        truth: (N,) int64 labels, with both classes among them.
    """
    count = torch.bincount(truth, minlength=2)
    return len(truth) / (2 * count.float())


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Return the temperature that makes the softmax of logits least surprised by the truth.

    Both classes count alike. The loss is convex in 1 / temperature: a golden-section search finds the
    one minimum. Where all votes are right there is none: ever sharper is ever better, which is no reason
    to be surer than the network, and the temperature is 1.
    """
    if (logits.argmax(1) == truth).all():
        return 1.0
    weights = class_weights(truth).double()

    def surprise(sharpness: float) -> float:
        return functional.cross_entropy(logits.double() * sharpness, truth, weights).item()

    low, high = 0.05, 20.0
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if surprise(left) < surprise(right) else (left, high)
    return 2 / (low + high)
