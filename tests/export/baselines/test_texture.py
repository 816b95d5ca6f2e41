"""Texture features: each against its definition, written out."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from colvi_edge.export.baselines.texture import (
    GLCM_ANGLES,
    GLCM_DISTANCE_PX,
    GLCM_PROPERTIES,
    Grey,
    co_occurrence,
    first_order_statistics,
    grey,
    local_binary_patterns,
    textures,
)
from colvi_edge.export.data.patch_set import PatchSet


def picture(seed: int, edge_px: int = 16) -> Grey:
    """Return a grey picture with some texture, from 0 to 255."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(edge_px) * rng.uniform(0.2, 2))
    return grey(rng.poisson(200 + 90 * waves, (edge_px, edge_px)))


def patch_set(images: int = 3) -> PatchSet:
    """Return 2 patches an image, of noise."""
    counts = np.random.default_rng(1).poisson(300, (2 * images, 2, 64, 64)).astype(np.uint16)
    image = np.repeat(np.arange(images), 2)
    return PatchSet(counts, image % 2, image)


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32])
def test_grey_is_the_range_of_the_patch(dtype: type) -> None:
    """The darkest pixel becomes 0, the brightest 255, what is between is rounded; equal pixels become 0."""
    counts: NDArray[Any] = np.array([[1000, 1100], [1001, 1510]], dtype)

    assert grey(counts).tolist() == [[0, 50], [0, 255]]
    assert grey(counts[:1, :1]).tolist() == [[0]]
    assert grey(counts).dtype == np.uint8


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), gain=st.integers(1, 30), offset=st.integers(-200, 5000))
def test_exposure_changes_nothing(seed: int, gain: int, offset: int) -> None:
    """A gain and an offset, in whole counts, leave the grey picture as it was, to the bit."""
    counts = np.random.default_rng(seed).poisson(300, (8, 8))

    assert np.array_equal(grey(counts), grey(gain * counts + offset))


def naive_patterns(image: Grey) -> Counter[tuple[int, ...]]:
    """Count which of the 8 points round each pixel are at least as bright; beyond the edge is 0."""
    beyond = np.pad(image.astype(float), 2)
    found: Counter[tuple[int, ...]] = Counter()
    for row, col in np.ndindex(image.shape):
        bits = []
        for k in range(8):
            y, x = row + 2 - math.sin(k * math.pi / 4), col + 2 + math.cos(k * math.pi / 4)
            y, x = round(y, 5), round(x, 5)
            top, left = math.floor(y), math.floor(x)
            down, right = y - top, x - left
            value = (1 - down) * (1 - right) * beyond[top, left] + (1 - down) * right * beyond[top, left + 1]
            value += down * (1 - right) * beyond[top + 1, left] + down * right * beyond[top + 1, left + 1]
            bits.append(int(value >= image[row, col]))
        found[tuple(bits)] += 1
    return found


@pytest.mark.parametrize("seed", range(4))
def test_local_binary_patterns_are_those_counted_by_hand(seed: int) -> None:
    """Of what changes twice at most round the circle, how many points are as bright, 0 to 8; the rest."""
    image = picture(seed)
    shares = local_binary_patterns(image) * image.size
    expected = np.zeros(10)
    for bits, count in naive_patterns(image).items():
        changes = sum(bits[k] != bits[k - 1] for k in range(8))
        expected[sum(bits) if changes <= 2 else 9] += count

    assert shares == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_first_order_statistics_are_those_of_scipy(seed: int) -> None:
    """Mean and deviation of 0..1, skewness and excess kurtosis; energy and entropy in bits of 32 levels."""
    image = picture(seed, 64)
    value = image.ravel() / 255
    share = np.histogram(image, np.arange(0, 257, 8))[0] / image.size

    expected = [value.mean(), value.std(), stats.skew(value), stats.kurtosis(value)]
    expected += [np.sum(share**2), stats.entropy(share, base=2)]
    assert first_order_statistics(image) == pytest.approx(expected, rel=1e-9)


def naive_matrix(levels: NDArray[np.int64], down: int, right: int) -> NDArray[np.float64]:
    """Count pairs of levels at (0, 0) and (down, right), both ways round, as shares."""
    matrix = np.zeros((32, 32))
    rows, cols = levels.shape
    for row, col in np.ndindex(rows, cols):
        if 0 <= row + down < rows and 0 <= col + right < cols:
            pair = levels[row, col], levels[row + down, col + right]
            matrix[pair] += 1
            matrix[pair[::-1]] += 1
    return matrix / matrix.sum()


def naive_properties(matrix: NDArray[np.float64]) -> dict[str, float]:
    """Haralick's formulas, entropy in nats."""
    first, second = np.indices(matrix.shape)
    away = first - second
    mean = (first * matrix).sum()
    variance = ((first - mean) ** 2 * matrix).sum()
    return {
        "contrast": (away**2 * matrix).sum(),
        "dissimilarity": (abs(away) * matrix).sum(),
        "homogeneity": (matrix / (1 + away**2)).sum(),
        "energy": math.sqrt((matrix**2).sum()),
        "correlation": ((first - mean) * (second - mean) * matrix).sum() / variance,
        "entropy": -sum(p * math.log(p) for p in matrix.ravel() if p),
    }


@pytest.mark.parametrize("seed", range(3))
def test_co_occurrence_is_that_counted_by_hand(seed: int) -> None:
    """Six properties of neighbours along a row, a column and both diagonals, each the mean of the four."""
    image = picture(seed)
    steps = [(round(math.sin(a)), round(math.cos(a))) for a in GLCM_ANGLES]
    each = [naive_properties(naive_matrix(image.astype(np.int64) // 8, *step)) for step in steps]
    expected = {name: np.mean([one[name] for one in each]) for name in GLCM_PROPERTIES}

    assert GLCM_DISTANCE_PX == 1
    assert len(set(steps)) == 4
    assert dict(zip(GLCM_PROPERTIES, co_occurrence(image), strict=True)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_direction_is_known(seed: int) -> None:
    """A patch turned by a quarter, or mirrored, has the same features."""
    image = picture(seed)
    for turned in (np.rot90(image), image[:, ::-1], image.T):
        assert local_binary_patterns(turned) == pytest.approx(local_binary_patterns(image), abs=1e-9)
        assert co_occurrence(turned) == pytest.approx(co_occurrence(image), rel=1e-9)


def test_an_empty_patch_has_finite_features() -> None:
    """Where all pixels are equal, nothing is divided by zero."""
    empty = replace(patch_set(1), counts=np.full((2, 2, 64, 64), 7, np.uint16))
    measured = textures(empty)

    assert np.isfinite(measured.lbp).all()
    assert np.isfinite(measured.fos_glcm).all()
    assert measured.fos_glcm[0, :6].tolist() == [0, 0, 0, 0, 1, 0]


def test_textures_are_of_collagen_and_in_the_order_of_the_patches() -> None:
    """Every patch has its own row, label and image; nuclei do not matter; some images can be taken out."""
    patches = patch_set()
    other = patches.counts.copy()
    other[:, 1] = 0
    measured, without_nuclei = textures(patches), textures(replace(patches, counts=other))
    last = measured.of([2])
    alone = textures(patches.of([2]))

    assert measured.lbp.shape == (6, 10)
    assert measured.fos_glcm.shape == (6, 12)
    assert measured.lbp.dtype == measured.fos_glcm.dtype == np.float32
    assert np.array_equal(measured.lbp, without_nuclei.lbp)
    assert np.array_equal(measured.fos_glcm, without_nuclei.fos_glcm)
    assert measured.image.tolist() == patches.image.tolist()
    assert (last.label.tolist(), last.image.tolist()) == ([0, 0], [2, 2])
    assert np.array_equal(last.lbp, alone.lbp)
    assert np.array_equal(last.fos_glcm, alone.fos_glcm)
