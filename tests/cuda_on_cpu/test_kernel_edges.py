"""Awkward sizes and layouts, in buffers that end with the last value.

These tests run three times: as they are, under sanitizers, and with faults planted in the kernel's source.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.kernels.variant import Variant

pytestmark = pytest.mark.gxx

HERE = Path(__file__).parent
SOURCE = files("colvi_edge.kernels").joinpath("project_tile_normalise.cu").read_text(encoding="utf-8")
BARRIER = "__syncthreads();"
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

LARGEST = Variant(1024, 1, "patch", ("f32",))
USUAL = Variant(64, 2, "patch", ("f16",))
VARIANTS = [
    Variant(8, 1, "patch", ("f32",)),
    Variant(9, 8, "patch-channel", ("f16",), channels_last=True),
    Variant(33, 2, "fixed", ("i8",)),
    USUAL,
    Variant(75, 5, "patch-channel", ("f16",), channels_last=True),  # these two are read three times
    Variant(96, 2, "patch", ("f32",)),
]


@pytest.fixture(scope="module")
def compiled(libraries: Any) -> Any:
    """Return the compiler, already at work on what these tests need."""
    if not os.environ.get("COLVI_TEST_CUDA_ON_CPU_FOLDER"):
        libraries.start([*VARIANTS, LARGEST])
        libraries.start(VARIANTS, *SANITIZED)
    return libraries


def laid_out(values: NDArray[Any], order: tuple[int, ...], padding: int, shift: int) -> NDArray[Any]:
    """Return an equal array with its axes in another order in memory.

    Args:
        values: (images, Z, C, H, W).
        order: its axes from the slowest to the fastest in memory.
        padding: values between one row of the fastest axis and the next.
        shift: values before the first one.

    Returns:
        A view of a buffer that ends exactly with the last value.
    """
    strides, step = [0] * 5, 1
    for axis in reversed(order):
        strides[axis] = step
        step = step * values.shape[axis] + (padding if step == 1 else 0)
    last = sum(stride * (length - 1) for stride, length in zip(strides, values.shape, strict=True))
    buffer = np.zeros(shift + last + 1, values.dtype)
    in_bytes = [stride * values.itemsize for stride in strides]
    view: NDArray[Any] = np.lib.stride_tricks.as_strided(buffer[shift:], values.shape, in_bytes)
    view[:] = values
    return view


@st.composite
def planes_in_memory(draw: st.DrawFn, px: int) -> NDArray[Any]:
    """Draw (images, Z, C, H, W) planes of a few patches, of any type and layout."""
    rests = st.one_of(st.just(0), st.integers(0, px - 1))
    shape = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        px * draw(st.integers(1, 2)) + draw(rests),
        px * draw(st.integers(1, 3)) + draw(rests),
    )
    values = np.random.default_rng(draw(st.integers(0, 9))).gamma(2.0, 20.0, shape)
    planar, interleaved = st.just([0, 1, 2, 3, 4]), st.just([0, 1, 3, 4, 2])
    return laid_out(
        values.astype(draw(st.sampled_from(["uint8", "uint16", "float32"]))),
        tuple(draw(st.one_of(planar, interleaved, st.permutations(range(5))))),
        padding=draw(st.sampled_from([0, 1, 8])),
        shift=draw(st.sampled_from([0, 1, 8])),
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: f"{variant.patch_px}px")
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_layout_and_size_equals_the_oracle(
    compiled: Any, assert_as_oracle: Callable[..., None], variant: Variant, data: st.DataObject
) -> None:
    """Whatever the strides, the alignment, the numbers of images, planes, channels and patches."""
    planes = data.draw(planes_in_memory(variant.patch_px))
    raw = st.integers(-1, planes.shape[2] - 1)
    source = data.draw(st.lists(raw, min_size=variant.channels, max_size=variant.channels))
    seed = data.draw(st.integers(0, 9))

    found = compiled(variant).run(planes, variant.outputs[0], source, seed=seed)

    assert_as_oracle(found, planes, variant, source)


def test_long_sums_neither_overflow_nor_drift(compiled: Any, assert_as_oracle: Callable[..., None]) -> None:
    """The largest patch: a thread adds up more than 2**32, and small squares to large ones."""
    plane = np.full((1, 1, 1, 1024, 1024), 50000, np.int32)
    plane[..., ::2] += 2
    plane[..., 1::2] -= 2
    plane[0, 0, 0, 0] += 10000
    plane[0, 0, 0, -1] -= 10000

    planes = np.broadcast_to(plane.astype(np.uint16), (1, 32, 1, 1024, 1024))

    assert_as_oracle(compiled(LARGEST).run(planes), planes, LARGEST)


def under_sanitizers(
    libraries: Any, variants: list[Variant], *flags: str
) -> subprocess.CompletedProcess[str]:
    """Run the above in another process, with libraries compiled for sanitizers and with further flags."""
    for building in libraries.start(variants, *SANITIZED, *flags):
        building.result()
    runtime = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    environment = {
        **os.environ,
        "COLVI_TEST_CUDA_ON_CPU_FOLDER": str(libraries.folder),
        "COLVI_TEST_CUDA_ON_CPU_FLAGS": shlex.join([*SANITIZED, *flags]),
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
    }
    tests = [
        f"{__file__}::{test_any_layout_and_size_equals_the_oracle.__name__}[{variant.patch_px}px]"
        for variant in variants
    ]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            f"--confcutdir={HERE}",
            *tests,
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_sanitizers_find_nothing(compiled: Any) -> None:
    """No value out of bounds is touched, no address is misaligned, nothing overflows."""
    done = under_sanitizers(compiled, VARIANTS)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(VARIANTS)} passed" in done.stdout


def planted(folder: Path, old: str, new: str, which: int = 0) -> str:
    """Write the source with one place changed; return the flag that compiles it."""
    parts = SOURCE.split(old)
    assert len(parts) > which + 1, f"the source no longer holds {old!r}"
    path = folder / "planted.cu"
    path.write_text(old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :]), encoding="utf-8")
    return f'-DCOLVI_SOURCE="{path}"'


@pytest.mark.parametrize("which", range(SOURCE.count(BARRIER)))
def test_a_missing_barrier_is_caught(
    compiled: Any, assert_as_oracle: Callable[..., None], tmp_path: Path, which: int
) -> None:
    """Without any one of its barriers the kernel fails, in every order of threads that is tried."""
    library = compiled(USUAL, planted(tmp_path, BARRIER, "", which))
    planes = np.random.default_rng(0).integers(0, 4096, (1, 1, 2, 128, 128), np.uint16)

    for seed in range(3):
        with pytest.raises(AssertionError):
            assert_as_oracle(library.run(planes, "f16", seed=seed), planes, USUAL)


def test_one_value_read_beyond_the_end_is_caught(compiled: Any, tmp_path: Path) -> None:
    """The sanitizer sees it, and names its line in the source."""
    beyond = planted(tmp_path, "(column + j) * a.column_stride", "(column + j + 1) * a.column_stride")

    done = under_sanitizers(compiled, [USUAL], beyond)

    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
    assert "\nREAD of size" in done.stderr
    assert "planted.cu:" in done.stderr
