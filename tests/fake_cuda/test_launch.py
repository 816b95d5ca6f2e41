"""The kernel's launch with the real pycuda, on the fake driver, against the oracle.

What the kernel computes is tested in tests/cuda_on_cpu; here it is what the host passes to it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.kernels.variant import OutputType, Variant
from colvi_edge.patches import Normalisation, network_input

pytestmark = pytest.mark.pycuda

TYPES = {"f32": np.float32, "f16": np.float16, "i8": np.int8}
CompileKernels = Callable[[Variant], bytes]


@pytest.fixture
def driver(cuda: Any) -> Iterator[Any]:
    """Return pycuda's driver with a context, and see that nothing is left of it afterwards."""
    from pycuda import driver

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    context.detach()
    assert cuda.live() == {}


def launched(
    driver: Any,
    code: bytes,
    variant: Variant,
    images: NDArray[Any],
    output: OutputType,
    normalisation: Normalisation,
    source: tuple[int, ...] = (0, 1),
    step: float = 1.0,
) -> NDArray[Any]:
    """Return the patches of images (N, Z, C, H, W), which lie on the device as they lie here."""
    from colvi_edge.kernels.launch import Kernel

    rows, cols = images.shape[3] // variant.patch_px, images.shape[4] // variant.patch_px
    shape = (len(images), rows * cols, variant.channels, variant.patch_px, variant.patch_px)
    kernel, stream = Kernel(code, variant), driver.Stream(1)
    pixels = images if images.base is None else images.base
    up = driver.pagelocked_empty(pixels.nbytes, np.uint8)
    up[:] = np.frombuffer(pixels.tobytes(), np.uint8)
    down = driver.pagelocked_empty(shape, TYPES[output])
    raw, patches = driver.mem_alloc(up.nbytes), driver.mem_alloc(down.nbytes)
    driver.memcpy_htod_async(raw, up, stream)
    kernel.launch(images, int(raw), output, int(patches), source, normalisation, stream, step)
    driver.memcpy_dtoh_async(down, patches, stream)
    stream.synchronize()
    found: NDArray[Any] = down.copy()
    return found


@pytest.mark.parametrize("output", ["f32", "f16", "i8"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_entry_point(
    driver: Any, dtype: str, output: OutputType, compile_kernels: CompileKernels, noise: Callable[..., Any]
) -> None:
    """Two images of three planes and awkward sizes; the step counts for int8 only."""
    variant = Variant(64, 2, "patch", ("f32", "f16", "i8"))
    images, step = noise((2, 3, 2, 130, 200), dtype, 60), 0.05

    found = launched(driver, compile_kernels(variant), variant, images, output, Normalisation(), step=step)

    oracle = np.stack([network_input(planes, 64, Normalisation()) for planes in images])
    if output == "i8":
        assert np.abs(found - np.clip(np.rint(oracle / np.float32(step)), -128, 127)).max() <= 1
    else:
        np.testing.assert_allclose(found, oracle, atol=1e-5 if output == "f32" else 4e-3)


@pytest.mark.parametrize(
    "normalisation",
    [
        Normalisation("patch-channel"),
        Normalisation("fixed", mean=(60.0, 50.5), std=(7.5, 9.0)),
        Normalisation("scale", divisor=255.0, dtype="uint8"),
    ],
)
def test_every_kind(
    driver: Any, normalisation: Normalisation, compile_kernels: CompileKernels, noise: Callable[..., Any]
) -> None:
    """Its grid, and its parameters for each channel."""
    variant = Variant(64, 2, normalisation.kind, ("f32", "f16"))
    images = noise((1, 1, 2, 128, 128), "uint8", 60)

    found = launched(driver, compile_kernels(variant), variant, images, "f32", normalisation)

    np.testing.assert_allclose(found[0], network_input(images[0], 64, normalisation), atol=1e-5)


def test_interleaved_channels_and_an_empty_one(
    driver: Any, compile_kernels: CompileKernels, noise: Callable[..., Any]
) -> None:
    """Pixels that lie as (H, W, C), channels in another order than the network's, which has one more."""
    variant = Variant(64, 3, "patch", ("f32", "f16"))
    interleaved = np.ascontiguousarray(noise((1, 1, 128, 192, 2), "uint16", 500))
    images = interleaved.transpose(0, 1, 4, 2, 3)

    found = launched(
        driver, compile_kernels(variant), variant, images, "f32", Normalisation(), source=(-1, 1, 0)
    )

    laid_out = np.stack([np.zeros_like(images[0, 0, 0]), images[0, 0, 1], images[0, 0, 0]])[np.newaxis]
    np.testing.assert_allclose(found[0], network_input(laid_out, 64, Normalisation()), atol=1e-5)


def test_arguments_of_another_size_are_caught(
    driver: Any,
    compile_kernels: CompileKernels,
    noise: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As they would be if the two halves of the contract drifted apart."""
    from colvi_edge.kernels import launch

    variant = Variant(64, 2, "patch", ("f32", "f16"))
    short = np.zeros((), np.dtype([("image_stride", np.uint64)]))
    monkeypatch.setattr(launch, "arguments", lambda *given: short)

    with pytest.raises(driver.LogicError, match="cuLaunchKernel failed"):
        launched(driver, compile_kernels(variant), variant, noise((1, 1, 2, 64, 64)), "f32", Normalisation())


def test_an_output_that_the_variant_lacks(
    driver: Any, compile_kernels: CompileKernels, noise: Callable[..., Any]
) -> None:
    """The driver finds no such entry point."""
    variant = Variant(64, 2, "patch", ("f32", "f16"))

    with pytest.raises(driver.LogicError, match="cuModuleGetFunction failed"):
        launched(driver, compile_kernels(variant), variant, noise((1, 1, 2, 64, 64)), "i8", Normalisation())
