"""The TensorRT engine, all of it but TensorRT: the real pycuda and the real kernel, on the fake driver.

TensorRT runs nowhere without a GPU, so a double stands in its place; tensorrt_double.py says what it checks.
What is expected comes from the oracle, followed by ONNX Runtime.
"""

import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.base import Engine
from colvi_edge.engines.verification import verify
from colvi_edge.errors import (
    ColviEdgeError,
    EngineLostError,
    EngineUnavailableError,
    ImageTooSmallError,
    ParityError,
    UsageError,
)
from colvi_edge.patches import grid_shape, network_input
from colvi_edge.tasks.task import Task

pytestmark = pytest.mark.pycuda

MakeBundle = Callable[..., Bundle]
Noise = Callable[..., NDArray[Any]]
SHAPE = (1, 2, 128, 192)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty state directory; and warm up with 2 x 2 patches, which takes less time here."""
    from colvi_edge.engines.tensorrt import inference as tensorrt_steps

    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(tensorrt_steps, "_WARM_UP_PATCHES", 2)
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def double() -> Iterator[Any]:
    """Return the double of TensorRT, which forgets afterwards what it was told to refuse."""
    module = sys.modules["tensorrt_double"]
    yield module
    module.refuse.clear()


def expected(bundle: Bundle, planes: NDArray[Any], precision: str = "fp32") -> NDArray[np.float32]:
    """Oracle, then the network of the bundle in ONNX Runtime."""
    config = bundle.config
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], config.patch_px)
    patches = network_input(planes, config.patch_px, config.normalisation)
    if precision == "fp16":
        patches = patches.astype(np.float16)
    session = onnxruntime.InferenceSession(bundle.network(precision), providers=["CPUExecutionProvider"])  # type: ignore[arg-type]
    found: NDArray[np.float32] = session.run(None, {"patches": patches})[0].reshape(rows, cols, 2)
    return found


def judged(bundle: Bundle, *images: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Open an engine, let it judge, and close it."""
    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        return [engine.field(planes) for planes in images]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("integrated", [0, 1])
@pytest.mark.parametrize(
    ("shape", "dtype", "mean"),
    [
        ((1, 2, 64, 64), "uint8", 60),
        ((10, 2, 130, 200), "uint16", 3000),
        ((3, 2, 200, 127), "float32", 12),
        ((1, 2, 1088, 1088), "uint16", 900),  # 289 patches: more than a batch
    ],
)
def test_planes_to_probabilities(
    cuda: Any,
    precision: str,
    integrated: int,
    shape: tuple[int, ...],
    dtype: str,
    mean: float,
    make_gpu_bundle: MakeBundle,
    noise: Noise,
) -> None:
    """As oracle and ONNX Runtime, the third time at one size too, when the steps are a CUDA graph."""
    cuda.set("integrated", integrated)
    bundle = make_gpu_bundle()
    images = [noise(shape, dtype, mean, seed) for seed in range(3)]

    with closing(open_engine(bundle, "tensorrt", precision)) as engine:
        found = [engine.field(planes) for planes in images]

    for probabilities, planes in zip(found, images, strict=True):
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(
            probabilities, expected(bundle, planes, precision), atol=1e-5 if precision == "fp32" else 2e-3
        )


@pytest.mark.parametrize(
    "normalisation",
    [
        {"kind": "patch-channel"},
        {"kind": "fixed", "mean": (900.0, 910.0), "std": (30.0, 28.0)},
        {"kind": "scale", "divisor": 1000.0, "dtype": "uint16"},
    ],
)
def test_every_normalisation(
    cuda: Any, normalisation: dict[str, Any], make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """All kinds but the default one, which all other tests use."""
    bundle = make_gpu_bundle(**normalisation)
    planes = noise((2, 2, 128, 128), "uint16", 450)

    np.testing.assert_allclose(judged(bundle, planes)[0], expected(bundle, planes), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_network_alone(cuda: Any, precision: str, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """Normalised patches in, the same probabilities out; an image before and after it is not disturbed."""
    bundle = make_gpu_bundle()
    planes = noise((1, 2, 128, 192), "uint16", 900)
    config = bundle.config
    patches = network_input(planes, config.patch_px, config.normalisation)
    atol = 1e-5 if precision == "fp32" else 2e-3

    with closing(open_engine(bundle, "tensorrt", precision)) as engine:
        for _ in range(3):  # the third time the image's steps are a CUDA graph
            found = engine.field(planes)
            alone = engine.network(patches)

            np.testing.assert_allclose(found, expected(bundle, planes, precision), atol=atol)
            np.testing.assert_allclose(alone, found.reshape(-1, 2), atol=atol)


def test_empty_channels_are_not_uploaded(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """The network gets its zeros, which count in mean and deviation, and no byte of them is copied."""
    bundle = make_gpu_bundle(channels=("empty", "collagen", "nuclei"))
    planes = noise((2, 3, 128, 128))
    planes[:, 0] = 0

    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        before = cuda.calls("bytes up")
        found = engine.field(planes)
        copied = cuda.calls("bytes up") - before

    np.testing.assert_allclose(found, expected(bundle, planes), atol=1e-5)
    assert copied == planes[:, 1:].nbytes


def test_only_whole_patches_are_uploaded(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """And of planes that lie in memory as they like: transposed, every second pixel, big-endian."""
    bundle = make_gpu_bundle()
    planes = noise((190, 130, 2, 2)).transpose(2, 3, 1, 0)[:, :, :, ::-1].astype(">u2")

    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        before = cuda.calls("bytes up")
        found = engine.field(planes)
        copied = cuda.calls("bytes up") - before

    np.testing.assert_allclose(found, expected(bundle, planes.astype(np.uint16)), atol=1e-5)
    assert copied == 2 * 2 * 128 * 128 * 2


def test_a_gpu_that_shares_memory_reads_the_staging(
    cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """On a Jetson no pixel is copied from host to device."""
    cuda.set("integrated", 1)

    judged(make_gpu_bundle(), noise(SHAPE))

    assert cuda.calls("bytes up") == 0
    assert cuda.calls("bytes down") > 0


def test_the_same_size_again_is_a_cuda_graph(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """Once plain, once recorded, then one call an image; another size begins anew, and the pixels are new."""
    bundle = make_gpu_bundle()
    launches = []
    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        for number, shape in enumerate([SHAPE] * 4 + [(2, 2, 64, 64)] * 3 + [SHAPE] * 2):
            planes = noise(shape, seed=number)
            before = (cuda.calls("cuLaunchKernel"), cuda.calls("cuGraphLaunch"))
            found = engine.field(planes)
            after = (cuda.calls("cuLaunchKernel"), cuda.calls("cuGraphLaunch"))
            launches.append((after[0] - before[0], after[1] - before[1]))
            np.testing.assert_allclose(found, expected(bundle, planes), atol=1e-5)
        assert "; launched as a CUDA graph, " in engine.info.reason

    plain, recorded, again = (1, 0), (1, 1), (0, 1)
    assert launches == [plain, recorded, again, again, plain, recorded, again, plain, recorded]


@pytest.mark.parametrize(
    "function", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"]
)
def test_what_cannot_be_recorded_is_launched_step_by_step(
    cuda: Any, function: str, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """The reason says so, results are the same, and it is not tried again."""
    bundle, planes = make_gpu_bundle(), noise(SHAPE)
    cuda.fail(function, 900)

    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        found = [engine.field(planes) for _ in range(3)]
        reason = engine.info.reason

    assert f"launched step by step ({function} failed with CUDA error 900), " in reason
    assert cuda.calls("cuGraphLaunch") == 0
    assert cuda.calls(function) == 1
    for probabilities in found:
        np.testing.assert_allclose(probabilities, expected(bundle, planes), atol=1e-5)


@pytest.mark.parametrize("fault", ["waits", "refuses"])
def test_a_runtime_that_cannot_be_recorded(
    cuda: Any,
    fault: str,
    double: Any,
    make_gpu_bundle: MakeBundle,
    noise: Noise,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the GPU, which spoils the recording, or says no, which does not: the image is judged."""
    run, calls = double.Context.execute_async_v3, []

    def faulty(context: Any, stream: int) -> bool:
        calls.append(stream)
        recorded = len(calls) == 2
        if recorded and fault == "refuses":
            return False
        return bool(context._driver.cuCtxSynchronize() == 0 and run(context, stream))

    monkeypatch.setattr(double.Context, "execute_async_v3", faulty)
    bundle, planes = make_gpu_bundle(), noise(SHAPE)

    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        found = engine.field(planes)
        assert "launched step by step (tensorrt 10.3.0 cannot run the engine" in engine.info.reason

    np.testing.assert_allclose(found, expected(bundle, planes), atol=1e-5)
    assert cuda.live() == {}


def test_the_engine_is_warm_when_it_is_open(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """An image of the size that it was warmed up with allocates and records nothing."""
    with closing(open_engine(make_gpu_bundle(), "tensorrt", "fp32")) as engine:
        before = {name: cuda.calls(name) for name in cuda.called()}
        engine.field(noise((1, 2, 128, 128)))
        new = {name for name in cuda.called() if cuda.calls(name) > before.get(name, 0)}

    assert new == {"cuGraphLaunch", "cuStreamSynchronize"}


def test_an_engine_keeps_nothing_of_the_last_image(
    cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """A large image before a small one changes nothing, and what was returned stays as it was."""
    large, small = noise((1, 2, 384, 384), seed=1), noise((1, 2, 64, 128), seed=2)
    with closing(open_engine(make_gpu_bundle(), "tensorrt", "fp32")) as engine:
        alone = engine.field(small)
        kept = alone.copy()
        engine.field(large)
        again = engine.field(small)

    np.testing.assert_array_equal(alone, kept)
    np.testing.assert_array_equal(again, alone)


def test_planes_that_do_not_fit_are_refused(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """As by every engine; and the engine goes on."""
    bundle = make_gpu_bundle()
    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        with pytest.raises(ValueError, match=r"expected planes \(Z, 2, H, W\)"):
            engine.field(noise((1, 3, 64, 64)))
        with pytest.raises(ValueError, match="expected planes of uint8, uint16, float32, got int64"):
            engine.field(noise(SHAPE, "int64"))
        with pytest.raises(ImageTooSmallError, match="at least one patch of 64 x 64"):
            engine.field(noise((1, 2, 63, 640)))
        found = engine.field(noise(SHAPE))

    np.testing.assert_allclose(found, expected(bundle, noise(SHAPE)), atol=1e-5)


def test_fifty_engines_leave_nothing(
    cuda: Any, double: Any, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """No memory, stream, module, graph, context, thread or object of TensorRT's."""
    bundle = make_gpu_bundle()
    threads = threading.active_count()
    for number in range(50):
        engine = open_engine(bundle, "tensorrt", "fp32")
        engine.field(noise((1, 2, 64 + 64 * (number % 3), 64)))
        assert cuda.live()["contexts"] == 1
        engine.close()
        engine.close()
        assert (cuda.live(), list(double.alive), threading.active_count()) == ({}, [], threads)


def test_a_dropped_engine_is_closed(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """By the garbage collector, if nobody else does it."""
    engine: Engine | None = open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    assert cuda.live()
    del engine
    gc.collect()

    assert cuda.live() == {}


def test_engines_side_by_side(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """Two engines, four threads: each call gets its own image's result, whichever thread it is closed in."""
    bundle = make_gpu_bundle()
    images = [noise((1, 2, 64, 64 * (1 + number % 3)), seed=number) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: open_engine(bundle, "tensorrt", "fp32"), range(2)))
        found = list(pool.map(lambda n: engines[n % 2].field(images[n]), range(12)))
        list(pool.map(lambda engine: engine.close(), engines))

    for probabilities, planes in zip(found, images, strict=True):
        np.testing.assert_allclose(probabilities, expected(bundle, planes), atol=1e-5)
    assert cuda.live() == {}


def test_a_closed_engine_says_so(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """Instead of waiting for a thread that has ended."""
    engine = open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    engine.close()

    with pytest.raises(ValueError, match="the engine is closed"):
        engine.field(noise(SHAPE))


EXIT = """
    import atexit, ctypes, os, sys
    sys.path.insert(0, {here!r})
    import tensorrt_double
    tensorrt_double.install("tensorrt")
    driver = ctypes.CDLL("libcuda.so.1")
    driver.fake_live.restype = ctypes.c_long
    driver.fake_reset()
    atexit.register(lambda: print(driver.fake_live(b"contexts"), driver.fake_live(b"device memory")))
    import numpy as np
    from colvi_edge.bundle import open_bundle
    from colvi_edge.engines import open_engine
    engine = open_engine(open_bundle({bundle!r}), "tensorrt", "fp32")
    engine.field(np.ones((1, 2, 64, 64), np.uint16))
    {end}
"""


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("sys.exit(7)", 7), ("raise KeyError('end')", 1), ("engine.close()", 0)]
)
def test_the_interpreter_exits_with_an_open_engine(
    cuda: Any, end: str, code: int, make_gpu_bundle: MakeBundle
) -> None:
    """Without abort, without a word of pycuda's, and with everything freed."""
    bundle = make_gpu_bundle()
    script = textwrap.dedent(EXIT).format(here=str(Path(__file__).parent), bundle=str(bundle.path), end=end)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (code, "0 0\n")
    assert ("KeyError: 'end'" in done.stderr) if code == 1 else (done.stderr == "")


def test_every_call_may_fail(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """Each driver function, the first and the last time: an error or the right result, and nothing is left.

    But what the driver itself refuses to free.
    """
    from pycuda import driver

    from colvi_edge.engines.cuda.graph import CudaGraphError

    bundle, planes = make_gpu_bundle(), noise((1, 2, 64, 64))
    right = expected(bundle, planes)
    threads = threading.active_count()
    judged(bundle, planes)
    times = {name: cuda.calls(name) for name in cuda.called()}
    frees = {
        "cuMemFree_v2": "device memory",
        "cuMemFreeHost": "host memory",
        "cuModuleUnload": "modules",
        "cuStreamDestroy_v2": "streams",
        "cuGraphDestroy": "graphs",
        "cuGraphExecDestroy": "executable graphs",
        "cuDevicePrimaryCtxRelease_v2": "contexts",
    }
    assert len(times) > 25
    outcomes: dict[str, str] = {}
    left: dict[str, int] = {}
    for name, count in times.items():
        for after in {0, count - 1}:
            cuda.fail(name, 999, after)
            try:
                (found,) = judged(bundle, planes)
            except (ColviEdgeError, CudaGraphError, driver.Error) as error:
                outcomes[name] = str(error)
            else:
                np.testing.assert_allclose(found, right, atol=1e-5, err_msg=name)
            if name in frees:
                left[frees[name]] = cuda.live().get(frees[name], 0)
            assert cuda.live() == {kind: number for kind, number in left.items() if number}, name
            assert threading.active_count() == threads
    np.testing.assert_allclose(judged(bundle, planes)[0], right, atol=1e-5)
    assert {"cuInit", "cuMemAlloc_v2", "cuLaunchKernel", "cuStreamSynchronize"} <= set(outcomes)


@pytest.mark.parametrize(
    "function",
    [
        "cuMemcpyHtoDAsync_v2",
        "cuLaunchKernel",
        "cuLaunchHostFunc",
        "cuMemcpyDtoHAsync_v2",
        "cuStreamSynchronize",
    ],
)
def test_a_device_that_is_lost_while_it_judges(
    cuda: Any, function: str, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """Whichever step meets it first: EngineLostError with its remedy, every time, and close() is silent."""
    engine = open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    cuda.set("sticky", 1)
    cuda.fail(function, 719)

    for _ in range(2):
        with pytest.raises(EngineLostError, match=r"the GPU went away .*; start colvi-edge again") as lost:
            engine.field(noise(SHAPE))
        assert (lost.value.exit_code, lost.value.kind) == (3, "engine_lost")
    engine.close()
    engine.close()


def test_a_graph_on_a_lost_device(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """The image is recorded already; the launch says that the device is gone."""
    engine = open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    cuda.lose(700)

    with pytest.raises(EngineLostError, match="an illegal memory access"):
        engine.field(noise((1, 2, 128, 128)))
    engine.close()


def test_a_device_that_is_lost_while_it_is_opened(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """The first error comes out, and not what it does to the closing."""
    cuda.set("sticky", 1)
    cuda.fail("cuGraphLaunch", 719)

    with pytest.raises(EngineLostError, match="the GPU went away"):
        open_engine(make_gpu_bundle(), "tensorrt", "fp32")


def test_no_memory_to_open_with(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """Said so, with the remedy, and what was taken is given back."""
    cuda.set("memory", 100_000)

    with pytest.raises(
        EngineUnavailableError, match=r"memory does not suffice \(.*out of memory\); end other"
    ):
        open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    assert cuda.live() == {}


def test_no_memory_for_a_large_image(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """It fails alone: the next image is judged."""
    bundle, planes = make_gpu_bundle(), noise(SHAPE)
    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        cuda.set("memory", 1_000_000)
        with pytest.raises(EngineUnavailableError, match="memory does not suffice"):
            engine.field(noise((1, 2, 640, 640)))
        np.testing.assert_allclose(engine.field(planes), expected(bundle, planes), atol=1e-5)
    assert cuda.live() == {}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("Runtime", "does not start"),
        ("deserialize_cuda_engine", "cannot load the engine: the engine is of another version;"),
        ("create_execution_context", "cannot prepare the engine"),
        ("execute_async_v3", "cannot run the engine: it is out of workspace;"),
    ],
)
def test_tensorrt_refuses(cuda: Any, call: str, words: str, double: Any, make_gpu_bundle: MakeBundle) -> None:
    """With its own words on one line, and nothing is left."""
    double.refuse.add(call)

    with pytest.raises(EngineUnavailableError, match=f"tensorrt 10.3.0 {words}"):
        open_engine(make_gpu_bundle(), "tensorrt", "fp32")
    assert cuda.live() == {}


def test_an_engine_that_votes_otherwise_is_closed(
    cuda: Any, double: Any, make_gpu_bundle: MakeBundle
) -> None:
    """Verified like every other engine; the error is the verification's."""
    with pytest.raises(ParityError, match=r"fp16 on tensorrt 10\.3\.0 does not decide") as raised:
        open_engine(make_gpu_bundle(faulty=True), "tensorrt", "fp16")

    assert raised.traceback, "which holds the engine"
    assert (cuda.live(), list(double.alive)) == ({}, [])


@pytest.mark.parametrize("silent", [0, 1])
def test_kernels_that_the_driver_refuses_are_passed_over(
    cuda: Any, silent: int, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """The best file first, then the next one; where none is left the error names what the GPU is."""
    cuda.set("silent", silent)
    good = make_gpu_bundle().kernel(make_gpu_bundle().config.kernels[0])
    bundle, planes = make_gpu_bundle(kernels={"sm_86": b".version 9.9", "sm_80": good}), noise(SHAPE)

    np.testing.assert_allclose(judged(bundle, planes)[0], expected(bundle, planes), atol=1e-5)
    with pytest.raises(EngineUnavailableError, match=r"do not run on compute capability 8\.6"):
        judged(make_gpu_bundle(kernels={"sm_86": b".version 9.9", "compute_75": b".version 9.9"}))
    assert cuda.live() == {}


def test_an_engine_that_is_asked_for_is_built(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """If it is missing, with progress; the second time it is there."""
    bundle = make_gpu_bundle()
    told: list[str] = []
    with closing(open_engine(bundle, "tensorrt", progress=lambda what, done: told.append(what))) as engine:
        info = engine.info
    again: list[str] = []
    open_engine(bundle, "tensorrt", progress=lambda what, done: again.append(what)).close()

    assert (info.runtime, info.version, info.precision, info.device) == (
        "tensorrt",
        "10.3.0",
        "fp16",
        "fake GPU",
    )
    assert "tensorrt was asked for; fp16 comes first, and passed here" in info.reason
    assert [told[0].endswith("was not built yet"), *told[1:]] == [True, "writing down"]
    assert again == []


def test_without_a_gpu_tensorrt_is_an_error(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """Named, it is never replaced by another engine."""
    cuda.set("devices", 0)

    with pytest.raises(EngineUnavailableError, match="TensorRT finds no NVIDIA GPU"):
        open_engine(make_gpu_bundle(), "tensorrt")


def test_a_precision_that_the_bundle_lacks(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """INT8 means TensorRT's here."""
    with pytest.raises(UsageError, match="holds no int8-trt, only fp32, fp16"):
        open_engine(make_gpu_bundle(), "tensorrt", "int8")


@pytest.mark.parametrize("asked", ["auto", "fp32"])
def test_auto_takes_a_built_engine(cuda: Any, asked: str, make_gpu_bundle: MakeBundle) -> None:
    """And the CPU before it is built, and where there is no GPU; the reason says which and why."""
    bundle = make_gpu_bundle()
    infos = []
    with closing(open_engine(bundle, "auto", asked)) as engine:
        infos.append(engine.info)
    open_engine(bundle, "tensorrt", asked).close()
    with closing(open_engine(bundle, "auto", asked)) as engine:
        infos.append(engine.info)
    cuda.set("devices", 0)
    with closing(open_engine(bundle, "auto", asked)) as engine:
        infos.append(engine.info)

    precision = {"auto": "fp16", "fp32": "fp32"}[asked]
    assert [info.runtime for info in infos] == ["openvino", "tensorrt", "openvino"]
    assert infos[1].precision == precision
    assert f"no {precision} engine was built for this machine; run: colvi-edge build" in infos[0].reason
    assert f"the {precision} engine that was built for this machine passed here" in infos[1].reason
    assert "TensorRT was not taken: there is no NVIDIA GPU" in infos[2].reason


def test_auto_does_not_take_an_engine_that_fails(cuda: Any, double: Any, make_gpu_bundle: MakeBundle) -> None:
    """Built, but it does not load here any more: the CPU judges, and the reason says why."""
    bundle = make_gpu_bundle()
    open_engine(bundle, "tensorrt").close()
    double.refuse.add("deserialize_cuda_engine")

    with closing(open_engine(bundle)) as engine:
        info = engine.info

    assert info.runtime == "openvino"
    assert "TensorRT was not taken: tensorrt 10.3.0 cannot load the engine" in info.reason


def test_auto_does_not_take_an_engine_that_votes_otherwise(
    cuda: Any, double: Any, make_gpu_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verification on this very device: its ParityError is a reason for the CPU."""
    bundle = make_gpu_bundle()
    open_engine(bundle, "tensorrt").close()

    def only_on_the_cpu(engine: Engine, bundle: Bundle, task: Task) -> None:
        if engine.info.runtime == "tensorrt":
            raise ParityError("no vote agrees")
        verify(engine, bundle, task)

    monkeypatch.setattr("colvi_edge.engines.opening.verify", only_on_the_cpu)
    with closing(open_engine(bundle)) as engine:
        info = engine.info

    assert info.runtime == "openvino"
    assert "TensorRT was not taken: no vote agrees" in info.reason
