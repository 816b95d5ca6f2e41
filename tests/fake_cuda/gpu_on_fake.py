"""A pytest plugin that lets tests/gpu run on the fake driver: with few images, and without asking for speed.

What is compiled for a GPU, or read out of a bundle, is compiled for the CPU in its place.
"""

import ctypes
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from colvi_edge.bundle import Bundle
from colvi_edge.bundle.manifest import KernelFile
from colvi_edge.engines.cuda.kernel_choice import variant_for
from colvi_edge.kernels import nvrtc

HERE = Path(__file__).parent
SMALLER = {
    "test_kernel_on_gpu": {"SIDE_PX": 128, "IMAGES": (1, 16), "REPEATS": 7, "LEAST_SHARE": 0},
    "test_engine_on_gpu": {
        "IMAGES": 8,
        "SIZES_PX": (128, 64),
        "COMPARED": 1,
        "TIMED": 2,
        "SIZE_PX": 128,
        "GROWTH_BYTES": {"gpu": 0, "host": 2**30},
    },
}

sys.path.insert(0, str(HERE))
importlib.import_module("tensorrt_double").install("tensorrt")
compiler = importlib.import_module("kernels_for_cpu")
inference = importlib.import_module("colvi_edge.engines.tensorrt.inference")
ctypes.CDLL("libcuda.so.1").fake_reset()


class NvrtcForCpu:
    """Takes what NVRTC takes."""

    def __init__(self, release: nvrtc.Release) -> None:
        pass

    def compile(self, source: str, name: str, target: str, options: Sequence[str]) -> tuple[bytes, str]:
        """See `Nvrtc.compile`."""
        macros = [option.partition("--define-macro=")[2] for option in options]
        return bytes(compiler.compile_for_cpu([*filter(None, macros)])), ""


def kernel_for_cpu(bundle: Bundle, kernel: KernelFile) -> bytes:
    """See `Bundle.kernel`."""
    return bytes(compiler.compile_for_cpu(variant_for(bundle.config).macros()))


pytest.MonkeyPatch().setattr(nvrtc, "Nvrtc", NvrtcForCpu)  # before a conftest imports it
pytest.MonkeyPatch().setattr(Bundle, "kernel", kernel_for_cpu)
pytest.MonkeyPatch().setattr(inference, "_WARM_UP_PATCHES", 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask for less."""
    for item in items:
        assert isinstance(item, pytest.Function)
        for name, value in SMALLER[Path(item.fspath).stem].items():
            assert hasattr(item.module, name)
            setattr(item.module, name, value)
