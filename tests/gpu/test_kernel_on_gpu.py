"""The kernel on a real GPU: equal to the oracle, and as fast as the memory."""

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.kernels.variant import OutputType, Variant
from colvi_edge.patches import Normalisation, network_input

pytestmark = pytest.mark.gpu

TYPES: dict[OutputType, type] = {"f32": np.float32, "f16": np.float16, "i8": np.int8}
STEP = 0.05
"""Of int8: one count of the output."""

SIDE_PX = 1024
IMAGES = (1, 16, 64)
"""Side and number of the images whose time is taken."""

REPEATS = 30
LEAST_SHARE = 0.8
"""Of the bandwidth of a copy, for 16 images and more."""

CompileForGpu = Callable[[Variant], bytes]


class OnGpu:
    """Images on the device, and the memory for their patches."""

    def __init__(self, driver: Any, code: bytes, variant: Variant, images: NDArray[Any], output: OutputType):
        from colvi_edge.kernels.launch import Kernel

        rows, cols = images.shape[3] // variant.patch_px, images.shape[4] // variant.patch_px
        side = variant.patch_px
        self.driver, self.images, self.output = driver, images, output
        self.found = np.empty((len(images), rows * cols, variant.channels, side, side), TYPES[output])
        self.kernel, self.stream = Kernel(code, variant), driver.Stream(1)
        self.raw, self.patches = driver.mem_alloc(images.nbytes), driver.mem_alloc(self.found.nbytes)
        driver.memcpy_htod(self.raw, images)
        driver.memset_d8(self.patches, 0xA5, self.found.nbytes)  # what is not written shows
        driver.Context.synchronize()  # the stream of the kernel waits for no other

    def launch(self, normalisation: Normalisation, source: tuple[int, ...]) -> None:
        """Run the kernel; returns before that is done."""
        self.kernel.launch(
            *(self.images, int(self.raw), self.output, int(self.patches), source, normalisation, self.stream),
            step=STEP,
        )

    def result(self) -> NDArray[Any]:
        """Return the patches."""
        self.stream.synchronize()
        self.driver.memcpy_dtoh(self.found, self.patches)
        return self.found

    def milliseconds(self, work: Callable[[], None]) -> float:
        """Return the median time of some work on the stream, by the device's own clock."""
        times = []
        for _ in range(REPEATS):
            before, after = self.driver.Event(), self.driver.Event()
            before.record(self.stream)
            work()
            after.record(self.stream)
            after.synchronize()
            times.append(after.time_since(before))
        return median(times[5:])


@pytest.mark.parametrize(
    "normalisation",
    [
        Normalisation("patch"),
        Normalisation("patch-channel"),
        Normalisation("fixed", mean=(900.0, 910.5, 890.0), std=(30.0, 28.0, 31.5)),
        Normalisation("scale", divisor=1000.0, dtype="uint16"),
    ],
    ids=lambda normalisation: str(normalisation.kind),
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("output", TYPES)
def test_oracle(
    driver: Any,
    normalisation: Normalisation,
    dtype: str,
    output: OutputType,
    compile_for_gpu: CompileForGpu,
    measured: dict[str, Any],
) -> None:
    """Random images of awkward sizes, deep and bright ones too, with an empty channel."""
    if normalisation.dtype not in ("", dtype):
        pytest.skip("a divisor is made for one dtype")
    variant = Variant(64, 3, normalisation.kind, tuple(TYPES))
    code = compile_for_gpu(variant)
    random = np.random.default_rng(0)
    worst = 0.0
    for depth, height, width, level in ((1, 64, 64, 900), (10, 130, 257, 3000), (3, 511, 200, 60000)):
        images = np.clip(
            random.poisson(level, (2, depth, 2, height, width)), 0, 255 if dtype == "uint8" else 65535
        )
        images = images.astype(dtype)
        on_gpu = OnGpu(driver, code, variant, images, output)
        on_gpu.launch(normalisation, (1, -1, 0))
        found = on_gpu.result()
        for planes, patches in zip(images, found, strict=True):
            laid_out = np.stack([planes[:, 1], np.zeros_like(planes[:, 0]), planes[:, 0]], axis=1)
            oracle = network_input(laid_out, 64, normalisation)
            worst = max(worst, error(patches, oracle, output))
    measured.setdefault("largest errors", {})[f"{normalisation.kind} {dtype} {output}"] = worst

    assert worst <= 1


def error(found: NDArray[Any], oracle: NDArray[np.float32], output: OutputType) -> float:
    """Return the largest error in what the kernel's contract allows: 1e-5, one ULP, one step."""
    wide = found.astype(np.float64)
    if output == "i8":
        return float(np.abs(wide - np.clip(np.rint(oracle / STEP), -128, 127)).max())
    if output == "f32":
        return float((np.abs(wide - oracle) / (1e-5 * np.maximum(1, np.abs(oracle)))).max())
    nearest = oracle.astype(np.float16)
    return float((np.abs(wide - nearest) / np.spacing(np.abs(nearest)).astype(np.float64)).max())


@pytest.mark.parametrize("output", ["f16", "f32"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bandwidth(
    driver: Any, dtype: str, output: OutputType, compile_for_gpu: CompileForGpu, measured: dict[str, Any]
) -> None:
    """Bytes in and out a second, beside those of a copy of as many on the same device in the same run."""
    variant = Variant(64, 3, "patch", ("f32", "f16"))
    code = compile_for_gpu(variant)
    shares = {}
    for count in IMAGES:
        images = np.random.default_rng(0).poisson(900, (count, 1, 3, SIDE_PX, SIDE_PX)).astype(dtype)
        on_gpu = OnGpu(driver, code, variant, images, output)
        moved = images.nbytes + on_gpu.found.nbytes
        kernel_ms = on_gpu.milliseconds(lambda on_gpu=on_gpu: on_gpu.launch(Normalisation(), (0, 1, 2)))  # type: ignore[misc]
        there, here = (
            driver.mem_alloc(moved // 2),
            driver.mem_alloc(moved // 2),
        )  # a copy moves each byte twice
        copy_ms = on_gpu.milliseconds(
            lambda there=there, here=here, size=moved // 2, stream=on_gpu.stream: driver.memcpy_dtod_async(  # type: ignore[misc]
                there, here, size, stream
            )
        )
        shares[count] = copy_ms / kernel_ms
        measured.setdefault("bandwidth", {})[f"{count} images {dtype} to {output}"] = {
            "kernel_ms": kernel_ms,
            "kernel_gb_per_s": moved / kernel_ms / 1e6,
            "copy_gb_per_s": moved / copy_ms / 1e6,
            "share_of_copy": shares[count],
        }

    if dtype != "float32":  # whose float64 arithmetic costs more than the memory on many GPUs
        assert min(share for count, share in shares.items() if count >= 16) >= LEAST_SHARE


def test_from_host_memory(driver: Any, compile_for_gpu: CompileForGpu, measured: dict[str, Any]) -> None:
    """One 1024 x 1024 x 3 uint16 image, page-locked, to float16 patches on the device."""
    variant = Variant(64, 3, "patch", ("f32", "f16"))
    images = np.random.default_rng(0).poisson(900, (1, 1, 3, SIDE_PX, SIDE_PX)).astype(np.uint16)
    on_gpu = OnGpu(driver, compile_for_gpu(variant), variant, images, "f16")
    staged = driver.pagelocked_empty(images.shape, images.dtype)
    staged[:] = images

    def upload() -> None:
        driver.memcpy_htod_async(on_gpu.raw, staged, on_gpu.stream)

    def both() -> None:
        upload()
        on_gpu.launch(Normalisation(), (0, 1, 2))

    measured["from host memory"] = {
        "upload_ms": on_gpu.milliseconds(upload),
        "upload_and_kernel_ms": on_gpu.milliseconds(both),
    }

    np.testing.assert_allclose(on_gpu.result()[0], network_input(images[0], 64, Normalisation()), atol=4e-3)
