"""Small untrained U-Nets as ONNX files: what tiles and whole images are compared with."""

import copy
import io
import warnings
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Up = Literal["transposed", "nearest", "bilinear"]


def _double(inputs: int, outputs: int, instance_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for given in (inputs, outputs):
        layers.append(nn.Conv2d(given, outputs, 3, padding=1))
        layers.append(nn.InstanceNorm2d(outputs) if instance_norm else nn.Identity())
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Double 3 x 3 convolutions, halving `depth` times: its step is 2^depth pixels.

    Its reach, measured with columns of NaN, is 22, 46 and 94 pixels at depths 2, 3 and 4 with transposed or
    nearest up-sampling, and 25, 53 and 109 with bilinear: the halo is the next multiple of the step.
    """

    def __init__(
        self,
        depth: int = 2,
        channels: int = 2,
        classes: int = 3,
        base: int = 4,
        up: Up = "transposed",
        instance_norm: bool = False,
    ) -> None:
        """Make it with the weights of the seed that is set."""
        super().__init__()
        widths = [base << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _double(given, width, instance_norm)
            for given, width in zip([channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            if up == "transposed"
            else nn.Sequential(nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(2 * width, width, 1))
            for width in reversed(widths[:-1])
        )
        self.join = nn.ModuleList(_double(2 * width, width, instance_norm) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(base, classes, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return (N, K, h, w) probabilities of (N, C, h, w)."""
        passed = []
        for level, block in enumerate(self.down):
            windows = block(windows if not level else nn.functional.max_pool2d(windows, 2))
            passed.append(windows)
        windows = passed.pop()
        for up, join in zip(self.up, self.join, strict=True):
            windows = join(torch.cat([passed.pop(), up(windows)], 1))
        answer: torch.Tensor = self.head(windows).softmax(1)
        return answer


def unet(seed: int = 0, **settings: Any) -> UNet:
    """Return an untrained U-Net whose classes differ from place to place.

    Untrained logits lie close together; spread out, a fault shows.
    """
    torch.manual_seed(seed)
    network = UNet(**settings).eval()
    with torch.no_grad():
        network.head.weight.mul_(20)
    return network


class _Wide(nn.Module):
    """A network that answers in float32, whatever it computes in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the network's answer."""
        answer: torch.Tensor = self.network(windows).float()
        return answer


def to_onnx(network: nn.Module, channels: int, px: int, half: bool = False) -> bytes:
    """Return a network as ONNX: (N, C, h, w), N, h and w free -> (N, K, h, w) float32, or (N, K)."""
    example = torch.zeros(1, channels, px, px)
    model = _Wide(copy.deepcopy(network).eval())
    if half:
        model, example = model.half(), example.half()
    with torch.no_grad():
        is_dense = model(example).ndim == 4
    free = {0: "N", 2: "h", 3: "w"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            buffer,  # type: ignore[arg-type] # a file object is documented for dynamo=False
            input_names=["windows"],
            output_names=["answers"],
            dynamic_axes={"windows": free, "answers": free if is_dense else {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
    return buffer.getvalue()


def whole(network: nn.Module, image: NDArray[np.float32], step_px: int = 1) -> NDArray[np.float32]:
    """Return the network's answer (H, W, K) to a normalised image (C, H, W), padded in torch."""
    height, width = image.shape[1:]
    padded = nn.functional.pad(torch.from_numpy(image), (0, -width % step_px, 0, -height % step_px))
    with torch.no_grad():
        answer = network(padded[None])[0]
    found: NDArray[np.float32] = answer.permute(1, 2, 0).numpy()[:height, :width]
    return found
