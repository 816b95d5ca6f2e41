"""Whether a bundle may take the place of another: what would be lost is said, and needs consent."""

import hashlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision, open_bundle
from colvi_edge.errors import BundleError, UsageError
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.onnx.network import RULES
from colvi_edge.onnx.reading import read_graph
from colvi_edge.patches import normalise

from .dense.reach import LINE
from .onnx import to_onnx

_CLOSE = 1e-3
"""How far apart the probabilities of one network may be, from one exporter and release to the next."""


def refuse_loss(
    path: Path, checkpoint: Checkpoint, coming: Collection[Precision], *, calibrated: bool
) -> None:
    """Raise UsageError if a bundle at `path` is of another model, or its INT8 would go unsaid.

    Args:
        path: the folder; where nothing stands, nothing is lost.
        checkpoint: whose bundle will stand there. With another name, pixel size or calibration it is the same
            model; with its outputs in another order, or patches normalised otherwise, it is not.
        coming: precisions of that bundle.
        calibrated: whether images for INT8 are given; with them a precision is left out on purpose.
    """
    if not path.exists():
        return
    try:
        there = open_bundle(path)
        whose = _another(there, checkpoint)
    except BundleError:
        there, whose = None, "damaged, and may be of another model"
    if whose:
        raise UsageError(
            f"the bundle at {path} is {whose}; name another folder with -o, or replace it by --force:",
            options=["--force"],
        )
    lost = [] if calibrated or there is None else sorted(_passed_int8(there) - {*coming})
    if lost:
        raise UsageError(
            f"the bundle at {path} holds {' and '.join(lost)}, measured and passed, which would be lost as "
            "no calibration images are given; give them with --calibration DIR, name another folder with "
            "-o, or give INT8 up by --force:",
            options=["--force"],
        )


def _passed_int8(bundle: Bundle) -> set[Precision]:
    return {
        precision
        for precision, file in bundle.config.precisions.items()
        if precision.startswith("int8") and any(not row.faults for row in file.parity)
    }


def _another(there: Bundle, checkpoint: Checkpoint) -> str | None:
    """Return whose a bundle is, None if it is of the very model."""
    fp32 = to_onnx(
        checkpoint.probabilities(),
        len(checkpoint.channels),
        _size_of(checkpoint),
        dense=checkpoint.is_dense,
    )
    if _weights_of(there.network("fp32")) != _weights_of(fp32):
        return f"of another model, '{there.name}'"
    differing = list(_differing(there, fp32, checkpoint))
    if not differing:
        return None
    return f"of another model, '{there.name}', with the same weights but {' and '.join(differing)}"


def _differing(there: Bundle, fp32: bytes, checkpoint: Checkpoint) -> Iterator[str]:
    """Yield what sets two networks of the same weights apart."""
    channels = there.config.channels
    if channels != checkpoint.channels:
        yield f"channels {', '.join(channels)} (now {', '.join(checkpoint.channels)})"
    if there.config.normalisation != checkpoint.normalisation:
        yield "another normalisation"
    if there.config.task.classes != checkpoint.task.classes:
        yield f"classes {', '.join(there.config.task.classes)} (now {', '.join(checkpoint.task.classes)})"
    if len(channels) != len(checkpoint.channels) or there.config.task.kind != checkpoint.task.kind:
        return
    patches = _patches_for(there)
    before, now = _run(there.network("fp32"), patches), _run(fp32, patches)
    if np.abs(before - now).max() <= _CLOSE:
        return
    yield (
        "its outputs in the other order (--classes), which gives the opposite diagnosis"
        if np.mean(before.argmax(1) != now.argmax(1)) > 0.5
        else "other probabilities made of its outputs (--outputs, or a checkpoint's temperature)"
    )


def _size_of(checkpoint: Checkpoint) -> int | tuple[int, int]:
    """Return the size of the network's input; of a dense one any on every raster."""
    return checkpoint.windows.cell_px or checkpoint.input.resize_px or LINE


def _patches_for(there: Bundle) -> NDArray[np.float32]:
    """Return normalised patches: noise, the bundle's least certain one, and those whose votes are clear."""
    example = np.load(io.BytesIO(there.read("test_input.npy")), allow_pickle=False)
    shape = (8, *example.shape[1:])
    noise = np.random.default_rng(0).standard_normal(shape) * np.geomspace(0.01, 10, 8).reshape(-1, 1, 1, 1)
    parts = [noise, example]
    if known := there.verification_set():
        parts.append(normalise(known.patches, there.config.normalisation))
    return np.concatenate(parts).astype(np.float32)


def _run(network: bytes, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: patches})[0]
    return found


def _weights_of(network: bytes) -> frozenset[bytes]:
    """Return what a network has learnt, whatever the exporter made around it: a hash of each of its weights.

    Biases and single numbers are none: exporters fold them.
    """
    tensors = read_graph(network, RULES).initializers.values()
    return frozenset(
        hashlib.sha256(tensor.array().tobytes()).digest()
        for tensor in tensors
        if len(tensor.dims) > 1 and tensor.dtype.kind == "f"
    )
