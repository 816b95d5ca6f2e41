"""Networks of patches: how they are run in torch, calibrated and compared."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from colvi_edge.bundle.manifest import Precision, Verification
from colvi_edge.bundle.task import Classify
from colvi_edge.bundle.window import Windows
from colvi_edge.engines.base import Engine
from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.data.division import evenly_spread
from colvi_edge.export.networks.patch_cnn import Probabilities
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.onnx import NetworkError, check_network
from colvi_edge.patches import grid_shape, network_input, project, tile
from colvi_edge.tasks.classify.comparison import Tolerance
from colvi_edge.tasks.task import Classification, Compared

from .calibration import Images
from .manifest import npy
from .onnx import refused_as_onnx, to_onnx
from .quantise import STRIDE_PATCHES, Held, stride_of
from .way import Known

CALIBRATION_PATCHES = 32 * STRIDE_PATCHES
"""Of 64 x 64 pixels; of larger ones fewer, of as many pixels."""

VERIFICATION_PATCHES = 64
CLEAR = 0.25
"""A verification patch's largest output is at least this far from 0.5, so that no rounding flips its vote."""

WORST = 16
"""Patches kept for a look when a precision fails."""

_VERIFICATION = "verification_patches.npy", "verification_probabilities.npy"
_BATCH = 64


class Patches:
    """See `way.Way`."""

    seen, judged = "patches", 512
    held: Sequence[Held | None] = (None,)

    def __init__(self, checkpoint: Checkpoint, tolerance: Tolerance) -> None:
        """Take a network of patches.

        Args:
            checkpoint: whose windows are cells.
            tolerance: of the gate.
        """
        if not isinstance(checkpoint.task, Classify) or checkpoint.windows.cell_px is None:
            raise ValueError("the network sees no patches")
        self._checkpoint, self.task = checkpoint, Classification(checkpoint.task, tolerance)
        self._px = checkpoint.windows.cell_px
        self._classes = checkpoint.task.classes

    def to_onnx(self, *, half: bool = False) -> bytes:
        """See `Way.to_onnx`."""
        channels = len(self._checkpoint.channels)
        network = to_onnx(self._checkpoint.probabilities(), channels, self._px, half=half)
        if not half:
            try:
                check_network(network, channels, self._px, classes=len(self._classes))
            except NetworkError as error:
                raise refused_as_onnx(error) from error
        return network

    def reference(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """See `Way.reference`: (rows, cols, K)."""
        (found,) = reference(self._checkpoint, [planes])
        return found

    def found(self, engine: Engine, planes: NDArray[Any]) -> NDArray[np.float32]:
        """See `Way.found`: (rows, cols, K)."""
        found: NDArray[np.float32] = engine.field(planes)
        return found

    def compare(self, expected: list[NDArray[np.float32]], found: list[NDArray[np.float32]]) -> Compared:
        """See `Way.compare`."""
        return self.task.compare([one[np.newaxis] for one in expected], [one[np.newaxis] for one in found])

    def joins(
        self, compared: Compared, precision: Precision, open_with: Callable[[Windows], Engine], images: Images
    ) -> Compared:
        """See `Way.joins`: patches have none."""
        return compared

    def calibration_windows(self, images: Images) -> NDArray[np.float32]:
        """See `Way.calibration_windows`."""
        stride = stride_of(self._px**2)
        most = CALIBRATION_PATCHES // STRIDE_PATCHES * stride
        share = -(-most // len(images.planes))
        parts = []
        for planes in images.planes:
            patches = network_input(planes, self._px, self._checkpoint.normalisation)
            parts.append(patches[evenly_spread(len(patches), share)])
        patches = np.concatenate(parts)[:most]
        whole = len(patches) // stride * stride
        if not whole:
            raise UsageError(
                f"found {len(patches)} calibration patches, expected at least {stride}; add images"
            )
        return patches[:whole]

    def apart(self, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[float, float]:
        """See `Way.apart`: share of other votes, and mean difference."""
        return float(np.mean(found.argmax(1) != wanted.argmax(1))), float(np.abs(found - wanted).mean())

    def is_close(self, apart: tuple[float, float]) -> bool:
        """See `Way.is_close`: there is one form only."""
        return True

    def known(self, images: Images, expected: list[NDArray[np.float32]]) -> Known:
        """See `Way.known`: raw patches with clear votes, alike many of each class, spread over the images.

        Their dtype must hold sums over planes, and be the one that "scale" was made for.
        """
        patches = np.concatenate([tile(project(planes), self._px) for planes in images.planes])
        probabilities = np.concatenate([found.reshape(-1, len(self._classes)) for found in expected])
        small = np.issubdtype(patches.dtype, np.integer) and patches.max() < 2**16
        dtype = np.dtype(self._checkpoint.normalisation.dtype or ("uint16" if small else "float32"))
        most = np.iinfo(dtype).max if dtype.kind == "u" else np.inf
        kept = patches.max(axis=(1, 2, 3)) <= most
        share = max(1, VERIFICATION_PATCHES // len(self._classes))
        chosen: list[int] = []
        for side in range(len(self._classes)):
            clear = np.flatnonzero(kept & (probabilities[:, side] >= 0.5 + CLEAR))
            chosen += clear[evenly_spread(len(clear), min(len(clear), share))].tolist()
        if not chosen:
            return Known(None, {})
        raw = patches[chosen].astype(dtype)
        files = dict(zip(_VERIFICATION, (npy(raw), npy(probabilities[chosen])), strict=True))
        return Known(Verification(patches=_VERIFICATION[0], probabilities=_VERIFICATION[1]), files)

    def example(
        self, images: Images, expected: list[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Way.example`.

        The least certain patch of an image: the answer to noise is 0 and 1, whatever happens to the weights.
        """
        doubt = np.abs(expected[0][..., 0].ravel() - 0.5)
        patches = network_input(images.planes[0], self._px, self._checkpoint.normalisation)
        example = patches[[int(doubt.argmin())]]
        with torch.inference_mode():
            answer: NDArray[np.float32] = self._checkpoint.probabilities()(torch.from_numpy(example)).numpy()
        return example, answer

    def worst(
        self, found: list[NDArray[np.float32]], expected: list[NDArray[np.float32]], images: Images
    ) -> bytes:
        """See `Way.worst`: patches, worst first, labelled with the first class's probability."""
        first = self._classes[0]
        moved = [
            (float(np.nan_to_num(abs(now - wanted), nan=np.inf)), image, patch, float(wanted), float(now))
            for image, (a, b) in enumerate(zip(expected, found, strict=True))
            for patch, (wanted, now) in enumerate(zip(a[..., 0].ravel(), b[..., 0].ravel(), strict=True))
        ]
        worst = sorted(moved, reverse=True)[:WORST]
        patches = [tile(project(images.planes[image]), self._px)[patch] for _, image, patch, _, _ in worst]
        labels = [
            f"image {image} patch {patch} {role}: p_{first} {wanted:.3f} became {now:.3f}"
            for _, image, patch, wanted, now in worst
            for role in self._checkpoint.channels
        ]
        stack = np.stack(patches).astype(np.float32)
        file = io.BytesIO()
        tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "ZCYX", "Labels": labels})
        return file.getvalue()


def reference(checkpoint: Checkpoint, images: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Return the (rows, cols, K) probabilities of each image by the oracle and torch in FP32.

    Raises:
        ModelError: the network's outputs are no probabilities.
    """
    network = checkpoint.probabilities().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return [_judged(network, planes, checkpoint) for planes in images]


def _judged(network: Probabilities, planes: NDArray[Any], checkpoint: Checkpoint) -> NDArray[np.float32]:
    px = checkpoint.windows.cell_px
    assert px is not None  # noqa: S101 - it sees patches
    patches = network_input(planes, px, checkpoint.normalisation)
    with torch.inference_mode():
        parts = [
            network(
                torch.from_numpy(patches[start : start + _BATCH]).contiguous(
                    memory_format=torch.channels_last
                )
            )
            for start in range(0, len(patches), _BATCH)
        ]
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], px)
    probabilities: NDArray[np.float32] = torch.cat(parts).numpy().reshape(rows, cols, -1)
    refuse_no_probabilities(probabilities)
    return probabilities


def refuse_no_probabilities(field: NDArray[np.float32]) -> None:
    """Raise ModelError unless all numbers of a field lie between 0 and 1."""
    if not ((field >= 0) & (field <= 1)).all():
        raise ModelError(
            f"the network's outputs for an image run from {field.min():.3g} to {field.max():.3g} and are no "
            "probabilities; check --outputs and --normalisation"
        )
