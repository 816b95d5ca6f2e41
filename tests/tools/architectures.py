"""Small networks of the usual architectures, as torchvision and the U-Nets of many labs write them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = Callable[[int], nn.Module]


class Bottleneck(nn.Module):
    """A residual block of ResNet."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of 4 * width channels."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """Two residual blocks with the stem and head of ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 8, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(Bottleneck(8, 4, 1), Bottleneck(16, 8, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.avgpool(self.blocks(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


class DenseLayer(nn.Module):
    """A layer of DenseNet; its loop with a return becomes a `while` in TorchScript."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)
        self.memory_efficient = False
        self.drop_rate = 0.1

    def any_requires_grad(self, inputs: list[Tensor]) -> bool:
        """Return whether one of them does."""
        for tensor in inputs:  # noqa: SIM110 - as torchvision writes it
            if tensor.requires_grad:
                return True
        return False

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return new maps."""
        if self.memory_efficient and self.any_requires_grad(inputs):
            raise RuntimeError("Memory Efficient not supported in JIT")
        maps = self.conv(self.relu(self.norm(torch.cat(inputs, 1))))
        if self.drop_rate > 0:
            maps = functional.dropout(maps, p=self.drop_rate, training=self.training)
        return maps


class DenseNet(nn.Module):
    """A dense block of two layers, a transition and the head of DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 7, stride=4, padding=3, bias=False)
        self.first, self.second = DenseLayer(8, 4), DenseLayer(12, 4)
        self.transition = nn.Sequential(
            nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.AvgPool2d(2, 2)
        )
        self.classifier = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        features = [self.stem(x)]
        features.append(self.first(features))
        features.append(self.second(features))
        out = functional.relu(self.transition(torch.cat(features, 1)), inplace=True)
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(out, (1, 1)), 1))


class UNet(nn.Module):
    """One level of a U-Net, and the mean of its two maps.

    Args:
        norm: makes the normalisation of so many channels.
        mode: of resizing: "transposed" convolution, or one of torch's.
        activation: of the network.
    """

    def __init__(self, norm: Norm, mode: str, activation: nn.Module) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), norm(8), activation)
        self.down2 = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), norm(8), activation, nn.Dropout2d(0.2)
        )
        self.pool = nn.MaxPool2d(2)
        self.up: nn.Module
        if mode == "transposed":
            self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        else:
            self.up = nn.Upsample(scale_factor=2.0, mode=mode)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        skip = self.down1(x)
        up = self.up(self.down2(self.pool(skip)))
        dy, dx = skip.size(2) - up.size(2), skip.size(3) - up.size(3)
        up = functional.pad(up, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        small = functional.interpolate(skip, scale_factor=0.5, mode="bilinear", align_corners=False)
        small = functional.interpolate(small, size=(64, 64), mode="nearest")
        return self.out(torch.cat([skip + small, up], dim=1)).mean((2, 3)) * 30


def instance(channels: int) -> nn.Module:
    """Return an instance normalisation with weights."""
    return nn.InstanceNorm2d(channels, affine=True)


def tracked(channels: int) -> nn.Module:
    """Return an instance normalisation that keeps what it saw."""
    return nn.InstanceNorm2d(channels, track_running_stats=True)


def group(channels: int) -> nn.Module:
    """Return a group normalisation."""
    return nn.GroupNorm(4, channels)


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "ResNet": ResNet,
    "DenseNet": DenseNet,
    "U-Net, batch, transposed": lambda: UNet(nn.BatchNorm2d, "transposed", nn.ReLU()),
    "U-Net, instance, nearest": lambda: UNet(instance, "nearest", nn.LeakyReLU(0.1)),
    "U-Net, tracked instance, bilinear": lambda: UNet(tracked, "bilinear", nn.PReLU()),
    "U-Net, group, bicubic": lambda: UNet(group, "bicubic", nn.ELU()),
    "U-Net, group, transposed, SiLU": lambda: UNet(group, "transposed", nn.SiLU()),
    "U-Net, batch, nearest-exact, GELU": lambda: UNet(nn.BatchNorm2d, "nearest", nn.GELU()),
}
