"""Real TensorRT-RTX engines, built without a GPU, and what their layers are made of.

The layer lists are TensorRT's own; what is expected of them comes from the networks' definition:
three convolutions, each with its input and its weights in one type.
"""

import copy
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from colvi_edge.bundle import Bundle
from colvi_edge.engines.tensorrt.installed import is_jetson, missing
from colvi_edge.errors import BundleError, EngineUnavailableError, UsageError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.patch_cnn import Probabilities, build_network
from tests.tools.unets import to_onnx as windows_to_onnx
from tests.tools.unets import unet

TENSOR = r"\{ Name: [^{}]*?, Datatype: (\w+),"
CONVOLUTION = re.compile(
    rf"LayerType: (?:correlation|convolution).*?Inputs: \[ {TENSOR}.*?Constants: \[ {TENSOR}", re.ASCII
)


def silent(what: str, done: float) -> None:
    """Take the progress of a build and say nothing."""


def assert_convolutions(layers: tuple[str, ...], datatype: str) -> None:
    """Assert that the engine has three convolutions, input and weights of each in this type."""
    found = [match.groups() for line in layers if (match := CONVOLUTION.search(line))]

    assert found == [(datatype, datatype)] * 3


@pytest.fixture(scope="module")
def build() -> Callable[..., Any]:
    """Return build_engine; only tests that are marked may ask for it, as importing it needs TensorRT."""
    from colvi_edge.engines.tensorrt.builder import build_engine

    return build_engine


@pytest.fixture(scope="module")
def network() -> Probabilities:
    """Return an untrained network of the paper."""
    torch.manual_seed(0)
    return Probabilities(build_network("paper", 2), "softmax").eval()


@pytest.fixture(scope="module")
def fp32(network: Probabilities) -> bytes:
    """Return it as ONNX."""
    return to_onnx(network, 2, 64)


@pytest.fixture(scope="module")
def fp16(network: Probabilities) -> bytes:
    """Return it in half precision, with float32 in and out."""

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.half_network = copy.deepcopy(network).half()

        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.half_network(patches.half())
            return found

    return to_onnx(Half(), 2, 64)


@pytest.fixture(scope="module")
def int8(fp32: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return it with Q/DQ at the inputs and weights of the convolutions, made by ONNX Runtime's quantiser."""

    class Noise(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
        def __init__(self) -> None:
            noise = np.random.default_rng(0).standard_normal((4, 2, 64, 64)).astype(np.float32)
            self.batches: Iterator[dict[str, Any]] = iter([{"patches": noise}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self.batches, None)

    folder = tmp_path_factory.mktemp("int8")
    (folder / "fp32.onnx").write_bytes(fp32)
    quantize_static(
        folder / "fp32.onnx",
        folder / "int8.onnx",
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm", "Relu", "MaxPool"],
        },
    )
    return (folder / "int8.onnx").read_bytes()


def with_scales_of_shape_1(onnx_bytes: bytes) -> bytes:
    """Return the network with activation scales and zero points of shape (1,) instead of ()."""
    model = onnx.load_from_string(onnx_bytes)
    for initializer in model.graph.initializer:
        if initializer.name.endswith(("_scale", "_zero_point")) and not initializer.dims:
            flat = numpy_helper.to_array(initializer).reshape(1)
            initializer.CopyFrom(numpy_helper.from_array(flat, initializer.name))
    return bytes(model.SerializeToString())


@pytest.mark.tensorrt_rtx
def test_every_convolution_of_an_int8_engine_is_quantised(build: Callable[..., Any], int8: bytes) -> None:
    """Input and weights of all three in INT8."""
    assert_convolutions(build(int8, max_batch=256, progress=silent).layers, "Int8")


@pytest.mark.tensorrt_rtx
@pytest.mark.parametrize("half", [False, True])
def test_windows_of_any_size_are_built(build: Callable[..., Any], half: bool) -> None:
    """Height and width free, within a range; a U-Net of depth 2 has ten convolutions, its head aside."""
    from colvi_edge.engines.tensorrt.builder import Sizes

    data = windows_to_onnx(unet(depth=2), 2, 64, half=half)
    most = (5, 112, 112)

    built = build(data, max_batch=256, progress=silent, sizes=Sizes((1, 4, 4), most, most))

    found = [match.groups() for line in built.layers if (match := CONVOLUTION.search(line))]
    datatype = "Half" if half else "Float"
    assert len(found) >= 10
    assert set(found) == {(datatype, datatype)}


@pytest.mark.tensorrt_rtx
def test_no_convolution_of_an_fp16_engine_is_in_fp32(build: Callable[..., Any], fp16: bytes) -> None:
    """All three in half precision: input and weights."""
    assert_convolutions(build(fp16, max_batch=256, progress=silent).layers, "Half")


@pytest.mark.tensorrt_rtx
def test_the_check_catches_scales_that_are_no_scalars(build: Callable[..., Any], int8: bytes) -> None:
    """Scales of shape (1,) are read and built without a word, and nothing is quantised."""
    layers = build(with_scales_of_shape_1(int8), max_batch=256, progress=silent).layers

    with pytest.raises(AssertionError):
        assert_convolutions(layers, "Int8")


@pytest.mark.tensorrt_rtx
def test_the_check_catches_a_network_left_in_fp32(build: Callable[..., Any], fp32: bytes) -> None:
    """An FP32 file that is called FP16 shows."""
    layers = build(fp32, max_batch=256, progress=silent).layers

    assert_convolutions(layers, "Float")
    with pytest.raises(AssertionError):
        assert_convolutions(layers, "Half")


@pytest.mark.tensorrt_rtx
@pytest.mark.parametrize("max_batch", [1, 16, 256])
def test_the_engine_takes_one_patch_to_max_batch(
    build: Callable[..., Any], fp16: bytes, max_batch: int
) -> None:
    """Every number of patches up to the largest, for which it is tuned; float32 in and out."""
    layers = build(fp16, max_batch=max_batch, progress=silent).layers
    patches, probabilities = (line for line in layers if "IOMode:" in line)
    largest = f"[{max_batch},2,64,64]"

    assert f"MinShape: [1,2,64,64], OptShape: {largest}, MaxShape: {largest}" in patches
    assert "IOMode: Input, DataType: Float" in patches
    assert "IOMode: Output, DataType: Float" in probabilities


@pytest.mark.tensorrt_rtx
@pytest.mark.parametrize("max_batch", [0, 257])
def test_batches_that_no_engine_is_built_for(build: Callable[..., Any], max_batch: int) -> None:
    """Memory grows with the largest batch, so it ends at one image's patches."""
    with pytest.raises(ValueError, match=r"expected max_batch 1\.\.256"):
        build(b"", max_batch=max_batch, progress=silent)


@pytest.mark.tensorrt_rtx
def test_progress_rises_to_the_end(build: Callable[..., Any], fp16: bytes) -> None:
    """One number from 0 to 1 that never falls, with the phase in words."""
    told: list[tuple[str, float]] = []
    build(fp16, max_batch=256, progress=lambda what, done: told.append((what, done)))
    numbers = [done for _, done in told]

    assert numbers == sorted(numbers)
    assert 0 < numbers[0] < 0.1
    assert numbers[-1] > 0.8
    assert len(set(numbers)) > 20
    assert all(what for what, _ in told)


@pytest.mark.tensorrt_rtx
def test_an_exception_in_progress_stops_the_build(build: Callable[..., Any], fp16: bytes) -> None:
    """It comes out as it was raised, without further calls, and the next build works."""
    calls = []

    def stop(what: str, done: float) -> None:
        calls.append(what)
        if len(calls) == 3:
            raise KeyError("stopped by hand")

    with pytest.raises(KeyError, match="stopped by hand"):
        build(fp16, max_batch=256, progress=stop)

    assert len(calls) == 3
    assert build(fp16, max_batch=256, progress=silent).plan


@pytest.mark.tensorrt_rtx
def test_ctrl_c_stops_the_build(fp16: bytes, tmp_path: Path) -> None:
    """Also while TensorRT logs, where an exception in a callback would be printed and forgotten."""
    (tmp_path / "fp16.onnx").write_bytes(fp16)
    code = f"""
        import os, pathlib, signal, time
        from colvi_edge.engines.tensorrt import builder, logger
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
        network = pathlib.Path({str(tmp_path / "fp16.onnx")!r}).read_bytes()
        log, logged, steps = logger.Log.log, [], []
        def interrupted(self, severity, message):
            logged.append(message)
            if len(logged) == 50:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)  # now it is delivered
            log(self, severity, message)
        logger.Log.log = interrupted
        try:
            builder.build_engine(network, max_batch=256, progress=lambda *step: steps.append(step))
        except KeyboardInterrupt:
            print("stopped", len(steps) < 5)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped True\n", "")


@pytest.mark.tensorrt_rtx
def test_networks_that_tensorrt_cannot_read(build: Callable[..., Any], fp32: bytes) -> None:
    """The sentence ends with the parser's own words."""
    with pytest.raises(BundleError, match=r"cannot read the network: .*Failed to parse the ONNX model"):
        build(fp32[:1000], max_batch=256, progress=silent)


@pytest.mark.tensorrt_rtx
def test_a_build_that_fails_says_why(build: Callable[..., Any], fp32: bytes) -> None:
    """A network that is read but cannot be built: the builder's last error, and a remedy."""
    model = onnx.load_from_string(fp32)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2  # the profile asks for 1 to 16

    with pytest.raises(EngineUnavailableError, match=r"cannot build an engine on this machine: .*; see that"):
        build(model.SerializeToString(), max_batch=16, progress=silent)


@pytest.mark.tensorrt_rtx
def test_build_for_this_machine_keeps_the_engine(
    demo_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call says why and builds; the second builds nothing."""
    from colvi_edge.engines.cuda.gpu import find_gpu
    from colvi_edge.engines.tensorrt.for_this_machine import build_for_this_machine

    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    told: list[str] = []
    first = build_for_this_machine(demo_bundle, "fp32", lambda what, _: told.append(what))
    built = first.stat()
    reason, *phases = told
    told.clear()
    second = build_for_this_machine(demo_bundle, "fp32", lambda what, _: told.append(what))
    key = json.loads(first.with_suffix(".json").read_text())["key"]

    assert first.parent == tmp_path / "engines"
    assert "was not built yet" in reason
    assert phases
    assert (second, second.stat().st_mtime_ns, told) == (first, built.st_mtime_ns, [])
    assert key["model_sha256"] == demo_bundle.sha256
    assert (key["os"], key["architecture"]) == (os.uname().sysname, os.uname().machine)
    if find_gpu() is None:
        assert (key["gpu"], key["compute_capability"], key["driver"]) == ("none", "default", "none")


@pytest.mark.tensorrt_rtx
def test_precisions_that_the_bundle_lacks(make_bundle: Callable[..., tuple[Bundle, Any]]) -> None:
    """Named, with those that it holds."""
    from colvi_edge.engines.tensorrt.for_this_machine import build_for_this_machine

    with pytest.raises(UsageError, match="holds no int8-trt, only fp32"):
        build_for_this_machine(make_bundle()[0], "int8-trt", silent)


def importing(packages: Path) -> str:
    """Return what a fresh interpreter prints whose TensorRT packages are those in a folder, or none."""
    hidden = f"""
        import sys
        for name in ("tensorrt", "tensorrt_rtx"):
            if not __import__("pathlib").Path({str(packages)!r}, name).exists():
                sys.modules[name] = None  # as if it were not installed
        sys.path.insert(0, {str(packages)!r})
        from colvi_edge.errors import EngineUnavailableError
        try:
            import colvi_edge.engines.tensorrt.for_this_machine
        except EngineUnavailableError as error:
            print(error.exit_code, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(hidden)], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_without_tensorrt_the_error_says_what_to_install(tmp_path: Path) -> None:
    """Exit code 3, and pip's command or JetPack's, as the machine is."""
    found = importing(tmp_path)

    assert found.startswith("3 TensorRT ")
    assert "pip install tensorrt" in found or "JetPack" in found


@pytest.mark.parametrize(
    ("package", "sentence"),
    [
        ("__version__ = '8.5.2.2'", "found TensorRT 8.5.2.2, expected 10.3 or later; update it"),
        ("raise OSError('libnvinfer.so.10: cannot open')", "tensorrt is installed but does not load (libnv"),
        ("import tensorrt_bindings_that_are_gone", "tensorrt is installed but does not load (No module"),
    ],
)
def test_a_tensorrt_that_cannot_be_used(package: str, sentence: str, tmp_path: Path) -> None:
    """Too old or broken: said so, and not passed over for the other one."""
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.py").write_text(package)

    assert importing(tmp_path).startswith(f"3 {sentence}")


@pytest.mark.parametrize(
    ("mark", "content", "jetson"),
    [
        ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.4", True),
        ("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0", True),
        ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0", False),
        ("etc/debian_version", "12.5", False),
    ],
)
def test_jetsons_are_recognised(mark: str, content: str, jetson: bool, tmp_path: Path) -> None:
    """By either of the two files that only they have."""
    (tmp_path / mark).parent.mkdir(parents=True)
    (tmp_path / mark).write_text(content)

    assert is_jetson(tmp_path) is jetson
    assert ("--system-site-packages" in missing(tmp_path, "aarch64")) is jetson


def test_what_to_install_on_other_machines(tmp_path: Path) -> None:
    """Wheels where they exist; another engine where TensorRT does not."""
    assert "pip install tensorrt" in missing(tmp_path, "x86_64")
    assert "does not exist for riscv64; do without it: --engine openvino of run and watch" in missing(
        tmp_path, "riscv64"
    )
