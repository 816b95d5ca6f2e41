"""A trained checkpoint -> a bundle: every precision, measured against torch before it is believed.

checkpoint ──▶ FP32, FP16 ──▶ INT8 (with calibration images) ──▶ parity on held-out images
                                                             ──▶ verification patches ──▶ bundle
           ──▶ CUDA kernels for the network's input ─────────────────────────────────────┘
"""

import lzma
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from colvi_edge.bundle import Config, Precision, open_bundle
from colvi_edge.bundle.expected import Expected
from colvi_edge.bundle.manifest import Evaluation, KernelFile, PrecisionFile
from colvi_edge.bundle.parity import Comparison, Parity, SegmentParity
from colvi_edge.engines.cuda.kernel_choice import variant_for
from colvi_edge.errors import EngineUnavailableError, ModelError
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.checkpoint import CONTROL_OR_PATIENT, Checkpoint
from colvi_edge.kernels.compile import Binary, compile_kernels
from colvi_edge.tasks.classify.comparison import Tolerance

from .bundle_folder import worst_of
from .calibration import Calibration, Images, simulated_calibration
from .dense.way import Seen
from .familiarity import REFERENCES, Fitted
from .labels import LabelsRead, read_labels
from .manifest import Description, npy, write_bundle
from .parity import Row, measure
from .patches import Patches
from .quantise import RANGES, Target, quantise
from .way import Outcome, Way

PURPOSES: dict[Precision, str] = {
    "fp32": "reference: any runtime, any device",
    "fp16": "GPUs",
    "int8-trt": "TensorRT: symmetric Q/DQ at the inputs of convolutions",
    "int8-cpu": "CPUs: asymmetric uint8 through ReLU and pooling",
}

_BATCH_PX = 64 * PATCH_PX**2
"""Pixels that are given to a network at once."""


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
    images = (
        calibration or simulated_calibration(checkpoint.channels, checkpoint.normalisation, checkpoint.input)
    ).held_out
    way = _way(checkpoint, settings)
    progress("reference: torch in FP32")
    expected = [way.reference(planes) for planes in images.planes]
    labels = read_labels(checkpoint, calibration, expected) if calibration else LabelsRead()
    networks, left_out = _networks(way, settings, calibration, progress)
    files = {f"{precision}.onnx": network for precision, network in networks.items()}
    known = way.known(images, expected)
    config = _config(checkpoint, settings, list(networks)).model_copy(update={"verification": known.named})
    kernels, lacking = _kernels(config, progress)
    left_out += lacking
    if settings.familiarity is not None:
        files[REFERENCES] = npy(settings.familiarity.references)
    files |= known.files | {kernel.file: lzma.compress(kernel.code) for kernel in kernels}
    named = tuple(KernelFile(file=kernel.file, target=kernel.target) for kernel in kernels)
    config = config.model_copy(update={"kernels": named})
    example, answer = way.example(images, expected)

    with tempfile.TemporaryDirectory() as folder:
        unmeasured = Path(folder) / "unmeasured.colvi"
        write_bundle(unmeasured, description, config, files, example, answer)
        bundle = open_bundle(unmeasured)
        rows = list(measure(bundle, way, images, expected, progress))
    progress("writing")
    config = config.model_copy(update={"precisions": _with_parity(config, rows, len(images.planes))})
    worst = _worst(way, rows, expected, images)
    write_bundle(path, description, config, files | worst, example, answer)
    return Report(rows, labels, list(worst), left_out)


def _way(checkpoint: Checkpoint, settings: Settings) -> Way:
    if checkpoint.windows.cell_px is not None:
        return Patches(checkpoint, settings.tolerance)
    return Seen(checkpoint, _config(checkpoint, settings, ["fp32"]), settings.tolerance)


def _networks(
    way: Way, settings: Settings, calibration: Calibration | None, progress: Callable[[str], None]
) -> tuple[dict[Precision, bytes], list[str]]:
    """Return the ONNX of each precision, and why one is missing."""
    left_out = []
    progress("FP32")
    networks: dict[Precision, bytes] = {"fp32": way.to_onnx()}
    if "fp16" in settings.precisions:
        progress("FP16")
        try:
            networks["fp16"] = way.to_onnx(half=True)
        except ModelError as error:
            left_out.append(f"No FP16: {error}; GPUs will run FP32.")
    targets = [target for target in get_args(Target) if target in settings.precisions]
    if calibration is None or not targets:
        return networks, left_out
    windows = way.calibration_windows(calibration.calibrating)
    for target in targets:
        progress(f"{target}: calibrating on {len(windows)} {way.seen}")
        networks[target] = _better(way, networks["fp32"], windows, target)
    return networks, left_out


def _kernels(config: Config, progress: Callable[[str], None]) -> tuple[tuple[Binary, ...], list[str]]:
    """Return the kernels of a bundle, and why there are none."""
    if not config.has_patches:
        return (), []
    progress("CUDA kernels")
    try:
        return compile_kernels(variant_for(config)), []
    except EngineUnavailableError as error:
        return (), [f"No CUDA kernels: {error}"]


def _better(way: Way, fp32: bytes, windows: NDArray[np.float32], target: Target) -> bytes:
    """Return the INT8 network that is closest on calibration input, with as little in float as will do."""
    judged = windows[:: max(1, len(windows) // way.judged)]
    wanted = _run(fp32, judged)
    tried: list[tuple[tuple[float, float], bytes]] = []
    for held in way.held:
        for ranges in RANGES:
            network = quantise(fp32, windows, target, ranges, held=held)
            tried.append((way.apart(wanted, _run(network, judged)), network))
        if way.is_close(min(apart for apart, _ in tried)):
            break
    return min(tried, key=lambda one: one[0])[1]


def _run(network: bytes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    name, batch = session.get_inputs()[0].name, max(1, _BATCH_PX // (windows.shape[2] * windows.shape[3]))
    parts = [session.run(None, {name: windows[k : k + batch]})[0] for k in range(0, len(windows), batch)]
    return np.concatenate(parts)


def _config(checkpoint: Checkpoint, settings: Settings, precisions: Sequence[Precision]) -> Config:
    return Config.model_validate(
        {
            "input": checkpoint.input,
            "windows": checkpoint.windows,
            "task": checkpoint.task,
            "quality": "fibroblast" if checkpoint.task == CONTROL_OR_PATIENT else "general",
            "expected": settings.expected,
            "familiarity": settings.familiarity and settings.familiarity.familiarity,
            "precisions": {
                precision: PrecisionFile(file=f"{precision}.onnx", purpose=PURPOSES[precision])
                for precision in precisions
            },
            "evaluation": settings.evaluation,
            "seen": checkpoint.training.get("seen", ()),
        }
    )


def _with_parity(config: Config, rows: list[Row], images: int) -> dict[Precision, PrecisionFile]:
    def measured(precision: Precision) -> tuple[Parity | SegmentParity, ...]:
        return tuple(_parity(row, images) for row in rows if row.precision == precision)

    return {
        precision: file.model_copy(update={"parity": measured(precision)})
        for precision, file in config.precisions.items()
    }


def _parity(row: Row, images: int) -> Parity | SegmentParity:
    kind = Parity if isinstance(row.comparison, Comparison) else SegmentParity
    told = {"runtime": row.runtime, "version": row.version, "images": images, "faults": tuple(row.faults)}
    return kind.model_validate(row.comparison.model_dump() | told)


def _worst(way: Way, rows: list[Row], expected: list[Outcome], images: Images) -> dict[str, bytes]:
    """Return what each failed precision moved most, by the names of their files."""
    kept: dict[str, bytes] = {}
    for row in rows:
        name = worst_of(row.precision)
        if row.faults and name not in kept and (worst := way.worst(row.found, expected, images)):
            kept[name] = worst
    return kept
