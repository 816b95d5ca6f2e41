"""Figures of outlines, held against scikit-learn, SciPy and formulas written out."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.draw import disk
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from colvi_edge.export.evaluation.mask_figures import masks_record, outlined
from colvi_edge.export.evaluation.matching import Matching, match
from colvi_edge.export.evaluation.overlap import overlaps
from colvi_edge.export.evaluation.record import Dataset, Model

Labels = NDArray[np.int32]

MODEL = Model(name="m", sha256="0" * 64, runtime="r", precision="fp32")
DATASET = Dataset(name="d", is_simulated=True)


def blobs(seed: int, size_px: int = 48) -> Labels:
    """Return pieces of smooth noise, each with a number; no two runs of a number are the same."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size_px, size_px)), 2.5)
    labels: Labels = ndimage.label(noise > 0.06)[0]
    return labels


def shaken(labels: Labels, seed: int) -> Labels:
    """Return objects of another judge: moved, one lost, one cut, one new, numbered otherwise."""
    rng = np.random.default_rng(seed)
    moved: Labels = np.roll(labels, rng.integers(-2, 3, 2), (0, 1)) * 3
    moved[moved == 3 * rng.integers(1, max(2, labels.max()))] = 0
    moved[:, int(rng.integers(10, 38))] = 0
    moved[:3, :3] = 1
    pieces: Labels = ndimage.label(moved > 0)[0]
    return 7 * pieces


def aji(truth: Labels, found: Labels) -> float:
    """Return the index as Kumar et al. write it, object by object."""
    there, seen = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    common = union = 0
    used = set()
    for one in there:
        g = truth == one
        best = max(seen, key=lambda other: _iou(g, found == other), default=None)
        if best is None or not (g & (found == best)).any():
            union += g.sum()
            continue
        common += (g & (found == best)).sum()
        union += (g | (found == best)).sum()
        used.add(best)
    return float(common / (union + sum((found == other).sum() for other in seen if other not in used)))


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_objects_match_as_scipy_assigns_them(seed: int) -> None:
    """Pairs are those of the best assignment with an IoU of a half, and the AJI is Kumar's."""
    truth = blobs(seed)
    found = shaken(truth, seed)
    there, seen = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    iou = np.array([[_iou(truth == one, found == other) for other in seen] for one in there])
    rows, cols = linear_sum_assignment(-np.where(iou >= 0.5, iou, 0))
    pairs = [(r, c) for r, c in zip(rows, cols, strict=True) if iou[r, c] >= 0.5]

    matching = match(truth, found)

    assert (matching.there, matching.found) == (len(there), len(seen))
    assert matching.matched == len(pairs)
    assert matching.f1 == pytest.approx(2 * len(pairs) / (len(there) + len(seen)))
    assert matching.aji == pytest.approx(aji(truth, found))


def test_the_cut_object_has_one_partner() -> None:
    """Two equal halves fit the whole alike, and one of them is its partner."""
    truth, found = np.zeros((2, 10, 10), np.int32)
    truth[2:6, 2:6] = 1
    found[2:4, 2:6], found[4:6, 2:6] = 1, 2

    assert (match(truth, found).matched, match(truth, found).found) == (1, 2)
    assert match(truth, found).aji == pytest.approx(8 / (16 + 8))


def test_diameters_are_of_pairs_off_the_border() -> None:
    """A disc a tenth smaller errs by a tenth; the one at the border is not asked."""
    truth, found = np.zeros((2, 200, 200), np.int32)
    for labels, radius in ((truth, 40), (found, 36)):
        labels[disk((100, 100), radius)] = 1
        labels[disk((0, 0), radius / 2, shape=labels.shape)] = 2

    matching = match(truth, found)

    assert len(matching.diameters_px) == 1
    assert matching.diameter_error == pytest.approx(0.1, abs=0.005)
    assert matching.count_error == 0


def test_memory_grows_with_the_objects_and_not_with_their_square() -> None:
    """4,096 objects against as many: a table of all pairs would have 134 MB."""
    truth = np.arange(4096, dtype=np.int32).reshape(64, 64).repeat(4, 0).repeat(4, 1) + 1
    found = np.roll(truth, 1, 1)

    tracemalloc.start()
    matching = match(truth, found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (matching.there, matching.found, matching.matched) == (4096, 4096, 4096)
    assert peak < 16e6


def test_nothing_of_nothing_is_undefined() -> None:
    """An empty image has no figures; one with a false object has the worst."""
    empty = np.zeros((8, 8), np.int32)
    one = empty.copy()
    one[2:4, 2:4] = 1

    assert match(empty, empty) == Matching(0, 0, 0, 0, 0, ())
    assert (match(empty, empty).f1, match(empty, empty).aji, match(empty, empty).count_error) == (None,) * 3
    assert (match(empty, one).f1, match(empty, one).aji) == (0, 0)
    assert (match(one, empty).f1, match(one, empty).aji, match(one, empty).count_error) == (0, 0, -1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_overlaps_are_scikit_learns(seed: int, classes: int) -> None:
    """Dice is the F1 of the pixels, and what nobody annotated is left out."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (40, 40)).astype(np.uint8)
    found = np.where(rng.uniform(size=truth.shape) < 0.7, truth, rng.integers(0, classes, truth.shape))
    truth[rng.uniform(size=truth.shape) < 0.2] = 255
    said = truth != 255
    y, z = truth[said], found[said]

    for k, overlap in enumerate(overlaps(truth, found.astype(np.uint8), classes)):
        for figure, oracle in (
            (overlap.dice, f1_score),
            (overlap.iou, jaccard_score),
            (overlap.precision, precision_score),
            (overlap.recall, recall_score),
        ):
            assert figure == pytest.approx(oracle(y == k, z == k))


def test_pooled_and_mean_are_two_figures() -> None:
    """Of a large image that is right and a small one, half wrong; one without the class is not counted."""
    classes = ("background", "nucleus")
    right = np.ones((40, 40), np.uint8)
    small, half = np.ones((2, 4, 4), np.uint8)
    half[:2] = 0
    nothing = np.zeros((5, 5), np.uint8)
    images = [
        outlined("large", right, right, classes),
        outlined("small", small, half, classes),
        outlined("none", nothing, nothing, classes),
    ]

    (region,) = masks_record(images, classes, model=MODEL, dataset=DATASET, notes=()).regions

    assert region.mean.dice == pytest.approx((1 + 2 / 3) / 2)
    assert region.pooled.dice == pytest.approx(2 * 1608 / (2 * 1608 + 8))
    assert region.images == 2


def test_objects_are_counted_where_somebody_numbered_them() -> None:
    """Without numbers there is no figure of objects; the count's error has a sign, its mean has none."""
    labels = [blobs(k) for k in range(4)]
    classes = ("background", "blob")
    found = [np.where(one == 1, 0, one) if k % 2 else one for k, one in enumerate(labels)]
    images = [
        outlined(str(k), (a > 0).astype(np.uint8), (b > 0).astype(np.uint8), classes, a, b)
        for k, (a, b) in enumerate(zip(labels, found, strict=True))
    ]
    without = outlined("x", (labels[0] > 0).astype(np.uint8), np.zeros((48, 48), np.uint8), classes)

    objects = masks_record([*images, without], classes, model=MODEL, dataset=DATASET, notes=()).objects

    assert objects is not None
    there = [int(one.max()) for one in labels]
    assert objects.pooled.count_error == pytest.approx(-2 / sum(there))
    assert objects.mean_count_error == pytest.approx((1 / there[1] + 1 / there[3]) / 4)
    assert masks_record([without], classes, model=MODEL, dataset=DATASET, notes=()).objects is None
