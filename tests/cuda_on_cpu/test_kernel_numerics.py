"""The kernel's own source, run on the CPU, against the oracle in float64."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.kernels.variant import KINDS, MAX_PLANES, OutputType, Variant
from colvi_edge.patches import Normalisation, NormalisationKind

pytestmark = pytest.mark.gxx

OUTPUTS: tuple[OutputType, ...] = get_args(OutputType)
PRODUCT = Variant(64, 2, "patch", ("f32", "f16"))
PORTABLE = "-DCUDA_ON_CPU_UCONTEXT"
VARIANTS = {
    (kind, last): Variant(64, 3, kind, OUTPUTS, channels_last=last)
    for kind in KINDS
    for last in (False, True)
}

Check = Callable[..., None]


@pytest.fixture(scope="module")
def compiled(libraries: Any) -> Any:
    """Return the compiler, already at work on what these tests need."""
    libraries.start([PRODUCT, *VARIANTS.values()])
    libraries.start([PRODUCT], PORTABLE)
    return libraries


def micrograph(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Noise on a black level, and a gradient, so that no two patches are alike."""
    smooth = 20 + np.linspace(0, 60, shape[-1]) + np.linspace(0, 40, shape[-2])[:, None]
    drawn = np.random.default_rng(0).poisson(smooth, shape)
    return (drawn / 7 if dtype == "float32" else np.minimum(drawn, 255)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_point_equals_the_oracle(
    compiled: Any,
    assert_as_oracle: Check,
    kind: NormalisationKind,
    last: bool,
    output: OutputType,
    dtype: str,
) -> None:
    """All inputs, outputs, kinds and layouts: two images, three planes, an incomplete row and column."""
    variant = VARIANTS[kind, last]
    planes = micrograph((2, 3, 3, 130, 200), dtype)
    normalisation = Normalisation("scale", divisor=55.0, dtype=dtype) if kind == "scale" else None

    found = compiled(variant).run(planes, output, normalisation=normalisation)

    assert_as_oracle(found, planes, variant, normalisation=normalisation)


@pytest.mark.parametrize("channels", [2, 3])
def test_real_size(compiled: Any, assert_as_oracle: Check, channels: int) -> None:
    """One projection as the microscope sends it, 16 bit, for networks of two and three channels."""
    variant = PRODUCT if channels == 2 else VARIANTS["patch", False]
    planes = micrograph((1, 1, channels, 1024, 1024), "uint16")

    for output in ("f32", "f16"):
        assert_as_oracle(compiled(variant).run(planes, output), planes, variant)


@pytest.mark.parametrize("kind", ["patch", "patch-channel"])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0], "uint8"),
        ([65535] * 40, "uint16"),
        ([3000.1], "float32"),
        ([3000.1, 7e-5, 1e9], "float32"),
        ([1e-30], "float32"),
        ([-1e30], "float32"),
    ],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_constant_patches_become_zeros(
    compiled: Any, kind: NormalisationKind, values: list[float], dtype: str, output: OutputType
) -> None:
    """No spread is no signal, exactly: also where the float64 mean of equal values differs from them."""
    planes = np.array(values, dtype).reshape(1, -1, 1, 1, 1) * np.ones((1, 1, 3, 64, 64), dtype)

    assert not compiled(VARIANTS[kind, False]).run(planes, output).any()


@pytest.mark.parametrize("base", [1, 65534])
@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("depth", [1, MAX_PLANES])
def test_one_count_among_the_largest_sums_survives(
    compiled: Any, assert_as_oracle: Check, base: int, change: int, depth: int
) -> None:
    """The smallest signal keeps its digits on the brightest sum of as many planes as the kernel takes."""
    planes = np.full((1, depth, 3, 64, 64), base, np.uint16)
    planes[0, -1, 1, 17, 42] = base + change

    found = compiled(VARIANTS["patch", False]).run(planes, "f32")

    assert_as_oracle(found, planes, VARIANTS["patch", False])
    assert found[0, 0, 1, 17, 42] == pytest.approx(change * np.sqrt(3 * 64 * 64 - 1), rel=1e-6)


def test_the_widest_spread_is_not_clipped(compiled: Any, assert_as_oracle: Check) -> None:
    """Half of the pixels dark, half at full scale in every plane that the kernel takes."""
    plane = np.zeros((1, 1, 3, 64, 64), np.uint16)
    plane[..., ::2] = 65535
    planes = np.broadcast_to(plane, (1, MAX_PLANES, 3, 64, 64))

    for kind in KINDS:
        variant = VARIANTS[kind, False]
        assert_as_oracle(compiled(variant).run(planes, "f32"), planes, variant)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_float_planes_of_any_magnitude(compiled: Any, assert_as_oracle: Check, scale: float) -> None:
    """Sums of squares of float32 neither underflow nor overflow, and a high black level costs no digits."""
    planes = ((micrograph((1, 4, 3, 64, 128), "uint16") + 1e5) * scale).astype(np.float32)

    found = compiled(VARIANTS["patch", False]).run(planes, "f32")

    assert_as_oracle(found, planes, VARIANTS["patch", False])


@pytest.mark.parametrize("mean", [-3e9, -0.5, 0.0, 70000.4, 3e9])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_fixed_takes_any_mean(compiled: Any, assert_as_oracle: Check, mean: float, dtype: str) -> None:
    """The offset keeps its digits next to T, also where it is no count that a detector could give."""
    normalisation = Normalisation("fixed", mean=(mean, mean + 0.3, 0), std=(0.9, 3e4, 7e-3))
    planes = np.full((1, 2, 3, 64, 64), 35000, dtype)
    planes[0, 1] += micrograph((3, 64, 64), dtype)

    found = compiled(VARIANTS["fixed", False]).run(planes, normalisation=normalisation)

    assert_as_oracle(found, planes, VARIANTS["fixed", False], normalisation=normalisation)


def test_ties_round_to_even(compiled: Any) -> None:
    """float16 and int8 round as IEEE 754 and ONNX's QuantizeLinear do, and int8 is clamped."""
    planes = np.zeros((1, 1, 3, 64, 64), np.uint16)
    planes[0, 0, 0] = np.arange(2048, 2048 + 64 * 64).reshape(64, 64)  # float16 has every second one
    planes[0, 0, 1] = np.arange(64 * 64).reshape(64, 64)
    whole = Normalisation("scale", divisor=1.0, dtype="uint16")
    library = compiled(VARIANTS["scale", False])

    halves = library.run(planes, "f16", normalisation=whole)
    bytes_ = library.run(planes, "i8", normalisation=whole, step=2.0)

    np.testing.assert_array_equal(halves[0, 0], planes[0, 0].astype(np.float16))
    np.testing.assert_array_equal(bytes_[0, 0], np.minimum(np.rint(planes[0, 0] / 2), 127))


def test_int8_is_clamped_at_both_ends(compiled: Any) -> None:
    """What does not fit becomes the nearest that does."""
    normalisation = Normalisation("fixed", mean=(1000.0,) * 3, std=(1.0,) * 3)
    planes = np.resize(np.array([0, 871, 872, 873, 1126, 1127, 1128, 65535], np.uint16), (1, 1, 3, 64, 64))

    found = compiled(VARIANTS["fixed", False]).run(planes, "i8", normalisation=normalisation, step=1.0)

    assert found[0, 0, 0, 0, :8].tolist() == [-128, -128, -128, -127, 126, 127, 127, 127]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [(-1, 1, 0), (1, -1, -1), (-1, -1, -1), (3, 3, 0)])
def test_channels_are_mapped_and_empty_ones_are_zeros(
    compiled: Any, assert_as_oracle: Check, kind: NormalisationKind, source: tuple[int, ...]
) -> None:
    """Any raw channel may feed any of the network's; the zeros of an empty one count for `patch`."""
    planes = micrograph((1, 2, 4, 64, 128), "uint16")

    for last in (False, True):
        variant = VARIANTS[kind, last]
        assert_as_oracle(compiled(variant).run(planes, source=source), planes, variant, source)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_any_order_of_threads_gives_the_same_bits(compiled: Any, dtype: str) -> None:
    """Nothing depends on who comes first, on the number of OS threads, or on how fibers are switched."""
    planes = micrograph((1, 2, 2, 128, 192), dtype)
    library, portable = compiled(PRODUCT), compiled(PRODUCT, PORTABLE)

    first = library.run(planes, seed=0)

    np.testing.assert_array_equal(portable.run(planes, seed=0), first)
    for seed in range(1, 6):
        np.testing.assert_array_equal(library.run(planes, seed=seed, workers=seed), first)
