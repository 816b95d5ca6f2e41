"""Do the exported networks decide as the trained one does? Asked of every precision on every runtime here.

The reference is torch in FP32 on images that calibration has not seen. What counts is what the
microscopist sees: votes, scores, diagnoses; see `engines.verification` for the measures and the limits.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.bundle.parity import Comparison
from colvi_edge.choices import EngineName
from colvi_edge.engines.opening import open_exactly
from colvi_edge.errors import ModelError
from colvi_edge.export.networks.patch_cnn import PATCH_PX, Probabilities
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.patches import grid_shape, network_input, project, tile
from colvi_edge.tasks.classify.comparison import Tolerance, compare

RUNTIMES = (EngineName.OPENVINO, EngineName.ONNXRUNTIME)
WORST = 16
"""Patches kept for a look when a precision fails."""

NEVER_ON_TENSORRT = (
    "int8-trt was measured on OpenVINO and ONNX Runtime, never on TensorRT: build and the daemon try it "
    "there."
)

_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One precision on one runtime; `faults` is empty for a pass."""

    precision: Precision
    runtime: str
    version: str
    comparison: Comparison
    faults: list[str]
    probabilities: list[NDArray[np.float32]]


def reference(checkpoint: Checkpoint, images: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Return the (rows, cols, 2) probabilities of each image by the oracle and torch in FP32.

    Raises:
        ModelError: the network's outputs are no probabilities.
    """
    network = checkpoint.probabilities().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return [_judged(network, planes, checkpoint) for planes in images]


def measure(
    bundle: Bundle,
    images: Sequence[NDArray[Any]],
    expected: list[NDArray[np.float32]],
    tolerance: Tolerance,
    progress: Callable[[str], None],
) -> Iterator[Row]:
    """Yield a row for every precision of a bundle on every runtime of this machine.

    Args:
        bundle: with all its precisions.
        images: (Z, C, H, W) of each, in the bundle's layout.
        expected: what `reference` gave for them.
        tolerance: the gate's.
        progress: told what is measured.
    """
    for precision in bundle.config.precisions:
        for runtime in RUNTIMES:
            progress(f"parity of {precision} on {runtime.value}")
            with closing(open_exactly(runtime, bundle, precision, "parity")) as engine:
                found = [engine.field(planes) for planes in images]
                version = engine.info.version
            comparison = compare(expected, found, tolerance)
            yield Row(precision, runtime.value, version, comparison, tolerance.faults(comparison), found)


def worst_patches(
    row: Row,
    expected: list[NDArray[np.float32]],
    images: Sequence[NDArray[Any]],
    layout: Sequence[str],
) -> bytes:
    """Return the patches that moved most as an ImageJ stack, worst first, labelled with their p_control."""
    moved = [
        (float(np.nan_to_num(abs(found - wanted), nan=np.inf)), image, patch, float(wanted), float(found))
        for image, (a, b) in enumerate(zip(expected, row.probabilities, strict=True))
        for patch, (wanted, found) in enumerate(zip(a[..., 0].ravel(), b[..., 0].ravel(), strict=True))
    ]
    worst = sorted(moved, reverse=True)[:WORST]
    patches = [tile(project(images[image]), PATCH_PX)[patch] for _, image, patch, _, _ in worst]
    labels = [
        f"image {image} patch {patch} {role}: p_control {wanted:.3f} became {found:.3f}"
        for _, image, patch, wanted, found in worst
        for role in layout
    ]
    stack = np.stack(patches).astype(np.float32)
    file = io.BytesIO()
    tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "ZCYX", "Labels": labels})
    return file.getvalue()


def _judged(network: Probabilities, planes: NDArray[Any], checkpoint: Checkpoint) -> NDArray[np.float32]:
    patches = network_input(planes, PATCH_PX, checkpoint.normalisation)
    with torch.inference_mode():
        parts = [
            network(
                torch.from_numpy(patches[start : start + _BATCH]).contiguous(
                    memory_format=torch.channels_last
                )
            )
            for start in range(0, len(patches), _BATCH)
        ]
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], PATCH_PX)
    probabilities: NDArray[np.float32] = torch.cat(parts).numpy().reshape(rows, cols, 2)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ModelError(
            f"the network's outputs for an image run from {probabilities.min():.3g} to "
            f"{probabilities.max():.3g} and are no probabilities; check --outputs and --normalisation"
        )
    return probabilities
