"""Bundles of networks whose answers are known: they see how bright a picture is, and nothing else."""

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from colvi_edge.bundle import Bundle, Config, open_bundle
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.export.converting.onnx import to_onnx
from tests.tools.bundles import reseal

STEEP = 40.0


class Brightness(nn.Module):
    """Softmax over K classes, each of one K-th of the mean brightness 0..1: the first of the darkest."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.rank = nn.Linear(1, classes)
        with torch.no_grad():
            # Class k is ahead of class k - 1 from k / K on: STEEP (k mean - sum of the edges to k).
            self.rank.weight[:, 0] = STEEP * torch.arange(classes)
            self.rank.bias[:] = -STEEP * torch.arange(classes).cumsum(0) / classes

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 1, h, w) -> (N, K)."""
        return torch.softmax(self.rank(self.pool(pictures).flatten(1)), 1)


def brightness_bundle(
    path: Path,
    classes: tuple[str, ...],
    decision: dict[str, Any],
    *,
    patch_px: int | None = None,
    resize_px: tuple[int, int] | None = None,
    planes: str = "sum",
) -> Bundle:
    """Write a bundle that takes one channel of 8 bits, called intensity.

    Args:
        path: of it, NAME.colvi.
        classes: from the darkest to the brightest.
        decision: its rule.
        patch_px: of patches; None for whole images.
        resize_px: to which these are brought.
        planes: sum or each.
    """
    config = Config.model_validate(
        {
            "input": {
                "channels": ["intensity"],
                "planes": planes,
                "normalisation": {"kind": "scale", "divisor": 255.0, "dtype": "uint8"},
                **({"resize_px": resize_px} if resize_px else {}),
            },
            "windows": {"px": patch_px, "cell_px": patch_px} if patch_px else {"px": "whole"},
            "task": {"kind": "classify", "classes": classes, "decision": decision},
            "quality": "general",
            "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}},
        }
    )
    path.mkdir()
    network = Brightness(len(classes)).eval()
    (path / "fp32.onnx").write_bytes(to_onnx(network, 1, resize_px or patch_px or 0))
    manifest = {
        "type": "model",
        "name": path.stem,
        "version": "1.0",
        "config": {"colvi_edge": config.model_dump(mode="json", exclude_none=True)},
    }
    (path / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(path)
    return open_bundle(path)
