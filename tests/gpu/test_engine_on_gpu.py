"""The TensorRT engine on a real GPU: decides as ONNX Runtime does, and keeps no memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines import open_engine
from colvi_edge.engines.tensorrt.installed import load
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.patches import network_input
from colvi_edge.simulate import simulate_projection

try:
    load()
except EngineUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

pytestmark = pytest.mark.gpu

IMAGES, SIZES_PX = 10_000, (1024, 512, 1024, 320)
"""That are judged to see whether memory grows, and their sizes in turn."""

COMPARED, TIMED, SIZE_PX = 6, 100, 1024
"""Images whose votes are compared, and whose time is taken, and their size."""

GROWTH_BYTES = {"gpu": 2**20, "host": 2**25}
"""That may be gone afterwards: other programs use the GPU, and Python's heap breathes."""


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build engines into a folder of this run."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(folder))
        yield folder


def image(seed: int, size_px: int) -> NDArray[np.uint16]:
    """Return the planes of a simulated projection, in the channel layout of the demo bundle."""
    return simulate_projection(("control", "patient")[seed % 2], seed, size_px=size_px)[np.newaxis, ::-1]


@pytest.mark.parametrize(("asked", "precision"), [("fp32", "fp32"), ("fp16", "fp16"), ("int8", "int8-trt")])
def test_votes_as_in_onnxruntime(
    asked: str, precision: Precision, demo_bundle: Bundle, measured: dict[str, Any]
) -> None:
    """The same ONNX file on the CPU, behind the oracle."""
    session = onnxruntime.InferenceSession(demo_bundle.network(precision), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    dtype = np.float16 if given.type == "tensor(float16)" else np.float32
    agreements, largest = [], []
    with closing(open_engine(demo_bundle, "tensorrt", asked)) as engine:
        for seed in range(COMPARED):
            planes = image(seed, SIZE_PX)
            found = engine.field(planes).reshape(-1, 2)
            patches = network_input(planes, 64, demo_bundle.config.normalisation).astype(dtype)
            expected = np.concatenate(
                [session.run(None, {given.name: part})[0] for part in np.array_split(patches, 4)]
            )
            agreements.append(float((found.argmax(1) == expected.argmax(1)).mean()))
            largest.append(float(np.abs(found - expected).max()))
    measured.setdefault("engine against ONNX Runtime", {})[precision] = {
        "agreement": min(agreements),
        "largest_dp": max(largest),
        "runtime": f"{engine.info.runtime} {engine.info.version}",
        "reason": engine.info.reason,
    }

    assert min(agreements) >= {"fp32": 1, "fp16": 0.985, "int8-trt": 0.985}[precision]
    assert max(largest) <= {"fp32": 1e-3, "fp16": 0.02, "int8-trt": 1}[precision]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_time_of_an_image(precision: str, demo_bundle: Bundle, measured: dict[str, Any]) -> None:
    """From planes in ordinary memory to probabilities, for an image of two channels."""
    planes = image(0, SIZE_PX)
    times = []
    with closing(open_engine(demo_bundle, "tensorrt", precision)) as engine:
        for _ in range(TIMED):
            begun = time.perf_counter()
            engine.field(planes)
            times.append(1000 * (time.perf_counter() - begun))
    measured.setdefault("image to probabilities", {})[precision] = {
        "median_ms": median(times),
        "p99_ms": float(np.quantile(times, 0.99)),
        "reason": engine.info.reason,
    }


def test_memory_is_stable(demo_bundle: Bundle, driver: Any, measured: dict[str, Any]) -> None:
    """Over ten thousand images of changing size, once the largest has been seen."""
    images = [image(seed, size_px) for seed, size_px in enumerate(SIZES_PX)]
    with closing(open_engine(demo_bundle, "tensorrt", "fp16")) as engine:

        def used() -> dict[str, int]:
            free, _ = driver.mem_get_info()
            return {"gpu": -free, "host": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

        for planes in images * 25:
            engine.field(planes)
        before = used()
        for number in range(IMAGES):
            engine.field(images[number % len(images)])
        after = used()
    growth = {what: after[what] - before[what] for what in before}
    measured["memory"] = {"images": IMAGES, "growth_bytes": growth}

    assert all(growth[what] <= GROWTH_BYTES[what] for what in growth), growth
