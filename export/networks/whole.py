"""What a dense network says of a whole image, in torch: no windows, as it is trained and judged."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def whole(network: nn.Module, inputs: NDArray[np.float32], step_px: int) -> Tensor:
    """Return (K, H, W) float32, what a network says of an image.

    Args:
        network: (N, C, h, w) -> (N, K, h, w), in evaluation mode.
        inputs: (C, H, W), normalised.
        step_px: what height and width must be multiples of; zeros are added right and below.
    """
    height, width = inputs.shape[1:]
    padded = functional.pad(torch.from_numpy(inputs), (0, -width % step_px, 0, -height % step_px))
    with torch.inference_mode():
        return cast(Tensor, network(padded[None])).float()[0, :, :height, :width]
