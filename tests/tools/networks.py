"""Networks as others build them, small: ResNet's and DenseNet's blocks as in torchvision, usual U-Nets."""

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions, with a shortcut; ResNeXt's where it has groups."""

    def __init__(self, channels: int, filters: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.way = nn.Sequential(
            *(nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()),
            nn.Conv2d(filters, filters, 3, stride, padding=1, groups=groups, bias=False),
            *(nn.BatchNorm2d(filters), nn.ReLU()),
            *(nn.Conv2d(filters, 2 * filters, 1, bias=False), nn.BatchNorm2d(2 * filters)),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, 2 * filters, 1, stride, bias=False), nn.BatchNorm2d(2 * filters)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add what the shortcut brings."""
        return functional.relu(self.way(images) + self.shortcut(images))


def resnet() -> nn.Module:
    """ResNet: a wide first convolution, blocks, the mean of the map."""
    return nn.Sequential(
        *(nn.Conv2d(2, 8, 7, 2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        nn.MaxPool2d(3, 2, padding=1),
        *(Bottleneck(8, 8, 1), Bottleneck(16, 16, 2, groups=4)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2)),
    )


class DenseBlock(nn.Module):
    """DenseNet's: each layer sees the maps of all before it."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                *(nn.BatchNorm2d(channels + k * growth), nn.ReLU()),
                nn.Conv2d(channels + k * growth, growth, 3, padding=1, bias=False),
            )
            for k in range(layers)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Concatenate what every layer finds."""
        maps = [images]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


def densenet() -> nn.Module:
    """DenseNet: dense blocks with a transition between."""
    return nn.Sequential(
        *(nn.Conv2d(2, 8, 7, 2, padding=3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)),
        DenseBlock(8, 3, 4),
        *(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2)),
        DenseBlock(10, 2, 4),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(18, 2)),
    )


class UNet(nn.Module):
    """A U-Net of three levels, and the mean of its two maps.

    Attributes:
        up: "transpose", "size" or a mode of interpolation.
    """

    def __init__(self, up: str, norm: Norm) -> None:
        super().__init__()
        self.up = up

        def stage(channels: int, filters: int) -> nn.Module:
            return nn.Sequential(
                *(nn.Conv2d(channels, filters, 3, padding=1), norm(filters), nn.ReLU()),
                *(nn.Conv2d(filters, filters, 3, padding=1), norm(filters), nn.LeakyReLU(0.1)),
            )

        self.top, self.middle, self.bottom = stage(2, 8), stage(8, 16), stage(16, 32)
        self.rise = nn.ModuleList([nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)])
        self.narrow = nn.ModuleList([nn.Conv2d(32, 16, 1), nn.Conv2d(16, 8, 1)])
        self.back, self.last, self.head = stage(32, 16), stage(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Go down, up again, and take the mean."""
        top = self.top(images)
        middle = self.middle(functional.max_pool2d(top, 2))
        bottom = self.bottom(functional.avg_pool2d(middle, 2))
        back = self.back(torch.cat([self._up(bottom, middle, 0), middle], 1))
        last: Tensor = self.last(torch.cat([self._up(back, top, 1), top], 1))
        mean: Tensor = self.head(last).mean((2, 3))
        return mean

    def _up(self, maps: Tensor, like: Tensor, level: int) -> Tensor:
        if self.up == "transpose":
            risen: Tensor = self.rise[level](maps)
        elif self.up == "size":
            wide = functional.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=True)
            risen = self.narrow[level](wide)
        else:
            risen = self.narrow[level](functional.interpolate(maps, scale_factor=2, mode=self.up))
        height, width = like.shape[2] - risen.shape[2], like.shape[3] - risen.shape[3]
        return functional.pad(risen, [width // 2, width - width // 2, height // 2, height - height // 2])


class Shuffled(nn.Module):
    """Channels shuffled, halves exchanged, a matrix of attention: shapes made of shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(2, 8, 3, 4), nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Compute them from the batch's own size."""
        maps = functional.hardswish(self.first(images))
        count, channels, height, width = maps.shape
        maps = maps.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(maps.shape)
        one, other = maps.chunk(2, 1)
        tokens = torch.cat([other, one], 1).flatten(2).transpose(1, 2)
        weights = torch.softmax(tokens @ tokens.transpose(1, 2) / 8**0.5, -1)
        head: Tensor = self.head(functional.gelu((weights @ tokens).mean(1))).flip(1)
        return head


NORMS: dict[str, Norm] = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "instance with weights": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "group": lambda channels: nn.GroupNorm(4, channels),
}
UPS = ("transpose", "size", "nearest", "bilinear", "bicubic")

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "densenet": densenet,
    "shuffled": Shuffled,
    **{f"unet, {up}, batch": lambda up=up: UNet(up, NORMS["batch"]) for up in UPS},  # type: ignore[misc]
    **{f"unet, nearest, {name}": lambda norm=norm: UNet("nearest", norm) for name, norm in NORMS.items()},  # type: ignore[misc]
}
