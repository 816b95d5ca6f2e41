"""Bundles of networks that see windows or whole images, made of ONNX files; and images for them."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Config, Precision

CLASSES = ("background", "nucleus", "border")


def windowed_bundle(
    folder: Path,
    networks: Mapping[Precision, bytes],
    windows: Mapping[str, Any],
    normalisation: Mapping[str, Any] = {"kind": "image"},
    channels: Sequence[str | Mapping[str, Any]] = ("collagen", "nuclei"),
    classes: Sequence[str] = CLASSES,
    resize_px: tuple[int, int] | None = None,
    known: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
) -> Bundle:
    """Return a bundle whose networks segment, or classify whole images where a size is given.

    Args:
        folder: where its files are put.
        networks: of each precision.
        windows: as in the manifest.
        normalisation: as in the manifest.
        channels: roles, or as in the manifest.
        classes: of the outputs.
        resize_px: rows and columns that a whole image is brought to.
        known: planes (Z, C, H, W) and their field (rows, cols, K), to try engines with.
    """
    files = {f"{precision}.onnx": data for precision, data in networks.items()}
    verification = None
    if known:
        verification = {"region": "region.npy", "field": "field.npy"}
        for name, array in zip(verification.values(), known, strict=True):
            written = io.BytesIO()
            np.save(written, array)
            files[name] = written.getvalue()
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    kind, rule = ("classify", "majority") if resize_px else ("segment", "largest")
    config = Config.model_validate(
        {
            "input": {"channels": list(channels), "normalisation": normalisation, "resize_px": resize_px},
            "windows": windows,
            "task": {"kind": kind, "classes": list(classes), "decision": {"rule": rule}},
            "quality": "general",
            "verification": verification,
            "precisions": {
                precision: {"file": f"{precision}.onnx", "purpose": "tests"} for precision in networks
            },
        }
    )
    everything = repr((sums, config.model_dump())).encode()
    return Bundle(folder, "windowed", "0.0.0", hashlib.sha256(everything).hexdigest(), config, sums)


def scene(shape: tuple[int, ...], seed: int, dtype: str = "uint16") -> NDArray[Any]:
    """Return planes with a bright and a dark side and blobs, so that a window is not like another."""
    rng = np.random.default_rng(seed)
    planes = rng.poisson(60, shape).astype(np.float64)
    planes[..., : shape[-1] // 2] *= 3
    for _ in range(12):
        top, left = rng.integers(0, shape[-2]), rng.integers(0, shape[-1])
        planes[..., top : top + 9, left : left + 13] += rng.integers(20, 90)
    return planes.astype(dtype)
