"""From a checkpoint to a bundle: what passes, what fails and how, and that nothing is lost on the way."""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
import torch
import yaml
from onnx import TensorProto, numpy_helper
from rich.console import Console

from colvi_edge.bundle import Bundle, Precision, open_bundle
from colvi_edge.bundle.manifest import PrecisionFile, Verification
from colvi_edge.bundle.parity import Comparison, Parity
from colvi_edge.cli.show.export import parity_table
from colvi_edge.engines import open_engine
from colvi_edge.errors import ModelError, OutputError, UsageError
from colvi_edge.export.converting.calibration import Calibration, Images
from colvi_edge.export.converting.labels import read_labels
from colvi_edge.export.converting.manifest import Description, write_bundle
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.converting.package import Report, Settings, package
from colvi_edge.export.converting.patches import reference
from colvi_edge.export.networks.patch_cnn import Probabilities, build_network
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, Checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.patches import Normalisation, network_input, project, tile
from colvi_edge.simulate import simulate_projection
from colvi_edge.system.atomic import is_temporary_name
from colvi_edge.tasks.classify import CLASSES
from colvi_edge.tasks.classify.comparison import Tolerance

EVERY: tuple[Precision, ...] = ("fp32", "fp16", "int8-trt", "int8-cpu")
RUNTIMES = ("openvino", "onnxruntime")
ABOUT = Description("package test", "0.0.0", "A network for tests.", "# Test\n")


def cultures(seed: int, size_px: int, count: int = 2) -> Images:
    """Return simulated cultures, in turn control and patient."""
    kinds = [CLASSES[k % 2] for k in range(count)]
    planes = [
        simulate_projection(kind, seed + k, size_px=size_px)[np.newaxis, [1, 0]]
        for k, kind in enumerate(kinds)
    ]
    return Images([f"{kind} {seed + k}" for k, kind in enumerate(kinds)], planes, [*kinds])


def sums(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a folder."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def votes_of(held: PrecisionFile) -> list[Parity]:
    """Return the rows of a precision, which are of votes."""
    assert all(isinstance(row, Parity) for row in held.parity)
    return [row for row in held.parity if isinstance(row, Parity)]


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    """Return the demo's checkpoint."""
    return read_model(DEMO_CHECKPOINT)


@pytest.fixture(scope="module")
def good() -> Calibration:
    """Return 32 patches to calibrate with and 256 to judge by."""
    return Calibration(cultures(100, 256), cultures(200, 512, 4))


@pytest.fixture(scope="module")
def small() -> Calibration:
    """Return 32 patches to judge by, without labels, where INT8 is not asked for."""
    return Calibration(Images([], [], []), replace(cultures(200, 256), labels=["", ""]))


@pytest.fixture(scope="module")
def exported(
    trained: Checkpoint, good: Calibration, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    """Return the demo checkpoint, exported in every precision."""
    path = tmp_path_factory.mktemp("exported") / "good.colvi"
    return path, package(trained, path, ABOUT, Settings(), good)


@pytest.fixture(scope="module")
def spoilt(
    trained: Checkpoint, good: Calibration, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    """Return the same, calibrated on blank images."""
    path = tmp_path_factory.mktemp("spoilt") / "blank.colvi"
    blank = [np.full((1, 2, 256, 256), 300, np.uint16) for _ in range(2)]
    calibration = Calibration(Images(["a", "b"], blank, ["", ""]), good.held_out)
    return path, package(trained, path, ABOUT, Settings(), calibration)


@pytest.mark.nvrtc
def test_the_demo_passes_in_every_precision_on_every_runtime(exported: tuple[Path, Report]) -> None:
    """On images that calibration has not seen 99 % of the votes are torch's own."""
    path, report = exported

    assert [(row.precision, row.runtime) for row in report.rows] == [(p, r) for p in EVERY for r in RUNTIMES]
    assert report.failed == []
    assert report.worst == []
    assert report.left_out == []
    assert report.labels.accuracy == 1.0
    assert all(
        isinstance(row.comparison, Comparison) and row.comparison.agreement >= 0.99 for row in report.rows
    )
    config = open_bundle(path).config
    for precision in EVERY:
        rows = votes_of(config.precisions[precision])
        assert [(row.runtime, row.images, row.patches) for row in rows] == [(r, 4, 256) for r in RUNTIMES]
        assert config.precisions[precision].passed("openvino")


def test_the_figures_are_those_of_the_networks_in_the_bundle(
    exported: tuple[Path, Report], trained: Checkpoint, good: Calibration
) -> None:
    """Run again by hand, without any engine: torch against each file in ONNX Runtime."""
    bundle = open_bundle(exported[0])
    patches = np.concatenate([network_input(p, 64, Normalisation()) for p in good.held_out.planes])
    with torch.inference_mode():
        wanted = trained.probabilities()(torch.from_numpy(patches)).numpy()

    for precision in EVERY:
        session = onnxruntime.InferenceSession(bundle.network(precision), providers=["CPUExecutionProvider"])
        given = patches.astype(np.float16) if precision == "fp16" else patches
        (found,) = session.run(None, {"patches": given})
        rows = votes_of(bundle.config.precisions[precision])
        row = next(row for row in rows if row.runtime == "onnxruntime")
        assert found.dtype == np.float32
        # The engine normalises in its own way: a rounding of the input may move a step of INT8.
        assert row.largest_dp == pytest.approx(np.abs(found - wanted).max(), abs=0.02)
        votes = found.argmax(axis=1) == wanted.argmax(axis=1)
        assert row.agreement == pytest.approx(votes.mean(), abs=1 / 256)


def test_the_verification_patches_are_raw_held_out_ones(
    exported: tuple[Path, Report], good: Calibration
) -> None:
    """They are found, count for count, in the images kept apart, and in none of the others."""
    bundle = open_bundle(exported[0])
    verification = bundle.config.verification
    assert isinstance(verification, Verification)
    kept = np.load(io.BytesIO(bundle.read(verification.patches)))
    expected = np.load(io.BytesIO(bundle.read(verification.probabilities)))

    def cut(images: Images) -> set[bytes]:
        return {patch.astype("<u2").tobytes() for p in images.planes for patch in tile(p[0], 64)}

    found = {patch.astype("<u2").tobytes() for patch in kept}
    assert found <= cut(good.held_out)
    assert not found & cut(good.calibrating)
    assert expected.max(axis=1).min() >= 0.75
    assert np.bincount(expected.argmax(axis=1)).tolist() == [32, 32]


@pytest.mark.nvrtc
def test_the_bundle_holds_the_kernels_that_its_precisions_need(
    exported: tuple[Path, Report], trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """float16 only beside FP16; every file named, an attachment for the zoo, and covered by the sums."""
    plain = tmp_path / "plain.colvi"
    package(trained, plain, ABOUT, Settings(("fp32",)), small)

    for path, outputs in ((exported[0], {"f32", "f16"}), (plain, {"f32"})):
        bundle = open_bundle(path)
        files = {kernel.file for kernel in bundle.config.kernels}
        assert len(files) == 9
        assert files == {p.name for p in path.glob("*.xz")}
        assert files <= {line.split()[1] for line in (path / "SHA256SUMS").read_text().splitlines()}
        attachments = yaml.safe_load((path / "bioimageio.yaml").read_text())["attachments"]
        assert files <= {attachment["source"] for attachment in attachments}
        found = re.findall(
            rb"project_tile_normalise_(?:u8|u16|f32)_(\w+)\(", bundle.kernel(bundle.config.kernels[0])
        )
        assert {output.decode() for output in found} == outputs


def test_the_test_tensor_tells_networks_apart(exported: tuple[Path, Report]) -> None:
    """Its answer is neither 0 nor 1: noise saturates a trained network, whatever its weights."""
    (answer,) = np.load(exported[0] / "test_output.npy")

    assert 0.05 < answer[0] < 0.95
    assert answer.sum() == pytest.approx(1)


def test_the_same_export_gives_the_same_bytes(
    exported: tuple[Path, Report],
    trained: Checkpoint,
    good: Calibration,
    small: Calibration,
    tmp_path: Path,
) -> None:
    """Every file, the manifest and the figures in it too; and in place of an older bundle."""
    path = tmp_path / "again.colvi"
    package(trained, path, ABOUT, Settings(("fp32",)), small)
    package(trained, path, ABOUT, Settings(), good)

    assert sums(path) == sums(exported[0])
    assert [p.name for p in tmp_path.iterdir()] == ["again.colvi"]
    assert path.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_blank_calibration_images_make_int8_fail(spoilt: tuple[Path, Report]) -> None:
    """INT8 is named, in the report and for ever in the bundle; FP32 and FP16 pass."""
    path, report = spoilt
    screen = io.StringIO()
    Console(file=screen, width=80).print(parity_table(report.rows))
    lines = screen.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["max", "verdict", *["passed"] * 4, *["failed"] * 4]
    assert "…" not in screen.getvalue()

    assert {row.precision for row in report.failed} == {"int8-trt", "int8-cpu"}
    precisions = open_bundle(path).config.precisions
    for precision in EVERY[2:]:
        for row in votes_of(precisions[precision]):
            assert row.agreement < 0.985
            assert "of votes agree, at least 98.50% must" in row.faults[0]
        assert not precisions[precision].passed("openvino")
    assert precisions["fp32"].passed("openvino")
    assert precisions["fp16"].passed("onnxruntime")


@pytest.mark.parametrize("runtime", [*RUNTIMES, "auto"])
def test_a_failed_precision_is_never_taken_by_itself(spoilt: tuple[Path, Report], runtime: str) -> None:
    """The bundle opens, FP32 runs, and the reason says what happened at the export."""
    info = open_engine(open_bundle(spoilt[0]), runtime).info

    assert info.precision == "fp32"
    assert f"fp32, because int8-cpu did not pass on {info.runtime} at the export; " in info.reason


def test_the_worst_patches_are_kept_for_a_look(spoilt: tuple[Path, Report], good: Calibration) -> None:
    """Raw patches, worst first, two channels each, with what became of them in the slice's label."""
    path, report = spoilt

    assert report.worst == [f"worst-{p}.tif" for p in ("int8-trt", "int8-cpu")]
    listed = {line.split()[1] for line in (path / "SHA256SUMS").read_text().splitlines()}
    attached = yaml.safe_load((path / "bioimageio.yaml").read_text())["attachments"]
    assert {*report.worst} <= listed & {attachment["source"] for attachment in attached}
    for worst in report.worst:
        with tifffile.TiffFile(path / worst) as tif:
            stack, labels = tif.asarray(), (tif.imagej_metadata or {})["Labels"]
        assert stack.shape == (16, 2, 64, 64)
        assert len(labels) == 32
        image, patch, role = _where(labels[0])
        assert role == "collagen"
        np.testing.assert_array_equal(stack[0], tile(project(good.held_out.planes[image]), 64)[patch])
        moved = [abs(float(a) - float(b)) for a, b in (_became(label) for label in labels)]
        assert max(np.diff(moved)) < 0.0015  # the labels are rounded
        assert moved[0] > 0.4


def _where(label: str) -> tuple[int, int, str]:
    _, image, _, patch, role, *_ = label.replace(":", "").split()
    return int(image), int(patch), role


def _became(label: str) -> tuple[str, str]:
    *_, before, _, after = label.split()
    return before, after


def test_a_passing_export_removes_the_worst_patches_of_a_failed_one(
    trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """What lies in a bundle is about this bundle: an export replaces the whole of it."""
    path = tmp_path / "net.colvi"
    strict = Settings(("fp32",), tolerance=Tolerance(agreement=1.1))
    assert package(trained, path, ABOUT, strict, small).worst == ["worst-fp32.tif"]
    assert (path / "worst-fp32.tif").is_file()
    assert open_bundle(path).config.precisions["fp32"].parity[0].faults
    package(trained, path, ABOUT, Settings(("fp32",)), small)

    assert not (path / "worst-fp32.tif").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["net.colvi"]


def test_swapped_classes_are_caught_by_the_labels(
    trained: Checkpoint, good: Calibration, tmp_path: Path
) -> None:
    """A bare state_dict with the classes named the wrong way round: stopped, and nothing is written."""
    torch.save(trained.network.state_dict(), tmp_path / "bare.pt")
    swapped = read_model(
        tmp_path / "bare.pt", network="paper", classes=["patient", "control"], activation="softmax"
    )

    with pytest.raises(
        UsageError, match=r"0 of 6 labelled .* are the classes swapped\? Try --classes control,patient, "
    ):
        package(swapped, tmp_path / "out" / "s.colvi", ABOUT, Settings(), good)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("right", "is_said"), [(8, "100%"), (4, "50%"), (3, "")])
def test_half_right_is_not_swapped(right: int, is_said: str, trained: Checkpoint, good: Calibration) -> None:
    """Half right is the limit and passes: only below it are swapped classes the likely cause."""
    labels = ["control", "patient"] * 4
    found = [
        np.array([[[1, 0] if (label == "control") == (k < right) else [0, 1]]], np.float32)
        for k, label in enumerate(labels)
    ]
    held_out = Images(labels, [good.held_out.planes[0]] * 8, labels)
    calibration = replace(good, held_out=held_out)

    if is_said:
        assert read_labels(trained, calibration, found).told == f"Right on {is_said} of 8 labelled images."
        return
    with pytest.raises(UsageError, match=r"3 of 8 labelled .* Try --classes patient,control, check the fol"):
        read_labels(trained, calibration, found)


def test_few_labelled_images_decide_nothing(trained: Checkpoint, good: Calibration) -> None:
    """Two of a class, all judged wrong, are no reason to turn the classes round; it is said."""
    held_out = replace(cultures(200, 192, 4), labels=["patient", "control", "patient", "control"])
    calibration = Calibration(replace(good.calibrating, labels=["patient", ""]), held_out)
    read = read_labels(trained, calibration, reference(trained, held_out.planes))

    assert read.accuracy is None
    assert "was not checked: 2 control and 3 patient are labelled, expected 3 images of each" in read.told


def test_all_labelled_images_are_asked_where_few_are_held_out(trained: Checkpoint) -> None:
    """One image held out and judged wrong is outvoted by those that calibrate, labelled and judged right."""
    calibrating, held_out = cultures(200, 512, 6), replace(cultures(200, 512, 1), labels=["patient"])
    read = read_labels(trained, Calibration(calibrating, held_out), reference(trained, held_out.planes))

    assert read.told == "Right on 86% of 7 labelled images."


@pytest.mark.usefixtures("without_kernels", "small_fields")
def test_without_images_there_is_no_int8(trained: Checkpoint, tmp_path: Path) -> None:
    """Two simulated images stand in for the gate, 8-bit ones for a network that divides by 255."""
    checkpoint = replace(trained, normalisation=Normalisation("scale", divisor=255.0, dtype="uint8"))
    report = package(checkpoint, tmp_path / "n.colvi", ABOUT, Settings())

    precisions = open_bundle(tmp_path / "n.colvi").config.precisions
    assert list(precisions) == ["fp32", "fp16"]
    assert precisions["fp16"].parity[0].images == 2
    assert report.labels.accuracy is None


def test_fp16_is_float16_from_the_input_to_the_logits(exported: tuple[Path, Report]) -> None:
    """Weights too: one float32 convolution would be a convolution that no tensor core runs."""
    model = onnx.load_from_string(open_bundle(exported[0]).network("fp16"))
    weights = {
        name for node in model.graph.node if node.op_type in ("Conv", "Gemm") for name in node.input[1:]
    }
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}

    assert len(weights) == 10
    assert {kinds[name] for name in weights} == {TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


class InsistsOnFloat32(torch.nn.Module):
    """A network as labs write them, with a cast of its own."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.network(patches.float())
        return logits


def torchscript(network: torch.nn.Module, how: str, path: Path) -> Checkpoint:
    """Return a network as it comes back from TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        example = torch.zeros(2, 2, 64, 64)
        script = torch.jit.script(network) if how == "script" else torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
        script.save(path)
    return read_model(path, classes=["control", "patient"], activation="softmax")


@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_gets_fp16_too(trained: Checkpoint, small: Calibration, how: str, tmp_path: Path) -> None:
    """Copied and halved as a whole; without a word of torch's about it."""
    path = tmp_path / "t.colvi"
    checkpoint = torchscript(trained.network, how, tmp_path / "t.pt")
    report = package(checkpoint, path, ABOUT, Settings(("fp32", "fp16")), small)

    assert report.failed == []
    assert report.left_out == []
    model = onnx.load_from_string(open_bundle(path).network("fp16"))
    weights = [numpy_helper.to_array(t) for t in model.graph.initializer if len(t.dims) > 1]
    assert len(weights) == 5
    assert {weight.dtype for weight in weights} == {np.dtype(np.float16)}
    # Halving was done on a copy.
    assert {p.dtype for p in checkpoint.network.parameters()} == {torch.float32}


@pytest.mark.nvrtc
def test_a_network_that_insists_on_float32_goes_without_fp16(
    trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """The rest of the bundle is written, and a sentence says what is missing and why."""
    checkpoint = torchscript(InsistsOnFloat32(trained.network).eval(), "script", tmp_path / "f.pt")
    report = package(checkpoint, tmp_path / "f.colvi", ABOUT, Settings(("fp32", "fp16")), small)

    assert list(open_bundle(tmp_path / "f.colvi").config.precisions) == ["fp32"]
    (sentence,) = report.left_out
    assert sentence.startswith("No FP16: the network cannot be written as ONNX (")
    assert report.failed == []


def test_fp16_that_overflows_fails_the_gate(trained: Checkpoint, small: Calibration, tmp_path: Path) -> None:
    """Weights that float32 holds with ease become infinite; torch's FP32 is unharmed."""
    weights = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    first, bias, *_ = weights
    weights[first] *= 1e6
    weights[bias] *= 1e6
    network = build_network("paper", 2)
    network.load_state_dict(weights)
    checkpoint = replace(trained, network=network.eval())

    report = package(checkpoint, tmp_path / "o.colvi", ABOUT, Settings(("fp32", "fp16")), small)

    assert {row.precision for row in report.failed} == {"fp16"}
    assert any("get no probabilities, none may" in fault for row in report.failed for fault in row.faults)
    assert tifffile.imread(tmp_path / "o.colvi" / report.worst[0]).shape == (16, 2, 64, 64)


def test_outputs_that_leave_0_to_1_on_real_images_are_refused(
    trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """Noise may look harmless; a network without its activation shows on images."""
    checkpoint = replace(trained, activation="none", temperature=1.0)

    with pytest.raises(ModelError, match="are no probabilities; check --outputs"):
        package(checkpoint, tmp_path / "n.colvi", ABOUT, Settings(("fp32",)), small)


@pytest.mark.usefixtures("without_kernels")
@pytest.mark.parametrize(
    ("normalisation", "dtype"),
    [
        (Normalisation("scale", divisor=255.0, dtype="uint8"), "uint8"),
        (Normalisation("scale", divisor=4095.0, dtype="float32"), "float32"),
        (Normalisation("fixed", mean=(300.0, 300.0), std=(200.0, 200.0)), "uint16"),
        (Normalisation("patch-channel"), "uint16"),
    ],
)
def test_every_normalisation_can_be_exported(
    normalisation: Normalisation, dtype: str, trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """The patches kept are of the dtype that "scale" was made for, or every engine would refuse them."""
    path = tmp_path / "k.colvi"
    planes = [(p / 32 if dtype == "uint8" else p).astype(dtype) for p in small.held_out.planes]
    images = replace(small, held_out=replace(small.held_out, planes=planes))
    checkpoint = replace(trained, normalisation=normalisation)
    report = package(checkpoint, path, ABOUT, Settings(("fp32",)), images)

    assert report.failed == []
    bundle = open_bundle(path)
    if bundle.config.verification:
        assert np.load(io.BytesIO(bundle.read("verification_patches.npy"))).dtype == dtype
    assert open_engine(bundle).info.precision == "fp32"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_sums_of_planes_do_not_wrap_round_in_the_verification_set(
    dtype: str, trained: Checkpoint, small: Calibration, tmp_path: Path
) -> None:
    """Eight bright planes exceed their dtype; the bundle must still open, which tries the patches."""
    images = small.held_out
    full = 255 if dtype == "uint8" else 65535
    planes = [np.repeat(p / p.max() * full, 8, axis=0).astype(dtype) for p in images.planes]
    calibration = replace(small, held_out=replace(images, planes=planes))
    package(trained, tmp_path / "z.colvi", ABOUT, Settings(("fp32",)), calibration)

    bundle = open_bundle(tmp_path / "z.colvi")
    kept = np.load(io.BytesIO(bundle.read("verification_patches.npy")))
    assert kept.max() > full
    assert kept.dtype == ("uint16" if dtype == "uint8" else "float32")
    assert open_engine(bundle).info.precision == "fp32"


@pytest.mark.parametrize("seed", range(5))
def test_random_networks_come_through_onnx_unchanged(
    seed: int, make_bundle: Callable[..., tuple[Bundle, Any]]
) -> None:
    """Torch and ONNX Runtime on the bundle's FP32 file agree to 1e-4."""
    bundle, network = make_bundle(seed=seed)
    patches = np.random.default_rng(99 + seed).standard_normal((8, 2, 64, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(bundle.network("fp32"), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(patches)).numpy()
    (found,) = session.run(None, {"patches": patches})

    assert np.abs(found - wanted).max() <= 1e-4
    assert np.ptp(wanted[:, 0]) > 1e-3


def test_what_torch_cannot_write_as_onnx_is_one_sentence() -> None:
    """An operator that ONNX lacks is the network's fault, not a bug of the export."""

    class Odd(torch.nn.Module):
        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return torch.special.airy_ai(patches.mean(dim=(2, 3)))

    with pytest.raises(ModelError, match=r"cannot be written as ONNX \(.+\)"):
        to_onnx(Probabilities(Odd(), "softmax").eval(), 2, 64)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# --- write_bundle: whole or not at all ---


@pytest.fixture
def parts(make_bundle: Callable[..., tuple[Bundle, Any]]) -> Callable[[Path, str], None]:
    """Return a function that writes a small bundle of some name to a path."""
    bundle, _ = make_bundle()

    def write(path: Path, name: str) -> None:
        about = Description(name, "0.0.0", "For tests.", "# Test\n")
        networks = {"fp32.onnx": bundle.network("fp32")}
        given, answer = np.load(bundle.path / "test_input.npy"), np.load(bundle.path / "test_output.npy")
        write_bundle(path, about, bundle.config, networks, given, answer)

    return write


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("how", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_bundle_and_nothing_else(
    parts: Callable[[Path, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    fails_at: int,
    how: BaseException,
) -> None:
    """Ctrl-C or a full disk at any file, and between the two renames."""
    path = tmp_path / "m.colvi"
    parts(path, "the old one")
    calls = 0
    real = getattr(os, call) if call == "fsync" else Path.rename

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise how
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, failing)
        try:
            parts(path, "the new one")
        except (KeyboardInterrupt, OutputError):
            pass
        else:
            assert (call, fails_at) == ("rename", 3)  # there are two

    expected = "the new one" if (call, fails_at) == ("rename", 3) else "the old one"
    assert open_bundle(path).name == expected
    assert [p.name for p in tmp_path.iterdir()] == ["m.colvi"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_kill_loses_neither_bundle(
    parts: Callable[[Path, str], None], tmp_path: Path, call: str, dies_at: int
) -> None:
    """Kill -9 leaves a whole bundle under the name, or, between the renames, whole ones in hiding."""
    path = tmp_path / "m.colvi"
    parts(path, "the old one")
    code = f"""
import os, signal, sys
from pathlib import Path
import numpy as np
from colvi_edge.bundle import open_bundle
from colvi_edge.export.converting.manifest import Description, write_bundle
old = open_bundle(sys.argv[1])
calls = 0
target = os if {call!r} == "fsync" else Path
real = getattr(target, {call!r})
def dying(*arguments):
    global calls
    calls += 1
    if calls == {dies_at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
setattr(target, {call!r}, dying)
arrays = [np.load(old.path / name) for name in ("test_input.npy", "test_output.npy")]
about = Description("the new one", "0.0.0", "For tests.", "# Test")
write_bundle(old.path, about, old.config, {{"fp32.onnx": old.network("fp32")}}, *arrays)
"""
    died = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert died.returncode == -signal.SIGKILL
    if (call, dies_at) != ("rename", 2):
        assert open_bundle(path).name == "the old one"
    else:
        assert {open_bundle(hidden).name for hidden in tmp_path.iterdir()} == {"the old one", "the new one"}
    assert all(p.name == "m.colvi" or is_temporary_name(p.name) for p in tmp_path.iterdir())
    parts(path, "the next one")
    assert open_bundle(path).name == "the next one"


def test_a_link_is_replaced_and_its_target_left_alone(
    parts: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """As with every file that is written here."""
    target, link = tmp_path / "target.colvi", tmp_path / "link.colvi"
    parts(target, "the target")
    link.symlink_to(target)
    parts(link, "the new one")

    assert not link.is_symlink()
    assert open_bundle(target).name == "the target"
    assert open_bundle(link).name == "the new one"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_bundle_is_never_replaced(
    parts: Callable[[Path, str], None], tmp_path: Path, kind: str
) -> None:
    """A mistyped -o must not cost a folder of images."""
    path = tmp_path / "images"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "a.tif").write_text("precious")

    with pytest.raises(UsageError, match="exists and is no bundle; name another folder"):
        parts(path, "new")

    assert (path if kind == "file" else path / "a.tif").read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_one_sentence(
    parts: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """A file where a folder should be, a full disk: said, not traced back."""
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=r"m\.colvi cannot be written \(.+\); make room, or name another"):
        parts(tmp_path / "file" / "m.colvi", "new")
