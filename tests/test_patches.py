"""The oracle against formulas evaluated one pixel at a time, in exact arithmetic where it matters."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.patches import (
    Normalisation,
    coverage,
    grid_shape,
    network_input,
    normalise,
    normalise_image,
    paste,
    project,
    tile,
)

PATCH = 4


def planes_of(dtype: str) -> st.SearchStrategy[NDArray[Any]]:
    """Planes of awkward sizes, all values of the dtype that a detector could give."""
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(4, 13), st.integers(4, 13))
    values = {
        "uint8": st.integers(0, 255),
        "uint16": st.integers(0, 65535),
        "float32": st.floats(0, 1e5, width=32),
    }[dtype]
    return shapes.flatmap(lambda shape: hnp.arrays(dtype, shape, elements=values))


ANY_PLANES = st.sampled_from(["uint8", "uint16", "float32"]).flatmap(planes_of)


def by_hand(patch: NDArray[Any], kind: str) -> NDArray[Any]:
    """Standardise one (C, P, P) patch in exact fractions; only the square root is rounded."""
    groups = [patch.ravel()] if kind == "patch" else [channel.ravel() for channel in patch]
    result = []
    for group in groups:
        values = [Fraction(float(v)) for v in group]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        sd = math.sqrt(variance)
        result.append([float(v - mean) / sd if variance else 0.0 for v in values])
    return np.concatenate(result).reshape(patch.shape)


@settings(deadline=None)
@given(ANY_PLANES)
def test_tile_then_paste_is_the_identity(planes: NDArray[Any]) -> None:
    """Tiling loses nothing of the covered part and mixes nothing up."""
    projection = project(planes)
    rows, cols = grid_shape(projection.shape[1], projection.shape[2], PATCH)

    pasted = paste(tile(projection, PATCH), rows, cols)

    np.testing.assert_array_equal(pasted, projection[:, : rows * PATCH, : cols * PATCH])


@settings(deadline=None)
@given(ANY_PLANES)
def test_tiles_are_row_major_from_the_top_left(planes: NDArray[Any]) -> None:
    """Patch n covers rows n // cols and columns n % cols of the grid."""
    projection = project(planes)
    rows, cols = grid_shape(projection.shape[1], projection.shape[2], PATCH)

    patches = tile(projection, PATCH)

    assert len(patches) == rows * cols
    for n, patch in enumerate(patches):
        y, x = n // cols * PATCH, n % cols * PATCH
        np.testing.assert_array_equal(patch, projection[:, y : y + PATCH, x : x + PATCH])


@settings(deadline=None)
@given(planes_of("uint16"))
def test_projection_of_integers_is_exact(planes: NDArray[Any]) -> None:
    """The sum over Z is Python's own sum of integers."""
    summed = project(planes)

    for index in np.ndindex(*planes.shape[1:]):
        assert int(summed[index]) == sum(int(plane[index]) for plane in planes)


@settings(deadline=None)
@given(ANY_PLANES, st.sampled_from(["patch", "patch-channel"]))
def test_standardised_patches_equal_exact_fractions(planes: NDArray[Any], kind: Any) -> None:
    """Both kinds that look at the patch equal the formula in exact arithmetic, rounded to float32."""
    patches = tile(project(planes), PATCH)

    found = normalise(patches, Normalisation(kind))

    assert found.dtype == np.float32
    for raw, normalised in zip(patches, found, strict=True):
        expected = by_hand(raw, kind)
        np.testing.assert_allclose(normalised, expected, rtol=2e-6, atol=1e-6)


@settings(deadline=None)
@given(planes_of("uint8"), st.integers(1, 200), st.integers(0, 10_000))
def test_patch_is_invariant_to_one_common_gain_and_offset(
    planes: NDArray[Any], gain: int, offset: int
) -> None:
    """A brighter lamp and a higher black level leave the network's input as it was."""
    one = network_input(planes.astype(np.uint16), PATCH, Normalisation("patch"))
    other = network_input((planes.astype(np.uint16) * gain + offset), PATCH, Normalisation("patch"))

    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(ANY_PLANES)
def test_an_image_is_standardised_as_one_patch(planes: NDArray[Any]) -> None:
    """Mean and deviation are of all its channels and pixels, those that no whole patch covers too."""
    projection = project(planes)

    found = normalise_image(projection, Normalisation("image"))

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(projection, "patch"), rtol=2e-6, atol=1e-6)


@settings(deadline=None)
@given(ANY_PLANES)
def test_the_range_of_an_image_becomes_0_to_1(planes: NDArray[Any]) -> None:
    """In exact fractions of what lies between the darkest and the brightest value of all channels."""
    projection = project(planes)
    values = [Fraction(float(value)) for value in projection.ravel()]
    low, high = min(values), max(values)

    found = normalise_image(projection, Normalisation("image-range"))

    expected = [float((value - low) / (high - low)) if high > low else 0.0 for value in values]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", ["image", "image-range"])
def test_patches_of_an_image_share_its_numbers(kind: Any) -> None:
    """Tiling what was normalised whole: a bright and a dark patch stay apart."""
    planes = np.zeros((1, 1, 8, 8), np.uint16)
    planes[..., 4:] = 1000

    found = network_input(planes, 4, Normalisation(kind))

    low, high = {"image": (-1, 1), "image-range": (0, 1)}[kind]
    assert (found[0::2] == low).all()
    assert (found[1::2] == high).all()


def test_each_kind_is_of_patches_or_of_images() -> None:
    """A patch alone cannot be normalised by the image's numbers, nor an image by a patch's."""
    with pytest.raises(ValueError, match="'image' is of whole images, not of patches"):
        normalise(np.zeros((1, 1, 4, 4)), Normalisation("image"))
    with pytest.raises(ValueError, match="'patch-channel' is of patches, not of whole images"):
        normalise_image(np.zeros((1, 4, 4)), Normalisation("patch-channel"))


@pytest.mark.parametrize("kind", ["patch", "patch-channel", "image", "image-range"])
@pytest.mark.parametrize(
    ("value", "dtype"), [(0, "uint8"), (65535, "uint16"), (3000.1, "float32"), (1e-30, "float32")]
)
def test_constant_patches_become_zeros(kind: Any, value: float, dtype: str) -> None:
    """No spread means no signal, in every dtype; float32 arithmetic alone would give +-1 for 3000.1."""
    planes = np.full((3, 2, 8, 8), value, dtype)

    assert not network_input(planes, PATCH, Normalisation(kind)).any()


def test_one_count_in_a_bright_patch_survives() -> None:
    """The smallest possible signal on the highest black level keeps all its digits."""
    planes = np.full((10, 1, 4, 4), 65534, np.uint16)
    planes[0, 0, 1, 2] += 1

    found = network_input(planes, PATCH, Normalisation("patch"))

    expected = np.full((4, 4), -1 / math.sqrt(15))
    expected[1, 2] = math.sqrt(15)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-6)


def test_fixed_and_scale_follow_their_formulas() -> None:
    """`fixed` is per channel, `scale` is one divisor."""
    planes = np.array([[[[10, 20], [30, 40]], [[1, 2], [3, 4]]]], np.uint16)

    fixed = network_input(planes, 2, Normalisation("fixed", mean=(20, 1), std=(10, 2)))
    scaled = network_input(planes, 2, Normalisation("scale", divisor=255, dtype="uint16"))

    assert fixed[0].tolist() == [[[-1, 0], [1, 2]], [[0, 0.5], [1, 1.5]]]
    np.testing.assert_array_equal(scaled[0], (planes[0] / 255).astype(np.float32))


def test_scale_refuses_another_input_depth() -> None:
    """A divisor made for 8 bit would turn 16-bit images into nonsense without a word."""
    with pytest.raises(ValueError, match="made for uint8 planes, these are uint16"):
        network_input(np.ones((1, 1, 4, 4), np.uint16), 4, Normalisation("scale", divisor=255, dtype="uint8"))


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "fixed"},
        {"kind": "fixed", "mean": (1.0,), "std": (0.0,)},
        {"kind": "fixed", "mean": (1.0, 2.0), "std": (1.0,)},
        {"kind": "fixed", "mean": (math.nan,), "std": (1.0,)},
        {"kind": "patch", "divisor": 255.0},
        {"kind": "image", "mean": (1.0,), "std": (1.0,)},
        {"kind": "image-range", "divisor": 255.0, "dtype": "uint8"},
        {"kind": "scale", "divisor": 255.0},
        {"kind": "scale", "divisor": -1.0, "dtype": "uint8"},
    ],
)
def test_parameters_that_do_not_fit_the_kind_are_refused(parameters: dict[str, Any]) -> None:
    """A normalisation is complete and can divide, or it does not exist."""
    with pytest.raises(ValueError, match=r"normalisation|divisor"):
        Normalisation(**parameters)


@pytest.mark.parametrize(
    ("height", "width", "grid", "covered"),
    [(1024, 1024, (16, 16), 1.0), (1000, 100, (15, 1), 15 * 64 * 64 / 1e5), (63, 1024, (0, 16), 0.0)],
)
def test_an_incomplete_last_row_or_column_is_left_out(
    height: int, width: int, grid: tuple[int, int], covered: float
) -> None:
    """Only whole patches count, and coverage says how much they are."""
    assert grid_shape(height, width, 64) == grid
    assert coverage(height, width, 64) == pytest.approx(covered)
