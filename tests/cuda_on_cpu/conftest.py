"""The kernel compiled for the CPU, launched through ctypes, and held against the oracle."""

import ctypes
import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.kernels.variant import THREADS, OutputType, Variant, arguments, entry_name, grid
from colvi_edge.patches import Normalisation, network_input

HERE = Path(__file__).parent
DTYPES = {"f32": np.float32, "f16": np.float16, "i8": np.int8}
CORES = len(os.sched_getaffinity(0))
STEP = 0.05
"""Of int8: 6.35 standard deviations fit."""

FOLDER = os.environ.get("COLVI_TEST_CUDA_ON_CPU_FOLDER")
FLAGS = shlex.split(os.environ.get("COLVI_TEST_CUDA_ON_CPU_FLAGS", ""))
"""For a test that runs other tests: where it has compiled their libraries, and with which further flags."""


def normalisation_of(variant: Variant) -> Normalisation:
    """Return some normalisation of the variant's kind; `scale` is for uint16."""
    if variant.kind == "fixed":
        means = tuple(100.3 + channel for channel in range(variant.channels))
        return Normalisation("fixed", mean=means, std=(17.7,) * variant.channels)
    if variant.kind == "scale":
        return Normalisation("scale", divisor=4095.0, dtype="uint16")
    return Normalisation(variant.kind)


class LaunchError(Exception):
    """The emulator saw that a launch can never end."""


@dataclass(frozen=True)
class Library:
    """One variant of the kernel, compiled for the CPU."""

    variant: Variant
    handle: ctypes.CDLL

    def run(
        self,
        planes: NDArray[Any],
        output: OutputType = "f32",
        source: Sequence[int] | None = None,
        normalisation: Normalisation | None = None,
        step: float = STEP,
        seed: int = 0,
        workers: int = CORES,
    ) -> NDArray[Any]:
        """Launch on (images, Z, C, H, W) planes; return (images, patches, channels, P, P)."""
        variant, px = self.variant, self.variant.patch_px
        sources = range(variant.channels) if source is None else source
        passed = arguments(planes, sources, px, normalisation or normalisation_of(variant), step)
        rows, cols = int(passed["rows"]), int(passed["cols"])
        inner = (px, px, variant.channels) if variant.channels_last else (variant.channels, px, px)
        patches = np.full((len(planes), rows * cols, *inner), 99, DTYPES[output])
        pointers = np.array([planes.ctypes.data, patches.ctypes.data], np.uint64)
        if self.handle.cuda_on_cpu_launch(
            entry_name(planes.dtype, output).encode(),
            (ctypes.c_uint * 3)(*grid(len(planes), rows, cols, variant)),
            (ctypes.c_uint * 3)(THREADS, 1, 1),
            pointers.tobytes() + passed.tobytes(),
            ctypes.c_uint64(seed),
            workers,
        ):
            raise LaunchError(self.handle.cuda_on_cpu_error().decode())
        return np.moveaxis(patches, -1, 2) if variant.channels_last else patches


class Libraries:
    """Compiles in the background, each library once; asking for one waits for it."""

    def __init__(self, folder: Path) -> None:
        """Take the folder to compile into."""
        self.folder = folder
        self._pool = ThreadPoolExecutor(CORES)
        self._building: dict[Path, Future[Path]] = {}

    def __call__(self, variant: Variant, *flags: str) -> Library:
        """Return a variant, compiled with further flags for g++."""
        return Library(variant, self.load("kernels.cpp", *FLAGS, *flags, *_macros(variant)))

    def start(self, variants: Iterable[Variant], *flags: str) -> list[Future[Path]]:
        """Begin to compile variants, so that a later wait is short."""
        return [self._library("kernels.cpp", *FLAGS, *flags, *_macros(variant)) for variant in variants]

    def load(self, entry_points: str, *flags: str) -> ctypes.CDLL:
        """Return a file of this folder, compiled with the emulator."""
        handle = ctypes.CDLL(str(self._library(entry_points, *flags).result()))
        handle.cuda_on_cpu_error.restype = ctypes.c_char_p
        handle.cuda_on_cpu_packed_bytes.restype = ctypes.c_size_t
        return handle

    def close(self) -> None:
        """Compile no more."""
        self._pool.shutdown(cancel_futures=True)

    def _library(self, entry_points: str, *flags: str) -> Future[Path]:
        shared = [flag for flag in flags if not flag.startswith("-DCOLVI_")]
        emulator = [self._once(name, "-c", *shared) for name in ("cuda_on_cpu.cpp", "fiber.cpp")]
        return self._once(entry_points, *flags, links=emulator)

    def _once(self, source: str, *flags: str, links: Sequence[Future[Path]] = ()) -> Future[Path]:
        name = hashlib.sha256(shlex.join([source, *flags]).encode()).hexdigest()[:16]
        output = self.folder / f"{name}{'.o' if '-c' in flags else '.so'}"
        if output not in self._building:
            self._building[output] = self._pool.submit(_compile, source, flags, links, output)
        return self._building[output]


def _compile(source: str, flags: Sequence[str], links: Sequence[Future[Path]], output: Path) -> Path:
    # What is linked was submitted before, so that waiting for it cannot keep it from being compiled.
    objects = [link.result() for link in links]
    if not output.exists():
        subprocess.run(
            ["g++", f"@{HERE / 'flags.txt'}", *flags, HERE / source, *objects, "-o", output], check=True
        )
    return output


def _macros(variant: Variant) -> list[str]:
    return [f"-D{macro}" for macro in variant.macros()]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Libraries]:
    """Return the compiler."""
    opened = Libraries(Path(FOLDER) if FOLDER else tmp_path_factory.mktemp("cuda_on_cpu"))
    yield opened
    opened.close()


def _ordered(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """Map float16 to integers that count ULPs."""
    bits = values.view(np.int16).astype(np.int64)
    return np.where(bits < 0, -32768 - bits, bits)


@pytest.fixture(scope="session")
def assert_as_oracle() -> Callable[..., None]:
    """Return a function that holds what a launch gave to the promise in the kernel's header."""

    def check(
        found: NDArray[Any],
        planes: NDArray[Any],
        variant: Variant,
        source: Sequence[int] | None = None,
        normalisation: Normalisation | None = None,
    ) -> None:
        with_empty = np.concatenate([planes, np.zeros_like(planes[:, :, :1])], axis=2)
        mapped = with_empty[:, :, list(range(variant.channels) if source is None else source)]
        chosen = normalisation or normalisation_of(variant)
        expected = np.stack([network_input(image, variant.patch_px, chosen) for image in mapped])

        assert found.shape == expected.shape
        if found.dtype == np.float32:
            errors = np.abs(found.astype(float) - expected) / np.maximum(1, np.abs(expected))
            assert errors.max() <= 1e-5
        elif found.dtype == np.float16:
            ulps = _ordered(found) - _ordered(expected.astype(np.float16))
            assert np.abs(ulps).max() <= 1
        else:
            steps = np.clip(np.rint(expected / STEP), -128, 127)
            assert np.abs(found - steps).max() <= 1
            assert np.mean(found == steps) > 0.99

    return check
