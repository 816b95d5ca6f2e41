"""A bundle that outlines what is bright: a network of no weights, whose regions anybody can name."""

from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from colvi_edge.bundle import Config
from colvi_edge.bundle.opening import MANIFEST
from tests.tools.bundles import reseal
from tests.tools.unets import to_onnx

LIMIT = 300
"""Counts of the channel of nuclei, which are more in a nucleus."""


class Bright(nn.Module):
    """A nucleus is where there is more than LIMIT of the second channel."""

    def forward(self, windows: Tensor) -> Tensor:
        """Return (N, 2, h, w) of (N, C, h, w) in thousands of counts."""
        p = torch.sigmoid((windows[:, 1:2] - LIMIT / 1000) * 1e4)
        return torch.cat([1 - p, p], 1)


def outlining_bundle(path: Path) -> Path:
    """Write it, NAME.colvi, and return where."""
    config = Config.model_validate(
        {
            "input": {
                "channels": ["collagen", "nuclei"],
                "normalisation": {"kind": "scale", "divisor": 1000.0, "dtype": "uint16"},
            },
            "windows": {"px": 128, "halo_px": 8, "step_px": 8},
            "task": {
                "kind": "segment",
                "classes": ["background", "nucleus"],
                "decision": {"rule": "threshold", "of": "nucleus", "at_least": 0.5},
                "objects": {"split": "none"},
            },
            "quality": "general",
            "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}},
        }
    )
    path.mkdir()
    (path / "fp32.onnx").write_bytes(to_onnx(Bright(), 2, 128))
    manifest = {
        "type": "model",
        "name": path.stem,
        "version": "1.0",
        "config": {"colvi_edge": config.model_dump(mode="json", exclude_none=True)},
    }
    (path / MANIFEST).write_text(yaml.safe_dump(manifest))
    reseal(path)
    return path
