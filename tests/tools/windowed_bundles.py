"""Bundles of networks that see windows or whole images, made of ONNX files."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colvi_edge.bundle import Bundle, Config, Precision

CLASSES = ("background", "nucleus", "border")


def windowed_bundle(
    folder: Path,
    networks: Mapping[Precision, bytes],
    windows: Mapping[str, Any],
    normalisation: Mapping[str, Any] = {"kind": "image"},
    channels: Sequence[str] = ("collagen", "nuclei"),
    classes: Sequence[str] = CLASSES,
    resize_px: tuple[int, int] | None = None,
) -> Bundle:
    """Return a bundle whose networks segment, or classify whole images where a size is given.

    Args:
        folder: where its files are put.
        networks: of each precision.
        windows: as in the manifest.
        normalisation: as in the manifest.
        channels: roles.
        classes: of the outputs.
        resize_px: rows and columns that a whole image is brought to.
    """
    folder.mkdir(exist_ok=True)
    sums = {}
    for precision, data in networks.items():
        (folder / f"{precision}.onnx").write_bytes(data)
        sums[f"{precision}.onnx"] = hashlib.sha256(data).hexdigest()
    kind, rule = ("classify", "majority") if resize_px else ("segment", "largest")
    config = Config.model_validate(
        {
            "input": {"channels": list(channels), "normalisation": normalisation, "resize_px": resize_px},
            "windows": windows,
            "task": {"kind": kind, "classes": list(classes), "decision": {"rule": rule}},
            "quality": "general",
            "precisions": {
                precision: {"file": f"{precision}.onnx", "purpose": "tests"} for precision in networks
            },
        }
    )
    everything = repr((sums, config.model_dump())).encode()
    return Bundle(folder, "windowed", "0.0.0", hashlib.sha256(everything).hexdigest(), config, sums)
