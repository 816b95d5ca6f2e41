"""Tests marked `pycuda` run in a process of their own: with the fake libcuda.so.1 and TensorRT's double.

A driver cannot be exchanged in a process that has met one, and what has met the fake one must not meet the
real TensorRT afterwards. So the first such test of a file starts another pytest with all of the file, and
each reports what became of it there; options such as -k and -x work as ever, and --pdb does not.
"""

import ctypes
import importlib
import itertools
import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from colvi_edge.bundle import Bundle, Precision, open_bundle
from colvi_edge.bundle.manifest import FlatConfig, KernelFile, PrecisionFile, Verification
from colvi_edge.engines.cuda.kernel_choice import variant_for
from colvi_edge.kernels.variant import Variant
from colvi_edge.patches import Normalisation

HERE = Path(__file__).parent
FOLDER = "COLVI_EDGE_FAKE_CUDA_FOLDER"
"""In the other process: where the fake driver lies, and what was compiled for it."""
REPORTS = "COLVI_EDGE_FAKE_CUDA_REPORTS"
"""In the other process: descriptor of the pipe that the reports go into."""
RUNTIME = "COLVI_EDGE_FAKE_CUDA_RUNTIME"
"""In the other process: TensorRT's name there."""


class OtherPytest:
    """Runs tests on the fake driver, in the order in which their reports are asked for."""

    def __init__(self, items: list[pytest.Item], runtime: str, folder: Path) -> None:
        """Start it.

        Args:
            items: what it is to run.
            runtime: "tensorrt" or "tensorrt_rtx".
            folder: where the fake driver lies.
        """
        self._last = items[-1]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in end()
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(item.nodeid for item in items)],
            cwd=items[0].config.rootpath,
            env=os.environ
            | {"LD_LIBRARY_PATH": str(folder), FOLDER: str(folder), REPORTS: str(writing), RUNTIME: runtime},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
        )
        os.close(writing)
        self._reports = os.fdopen(reading)

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yield a test's reports: set-up, call, tear-down."""
        for line in self._reports:
            report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(
                config=item.config, data=json.loads(line)
            )
            if report.nodeid == item.nodeid:
                yield report
                if report.when == "teardown":
                    break
        else:
            yield self._died(item)
        if item is self._last and self._process.wait() not in (0, 1):
            yield self._died(item)

    def end(self) -> None:
        """Stop it, wherever it is."""
        self._process.kill()
        self._process.wait()
        self._reports.close()
        self._output.close()

    def _died(self, item: pytest.Item) -> pytest.TestReport:
        self._process.wait()
        self._output.seek(0)
        words = f"the other pytest ended with {self._process.returncode}:\n{self._output.read()}"
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "call")


class Isolation:
    """In the first pytest: lets the other one run what is marked."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._others: dict[tuple[str, Path], OtherPytest] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Report what became of a test in the other pytest."""
        runtime = runtime_of(item)
        if not runtime:
            return None
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory()
            compile_fake_driver(Path(self._folder.name))
        here = runtime, item.path
        if here not in self._others:
            items = [other for other in item.session.items if (runtime_of(other), other.path) == here]
            self._others[here] = OtherPytest(items, runtime, Path(self._folder.name))
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._others[here].reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        """Leave nothing running."""
        for other in self._others.values():
            other.end()
        if self._folder is not None:
            self._folder.cleanup()


class Reporter:
    """In the other pytest: sends each report to the first."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write it into the pipe."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        os.write(int(os.environ[REPORTS]), json.dumps(data).encode() + b"\n")


def pytest_configure(config: pytest.Config) -> None:
    """Take the part of the first or of the other pytest."""
    if REPORTS in os.environ:
        sys.path.insert(0, str(HERE))
        importlib.import_module("tensorrt_double").install(os.environ[RUNTIME])
        config.pluginmanager.register(Reporter(config))
    else:
        config.pluginmanager.register(Isolation())


def runtime_of(item: pytest.Item) -> str:
    """Return TensorRT's name in the process that a test is marked for; "" if it needs none."""
    marker = item.get_closest_marker("pycuda")
    return (
        "" if marker is None or item.get_closest_marker("skip") else marker.kwargs.get("runtime", "tensorrt")
    )


def compile_fake_driver(folder: Path) -> None:
    """Put the fake libcuda.so.1 into a folder.

    Python loads pycuda only if the driver has all functions that it names; those that the fake one
    lacks say that they are not supported.
    """
    pycuda = find_spec("pycuda")
    assert pycuda is not None, "pycuda is not installed; run tests/fake_cuda/build_pycuda.py"
    assert pycuda.origin is not None
    (extension,) = Path(pycuda.origin).parent.glob("_driver.*.so")
    named = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", extension], check=True, capture_output=True, text=True
    )
    stubs = folder / "stubs.cpp"
    stubs.write_text(
        "".join(
            f'extern "C" __attribute__((weak)) int {name}() {{ return 801; }}\n'
            for name in re.findall(r" U (cu[A-Z]\w+)", named.stdout)
        )
    )
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    command += ["-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1")]
    subprocess.run([*command, HERE / "fake_cuda.cpp", stubs, "-ldl"], check=True)


class FakeCuda:
    """What tests ask of the fake driver."""

    KINDS = ("device memory", "host memory", "streams", "modules", "graphs", "executable graphs", "contexts")

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.fake_calls.restype = self._library.fake_live.restype = ctypes.c_long
        self._library.fake_called.restype = ctypes.c_char_p
        self._library.fake_reset()

    def set(self, setting: str, value: int) -> None:
        """Set one of these.

        devices: how many GPUs there are. integrated: 1 if they share the host's memory. capability: such
        as 86. memory: in bytes. sticky: 1 if failures last. silent: 1 if refused code leaves no log.
        """
        self._library.fake_set(setting.encode(), ctypes.c_long(value))

    def fail(self, function: str, error: int = 999, after: int = 0) -> None:
        """Let one call of a driver function fail: the next, or the one after so many more."""
        self._library.fake_fail(function.encode(), ctypes.c_long(after), error)

    def lose(self, error: int = 719) -> None:
        """Let everything in the context fail from now on."""
        self._library.fake_lose(error)

    def calls(self, function: str) -> int:
        """Return how often a driver function was called in this test, or its "bytes up" or "bytes down"."""
        return int(self._library.fake_calls(function.encode()))

    def called(self) -> list[str]:
        """Return the driver functions that were called since the test began."""
        names = (self._library.fake_called(ctypes.c_ulong(number)) for number in itertools.count())
        return [name.decode() for name in itertools.takewhile(bool, names) if name.startswith(b"cu")]

    def live(self) -> dict[str, int]:
        """Return how many objects of each kind there are, without the kinds of which there is none."""
        counts = {kind: int(self._library.fake_live(kind.encode())) for kind in self.KINDS}
        return {kind: count for kind, count in counts.items() if count}


@pytest.fixture
def cuda() -> FakeCuda:
    """Return the fake driver as new: one GPU of compute capability 8.6 with 1 GiB."""
    return FakeCuda()


@pytest.fixture
def compile_kernels() -> Callable[[Variant], bytes]:
    """Return a function that compiles the kernel of a variant for the fake GPU."""
    compiler = importlib.import_module("kernels_for_cpu")
    return lambda variant: bytes(compiler.compile_for_cpu(variant.macros()))


@pytest.fixture
def make_gpu_bundle(compile_kernels: Callable[[Variant], bytes], tmp_path: Path) -> Callable[..., Bundle]:
    """Return a function that makes a bundle with a small network, and its kernel for the fake GPU."""

    def make(
        channels: tuple[str, ...] = ("collagen", "nuclei"),
        kernels: dict[str, bytes] | None = None,
        faulty: bool = False,
        **normalisation: Any,
    ) -> Bundle:
        from colvi_edge.export.converting.manifest import Description, npy, write_bundle

        networks = {"fp32": network(len(channels), np.float32), "fp16": network(len(channels), np.float16)}
        precisions: dict[Precision, PrecisionFile] = {
            name: PrecisionFile(file=f"{name}.onnx", purpose="tests") for name in ("fp32", "fp16")
        }
        files = {f"{name}.onnx": content for name, content in networks.items()}
        config = FlatConfig(
            patch_px=64,
            channels=channels,  # type: ignore[arg-type] # strings, which pydantic checks
            normalisation=Normalisation(**normalisation),
            precisions=precisions,
        ).with_task()
        if kernels is None:
            kernels = {"sm_86": compile_kernels(variant_for(config))}
        named = [KernelFile(file=f"kernel.{target}.xz", target=target) for target in kernels]
        files |= {f"kernel.{target}.xz": lzma.compress(code, preset=0) for target, code in kernels.items()}
        verification = None
        if faulty:  # it says of blank patches what no network says, whose outputs for them are equal
            verification = Verification(patches="patches.npy", probabilities="said.npy")
            files["patches.npy"] = npy(np.zeros((4, len(channels), 64, 64), np.uint16))
            files["said.npy"] = npy(np.array([[0.1, 0.9]] * 4, np.float32))
        config = config.model_copy(update={"kernels": tuple(named), "verification": verification})
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.colvi"
        zeros = np.zeros((1, len(channels), 64, 64), np.float32)
        half = np.full((1, 2), 0.5, np.float32)
        write_bundle(path, Description("small", "0.0.0", "For tests.", "# Small"), config, files, zeros, half)
        return open_bundle(path)

    return make


def network(channels: int, dtype: type) -> bytes:
    """Return one convolution over the whole patch, then softmax: every pixel counts, and it takes no time."""
    weights: Any = np.random.default_rng(channels).normal(0, 0.02, (2, channels, 64, 64)).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["patches", "weights"], ["map"]),
            helper.make_node("Flatten", ["map"], ["logits"]),
            helper.make_node("Cast", ["logits"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Softmax", ["wide"], ["probabilities"]),
        ],
        "small",
        [helper.make_tensor_value_info("patches", kind, ["N", channels, 64, 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
