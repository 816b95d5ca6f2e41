"""Classes, smoothing, opening, removal and regions against scipy, scikit-image and counting by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.bundle.task import Segment
from colvi_edge.tasks.objects import runs
from colvi_edge.tasks.segment import Segmentation, keeping
from colvi_edge.tasks.segment.masks import opened, smoothed_at_least, without_small
from colvi_edge.tasks.task import task_of

THREE = ("background", "nucleus", "vesicle")


def segment(**changes: Any) -> Segment:
    """Return a task of two classes, with another rule or objects."""
    return Segment.model_validate(
        {
            "kind": "segment",
            "classes": ("background", "nucleus"),
            "decision": {"rule": "largest"},
            "objects": None,
            **changes,
        }
    )


def threshold(**changes: Any) -> dict[str, Any]:
    """Return a decision by a threshold of 0.4."""
    return {"rule": "threshold", "of": "nucleus", "at_least": 0.4, **changes}


def decided(task: Segment, *planes: NDArray[np.float32], pixel_size_um: float | None = None) -> Segmentation:
    """Return the result of fields (h, w, K), one a plane."""
    keep = keeping(task)
    result = task_of(task).decide(np.stack([keep(plane) for plane in planes]), pixel_size_um)
    assert isinstance(result, Segmentation)
    return result


def field(nucleus: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the two numbers of each pixel."""
    return np.stack([1 - nucleus, nucleus], axis=-1)


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)),
        elements=st.floats(0, 1, width=32),
    )
)
def test_the_largest_is_kept_with_its_probability(numbers: NDArray[np.float32]) -> None:
    """The first of equals, as NumPy's `argmax` says; the probability to 1/510."""
    kept = keeping(segment(classes=THREE))(numbers)

    assert kept.dtype == np.uint8
    assert np.array_equal(kept[..., 0], numbers.argmax(axis=-1))
    assert np.abs(kept[..., 1] / 255 - numbers.max(axis=-1)).max() <= 1 / 510 + 1e-6


def test_a_threshold_is_reached_when_equal() -> None:
    """0.4 is float32's 0.4, and the number next to it below is not enough."""
    below = np.nextafter(np.float32(0.4), np.float32(0))
    kept = keeping(segment(decision=threshold()))(field(np.array([[0.4, below, 0, 1]], np.float32)))

    assert kept[0, :, 0].tolist() == [1, 0, 0, 1]
    assert kept[0, :, 1].tolist() == [102, 102, 0, 255]


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(1, 7))
def test_each_cell_is_kept_by_itself(row: int, column: int) -> None:
    """So that windows and the whole image are the same."""
    numbers = np.random.default_rng(1).random((8, 8, 3), np.float32)
    keep = keeping(segment(classes=THREE))

    whole = keep(numbers)

    assert np.array_equal(whole[row:, column:], keep(numbers[row:, column:]))
    assert np.array_equal(whole[:row, :column], keep(numbers[:row, :column]))


@pytest.mark.parametrize("number", [np.nan, np.inf, -0.1, 1.1])
@pytest.mark.parametrize("channel", [0, 1])
def test_what_is_no_probability_is_refused(number: float, channel: int) -> None:
    """In whichever class it stands; sums of weights, a thousandth beside, are rounded."""
    numbers = np.full((3, 3, 2), 0.5, np.float32)
    numbers[1, 2, channel] = number
    with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
        keeping(segment())(numbers)
    with pytest.raises(ValueError, match="expected"):
        keeping(segment(classes=THREE))(numbers)

    numbers[1, 2] = (-1e-6, 1 + 1e-6)
    assert keeping(segment())(numbers)[1, 2].tolist() == [1, 255]


@pytest.mark.parametrize("sigma", [0.6, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("shape", [(5, 7), (64, 41)])
def test_smoothing_is_scipys(sigma: float, shape: tuple[int, int]) -> None:
    """Also where the Gaussian is wider than the image, and over blocks of rows."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="the reference is scipy's")
    probability = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    reference = ndimage.gaussian_filter(probability.astype(np.float64), sigma, mode="reflect")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "BLOCK_PIXELS", 300)
        labels, shown = smoothed_at_least(probability, sigma, 0.5, 1)

    assert np.abs(shown - reference).max() <= 0.5 + 1e-3
    clear = np.abs(reference - 127.5) > 1e-3
    assert np.array_equal(labels[clear], reference[clear] >= 127.5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), radius=st.integers(1, 5), block=st.integers(1, 400))
def test_opening_is_scikit_images(seed: int, radius: int, block: int) -> None:
    """Of each class by itself, with all pixels within the radius and a half; over blocks of rows."""
    morphology = pytest.importorskip("skimage.morphology", reason="the reference is scikit-image's")
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 3, (12, 9)).astype(np.uint8)
    labels = coarse.repeat(4, axis=0).repeat(5, axis=1)[:41, :43]
    labels[random.random(labels.shape) < 0.02] = 0
    down, across = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(down, across) <= radius + 0.5

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "BLOCK_PIXELS", block)
        found = opened(labels, radius)

    expected = np.zeros_like(labels)
    for number in (1, 2):
        eroded = morphology.erosion(labels == number, disc, mode="ignore")
        expected[morphology.dilation(eroded, disc, mode="ignore")] = number
    assert np.array_equal(found, expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), smallest=st.integers(0, 30))
def test_small_pieces_go(seed: int, smallest: int) -> None:
    """Those of fewer pixels than the smallest, of each class by itself; what stays is counted."""
    measure = pytest.importorskip("skimage.measure", reason="the reference is scikit-image's")
    labels = np.random.default_rng(seed).choice(3, (20, 30), p=(0.5, 0.3, 0.2)).astype(np.uint8)
    expected, pieces = np.zeros_like(labels), [0, 0, 0]
    for number in (1, 2):
        for piece in measure.regionprops(measure.label(labels == number, connectivity=2)):
            if piece.area >= smallest:
                expected[tuple(piece.coords.T)] = number
                pieces[number] += 1

    pixels, parts = without_small(labels, smallest)

    assert np.array_equal(labels, expected)
    assert parts.tolist()[:3] == pieces
    assert pixels.tolist()[1:3] == np.bincount(expected.ravel(), minlength=3).tolist()[1:]


def test_regions_of_each_class() -> None:
    """Pixels, share of all planes, area and pieces; of the background none."""
    numbers = np.zeros((2, 4, 5, 3), np.float32)
    numbers[..., 0] = 0.2
    numbers[0, 0, :3, 1] = numbers[1, 0, 0, 1] = numbers[1, 3, 4, 1] = 0.9
    numbers[1, 2, 2, 2] = 0.6

    found = decided(segment(classes=THREE), *numbers, pixel_size_um=0.5)

    assert [(r.name, r.pixels, r.parts) for r in found.regions] == [("nucleus", 5, 3), ("vesicle", 1, 1)]
    assert found.regions[0].share == pytest.approx(5 / 40)
    assert found.regions[0].area_um2 == pytest.approx(1.25)
    assert found.labels.shape == found.probability.shape == (2, 4, 5)
    assert found.probability[1, 2, 2] == 153
    assert found.objects is None
    assert decided(segment(classes=THREE), *numbers).regions[0].area_um2 is None


def test_smoothing_then_opening_then_the_smallest() -> None:
    """A speck is smoothed away, a thread opened away, a small square goes, a large one stays."""
    nucleus = np.zeros((80, 80), np.float32)
    nucleus[5, 5] = nucleus[20, 10:70] = 1
    nucleus[40:60, 20:40] = 1
    nucleus[40:46, 60:66] = 1
    steps = (threshold(at_least=0.3), threshold(at_least=0.3, smooth_px=1.0))
    tidied = (*steps, {**steps[1], "open_px": 2}, {**steps[1], "open_px": 2, "smallest_px": 100})

    found = [decided(segment(decision=decision), field(nucleus)).regions[0].parts for decision in tidied]

    assert found == [4, 3, 2, 1]


@pytest.mark.parametrize("split", ["none", "radon", "watershed"])
def test_objects_are_found_in_what_was_tidied(split: str) -> None:
    """Where the task asks for them: as many pixels as the region, probability as smoothed."""
    nucleus = np.zeros((60, 60), np.float32)
    nucleus[10:30, 10:30] = 0.8
    nucleus[50, 50] = 1
    decision = threshold(smallest_px=5)

    found = decided(segment(decision=decision, objects={"split": split}), field(nucleus), pixel_size_um=2.0)

    assert found.objects is not None
    (row,) = found.objects.rows
    assert (row.area_px, row.area_um2) == (found.regions[0].pixels, 1600.0) == (400, 1600.0)
    assert row.mean_probability == pytest.approx(204 / 255)
    assert (row.y, row.x) == (19.5, 19.5)
