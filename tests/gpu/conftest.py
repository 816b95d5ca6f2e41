"""What the tests on a real GPU share: its driver, kernels compiled for it, and one file of results.

COLVI_EDGE_GPU_RESULTS=results.json pytest -m gpu tests/gpu
"""

import json
import os
import platform
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.engines.cuda.gpu import driver_version, find_gpu
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.nvrtc import RELEASES, Nvrtc
from colvi_edge.kernels.variant import Variant

Measured = dict[str, Any]
_measured: Measured = {}
_outcomes: dict[str, str] = {}


@pytest.fixture
def measured() -> Measured:
    """Return what goes into the file of results, by name."""
    return _measured


@pytest.fixture
def driver() -> Iterator[Any]:
    """Return pycuda's driver, with a context in this thread."""
    from pycuda import driver

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    context.detach()


@pytest.fixture(scope="session")
def compile_for_gpu() -> Callable[[Variant], bytes]:
    """Return a function that compiles the kernel of a variant for this GPU, with whichever NVRTC is there."""
    gpu = find_gpu()
    assert gpu is not None
    target = f"sm_{gpu.compute_capability.replace('.', '')}"
    source = files("colvi_edge.kernels").joinpath("project_tile_normalise.cu").read_text(encoding="utf-8")

    def compile_variant(variant: Variant) -> bytes:
        macros = [f"--define-macro={macro}" for macro in variant.macros()]
        options = ["--std=c++17", "--device-as-default-execution-space", *macros]
        refusals = []
        for release in RELEASES:
            try:
                return Nvrtc(release).compile(source, "project_tile_normalise.cu", target, options)[0]
            except (EngineUnavailableError, RuntimeError) as error:
                refusals.append(str(error))
        raise RuntimeError("; ".join(refusals))

    return compile_variant


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what became of each test."""
    if report.when == "call" or not report.passed:
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    """Write the results, if somebody asks for them."""
    gpu = find_gpu()
    where = os.environ.get("COLVI_EDGE_GPU_RESULTS")
    if not where or gpu is None:
        return
    software = {"python": platform.python_version()}
    for package in ("numpy", "pycuda", "tensorrt", "tensorrt-rtx-cu13", "onnxruntime"):
        try:
            software[package] = version(package)
        except PackageNotFoundError:
            software[package] = "not installed"
    results = {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "cuda_of_the_driver": gpu.cuda_version,
        "driver": driver_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "software": software,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "tests": dict(sorted(_outcomes.items())),
        "measured": _measured,
    }
    Path(where).write_text(json.dumps(results, indent=2) + "\n")
