"""A trained checkpoint -> a bundle: every precision, measured against torch before it is believed.

checkpoint ──▶ FP32, FP16 ──▶ INT8 (with calibration images) ──▶ parity on held-out images
                                                             ──▶ verification patches ──▶ bundle
           ──▶ CUDA kernels for the network's input ─────────────────────────────────────┘
"""

import lzma
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from colvi_edge.bands import BANDS
from colvi_edge.bundle import Config, Precision, open_bundle
from colvi_edge.bundle.expected import Expected
from colvi_edge.bundle.manifest import Evaluation, KernelFile, PrecisionFile, Verification
from colvi_edge.bundle.parity import Parity
from colvi_edge.engines.cuda.kernel_choice import variant_for
from colvi_edge.errors import EngineUnavailableError, ModelError, UsageError
from colvi_edge.export.data.division import evenly_spread
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.kernels.compile import Binary, compile_kernels
from colvi_edge.onnx import NetworkError, check_network
from colvi_edge.patches import Normalisation, network_input, project, tile
from colvi_edge.tasks.classify import CLASSES
from colvi_edge.tasks.classify.comparison import Tolerance

from .bundle_folder import worst_of
from .calibration import Calibration, Images, simulated_calibration
from .familiarity import REFERENCES, Fitted
from .labels import LabelsRead, read_labels
from .manifest import Description, npy, write_bundle
from .onnx import INPUT, to_onnx
from .parity import Row, measure, reference, worst_patches
from .quantise import RANGES, STRIDE_PATCHES, Range, Target, quantise

PURPOSES: dict[Precision, str] = {
    "fp32": "reference: any runtime, any device",
    "fp16": "GPUs",
    "int8-trt": "TensorRT: symmetric Q/DQ at the inputs of convolutions",
    "int8-cpu": "CPUs: asymmetric uint8 through ReLU and pooling",
}
CALIBRATION_PATCHES = 32 * STRIDE_PATCHES
VERIFICATION_PATCHES = 64
CLEAR = 0.25
"""A verification patch's p_control is at least this far from 0.5, so that no rounding flips its vote."""

_VERIFICATION = "verification_patches.npy", "verification_probabilities.npy"


@dataclass(frozen=True)
class Settings:
    """What to export.

    Attributes:
        precisions: fp32 always comes along.
        expected: what the training images were like.
        evaluation: how the network did on images that it had not seen.
        familiarity: what the training images measured.
        tolerance: of the gate.
    """

    precisions: Sequence[Precision] = ("fp32", "fp16", "int8-trt", "int8-cpu")
    expected: Expected = field(default_factory=Expected)
    evaluation: Evaluation | None = None
    familiarity: Fitted | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True)
class Report:
    """What came of an export.

    Attributes:
        rows: a verdict for every precision on every runtime here.
        labels: what the labels of the images say of the network.
        worst: files of the bundle with the patches that moved most, one for each failed precision.
        left_out: a sentence for each part that the bundle goes without.
    """

    rows: list[Row]
    labels: LabelsRead
    worst: list[str]
    left_out: list[str]

    @property
    def failed(self) -> list[Row]:
        """The rows beyond tolerance."""
        return [row for row in self.rows if row.faults]


def package(
    checkpoint: Checkpoint,
    path: Path,
    description: Description,
    settings: Settings,
    calibration: Calibration | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Write the bundle of a checkpoint; the same input gives the same bytes on the same runtimes.

    A precision that fails the gate is written too, with its faults, and is never taken by itself.

    Args:
        checkpoint: of a trained network.
        path: the folder, by custom NAME.colvi.
        description: for people.
        settings: what to export.
        calibration: images for INT8 and for the gate; without them there is no INT8, and the gate
            looks at two simulated images.
        progress: told each step.

    Raises:
        UsageError: the labels say that the classes are swapped, or INT8 lacks its images.
        ModelError: the network cannot be written as ONNX, is none that bundles take, or gives no
            probabilities.
        OutputError: the bundle cannot be written.
    """
    images = (calibration or simulated_calibration(checkpoint.channels, checkpoint.normalisation)).held_out
    progress("reference: torch in FP32")
    expected = reference(checkpoint, images.planes)
    labels = read_labels(checkpoint, calibration, expected) if calibration else LabelsRead()
    networks, left_out = _networks(checkpoint, settings, calibration, progress)
    files = {f"{precision}.onnx": network for precision, network in networks.items()}
    verification = _verification(images, expected, checkpoint.normalisation)
    config = _config(checkpoint, settings, list(networks), bool(verification))
    progress("CUDA kernels")
    kernels, lacking = _kernels(config)
    left_out += lacking
    if settings.familiarity is not None:
        files[REFERENCES] = npy(settings.familiarity.references)
    files |= verification | {kernel.file: lzma.compress(kernel.code) for kernel in kernels}
    named = tuple(KernelFile(file=kernel.file, target=kernel.target) for kernel in kernels)
    config = config.model_copy(update={"kernels": named})
    example, answer = _example(checkpoint, images, expected)

    with tempfile.TemporaryDirectory() as folder:
        unmeasured = Path(folder) / "unmeasured.colvi"
        write_bundle(unmeasured, description, config, files, example, answer)
        bundle = open_bundle(unmeasured)
        rows = list(measure(bundle, images.planes, expected, settings.tolerance, progress))
    progress("writing")
    config = config.model_copy(update={"precisions": _with_parity(config, rows, len(images.planes))})
    worst = _worst(rows, expected, images, checkpoint)
    write_bundle(path, description, config, files | worst, example, answer)
    return Report(rows, labels, list(worst), left_out)


def _networks(
    checkpoint: Checkpoint,
    settings: Settings,
    calibration: Calibration | None,
    progress: Callable[[str], None],
) -> tuple[dict[Precision, bytes], list[str]]:
    """Return the ONNX of each precision, and why one is missing."""
    left_out = []
    channels = len(checkpoint.channels)
    progress("FP32")
    networks: dict[Precision, bytes] = {"fp32": to_onnx(checkpoint.probabilities(), channels, PATCH_PX)}
    try:
        check_network(networks["fp32"], channels, PATCH_PX)
    except NetworkError as error:
        raise ModelError(
            f"the network as ONNX {error}; save one of the usual layers (as of ResNet, DenseNet or U-Net)"
        ) from error
    if "fp16" in settings.precisions:
        progress("FP16")
        try:
            networks["fp16"] = to_onnx(checkpoint.probabilities(), channels, PATCH_PX, half=True)
        except ModelError as error:
            left_out.append(f"No FP16: {error}; GPUs will run FP32.")
    targets = [target for target in get_args(Target) if target in settings.precisions]
    if calibration is None or not targets:
        return networks, left_out
    patches = _calibration_patches(checkpoint, calibration.calibrating)
    for target in targets:
        progress(f"{target}: calibrating on {len(patches)} patches")
        networks[target] = _better(networks["fp32"], patches, target)
    return networks, left_out


def _kernels(config: Config) -> tuple[tuple[Binary, ...], list[str]]:
    """Return the kernels of a bundle, and why there are none."""
    try:
        return compile_kernels(variant_for(config)), []
    except EngineUnavailableError as error:
        return (), [f"No CUDA kernels: {error}"]


def _better(fp32: bytes, patches: NDArray[np.float32], target: Target) -> bytes:
    """Return the INT8 network whose ranges keep more votes of the calibration patches."""
    judged = patches[:: max(1, len(patches) // 512)]
    wanted = _run(fp32, judged)

    def disagreement(network: bytes) -> tuple[float, float]:
        found = _run(network, judged)
        return float(np.mean(found.argmax(1) != wanted.argmax(1))), float(np.abs(found - wanted).mean())

    ranges: Iterable[Range] = RANGES
    return min((quantise(fp32, patches, target, choice) for choice in ranges), key=disagreement)


def _run(network: bytes, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {INPUT: patches[k : k + 64]})[0] for k in range(0, len(patches), 64)]
    return np.concatenate(parts)


def _calibration_patches(checkpoint: Checkpoint, images: Images) -> NDArray[np.float32]:
    """Return patches spread evenly over all calibration images, a whole number of strides."""
    share = -(-CALIBRATION_PATCHES // len(images.planes))
    parts = []
    for planes in images.planes:
        patches = network_input(planes, PATCH_PX, checkpoint.normalisation)
        chosen = evenly_spread(len(patches), share)
        parts.append(patches[chosen])
    patches = np.concatenate(parts)[:CALIBRATION_PATCHES]
    whole = len(patches) // STRIDE_PATCHES * STRIDE_PATCHES
    if not whole:
        raise UsageError(
            f"found {len(patches)} calibration patches, expected at least {STRIDE_PATCHES}; add images"
        )
    return patches[:whole]


def _verification(
    images: Images, expected: list[NDArray[np.float32]], normalisation: Normalisation
) -> dict[str, bytes]:
    """Return raw patches with clear votes, at most half of each class, spread over the images.

    Their dtype must hold sums over planes, and be the one that "scale" was made for.
    """
    patches = np.concatenate([tile(project(planes), PATCH_PX) for planes in images.planes])
    probabilities = np.concatenate([found.reshape(-1, 2) for found in expected])
    small = np.issubdtype(patches.dtype, np.integer) and patches.max() < 2**16
    dtype = np.dtype(normalisation.dtype or ("uint16" if small else "float32"))
    most = np.iinfo(dtype).max if dtype.kind == "u" else np.inf
    kept = patches.max(axis=(1, 2, 3)) <= most
    chosen: list[int] = []
    for side in (0, 1):
        clear = np.flatnonzero(kept & (probabilities[:, side] >= 0.5 + CLEAR))
        chosen += clear[evenly_spread(len(clear), min(len(clear), VERIFICATION_PATCHES // 2))].tolist()
    if not chosen:
        return {}
    raw = patches[chosen].astype(dtype)
    return dict(zip(_VERIFICATION, (npy(raw), npy(probabilities[chosen])), strict=True))


def _config(
    checkpoint: Checkpoint, settings: Settings, precisions: list[Precision], verified: bool
) -> Config:
    return Config.model_validate(
        {
            "input": {"channels": checkpoint.channels, "normalisation": checkpoint.normalisation},
            "windows": {"px": PATCH_PX, "cell_px": PATCH_PX},
            "task": {
                "kind": "classify",
                "classes": CLASSES,
                "decision": {"rule": "majority"},
                "bands": {band.name: band.at_least for band in BANDS},
            },
            "quality": "fibroblast",
            "expected": settings.expected,
            "familiarity": settings.familiarity and settings.familiarity.familiarity,
            "precisions": {
                precision: PrecisionFile(file=f"{precision}.onnx", purpose=PURPOSES[precision])
                for precision in precisions
            },
            "verification": Verification(patches=_VERIFICATION[0], probabilities=_VERIFICATION[1])
            if verified
            else None,
            "evaluation": settings.evaluation,
            "seen": checkpoint.training.get("seen", ()),
        }
    )


def _with_parity(config: Config, rows: list[Row], images: int) -> dict[Precision, PrecisionFile]:
    def measured(precision: Precision) -> tuple[Parity, ...]:
        return tuple(
            Parity(
                runtime=row.runtime,
                version=row.version,
                images=images,
                faults=tuple(row.faults),
                **row.comparison.model_dump(),
            )
            for row in rows
            if row.precision == precision
        )

    return {
        precision: file.model_copy(update={"parity": measured(precision)})
        for precision, file in config.precisions.items()
    }


def _example(
    checkpoint: Checkpoint, images: Images, expected: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the test tensors of the model zoo: a normalised patch, and the network's answer.

    The least certain patch of an image: the answer to noise is 0 and 1, whatever happens to the weights.
    """
    doubt = np.abs(expected[0][..., 0].ravel() - 0.5)
    patches = network_input(images.planes[0], PATCH_PX, checkpoint.normalisation)
    example = patches[[int(doubt.argmin())]]
    with torch.inference_mode():
        answer: NDArray[np.float32] = checkpoint.probabilities()(torch.from_numpy(example)).numpy()
    return example, answer


def _worst(
    rows: list[Row], expected: list[NDArray[np.float32]], images: Images, checkpoint: Checkpoint
) -> dict[str, bytes]:
    """Return the patches that each failed precision moved most, by the names of their files."""
    kept: dict[str, bytes] = {}
    for row in rows:
        name = worst_of(row.precision)
        if row.faults and name not in kept:
            kept[name] = worst_patches(row, expected, images.planes, checkpoint.channels)
    return kept
