"""Labels and measures against scikit-image's, of maps of every kind, and against formulas."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.tasks.objects import Objects, find_objects, runs
from colvi_edge.tasks.objects.runs import components, paint, runs_of
from tests.tools.drawn import disc, ellipse

MAPS = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)


def found_in(classes: NDArray[np.uint8], probability: NDArray[np.uint8] | None = None) -> Objects:
    """Return the objects of one plane, not parted."""
    shown = np.full_like(classes, 255) if probability is None else probability
    return find_objects(classes[np.newaxis], shown[np.newaxis])


def by_hand(classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Flood each class from its first pixel on, across corners too."""
    labels = np.zeros(classes.shape, np.int32)
    height, width = classes.shape
    for y, x in np.argwhere(classes > 0):
        if labels[y, x]:
            continue
        number, waiting = int(labels.max()) + 1, [(int(y), int(x))]
        while waiting:
            here = waiting.pop()
            if labels[here]:
                continue
            labels[here] = number
            for row in range(max(0, here[0] - 1), min(height, here[0] + 2)):
                for column in range(max(0, here[1] - 1), min(width, here[1] + 2)):
                    if classes[row, column] == classes[here]:
                        waiting.append((row, column))
    return labels


@settings(deadline=None)
@given(MAPS)
def test_labels_are_those_of_a_flood(classes: NDArray[np.uint8]) -> None:
    """Each class by itself, across corners, numbered in row-major order of the first pixel."""
    assert np.array_equal(found_in(classes).labels[0], by_hand(classes))


@settings(deadline=None)
@given(MAPS, st.integers(1, 40))
def test_blocks_of_rows_change_nothing(classes: NDArray[np.uint8], pixels: int) -> None:
    """Runs are found in blocks, so that little is made on the way."""
    whole = runs_of(classes)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "BLOCK_PIXELS", pixels)
        in_blocks = runs_of(classes)
    for name in ("rows", "starts", "stops", "values"):
        assert np.array_equal(getattr(whole, name), getattr(in_blocks, name))


@settings(deadline=None)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@given(classes=MAPS)
def test_what_is_painted_are_the_runs(dtype: Any, classes: NDArray[np.uint8]) -> None:
    """Steps are added up modulo 256: also 255 beside 1."""
    values: NDArray[Any] = np.array([0, 255, 1])[classes].astype(dtype)
    painted: NDArray[Any] = np.full(classes.shape, 7, dtype)

    paint(runs_of(values), runs_of(values).values, painted)

    assert np.array_equal(painted, values)


@pytest.mark.parametrize("side", [1, 2, 65])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_spiral_is_one_thing(side: int, turn: int) -> None:
    """What hangs together only after many rounds."""
    spiral = np.zeros((side, side), np.uint8)
    y, x, down, across = 0, 0, 0, 1
    spiral[0, 0] = 1
    for length in [side - 1, *(n for n in range(side - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            y, x = y + down, x + across
            spiral[y, x] = 1
        down, across = across, -down
    spiral = np.ascontiguousarray(np.rot90(spiral, turn))

    assert set(components(runs_of(spiral)).tolist()) == {0}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0.05, 0.6))
def test_measures_are_those_of_scikit_image(seed: int, density: float) -> None:
    """Of noise of any density: area, centroid, axes, Crofton's perimeter, mean probability, border."""
    measure = pytest.importorskip("skimage.measure", reason="the reference is scikit-image's")
    random = np.random.default_rng(seed)
    classes = (random.random((40, 60)) < density).astype(np.uint8)
    probability = random.integers(0, 256, classes.shape).astype(np.uint8)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "BLOCK_PIXELS", 300)
        found = found_in(classes, probability)
    reference = measure.regionprops(measure.label(classes, connectivity=2), probability)

    assert len(found.rows) == len(reference)
    for row, known in zip(found.rows, reference, strict=True):
        top, left, bottom, right = known.bbox
        assert (row.area_px, row.label) == (known.area, known.label)
        assert (row.y, row.x) == pytest.approx(known.centroid)
        assert row.mean_probability == pytest.approx(known.intensity_mean / 255)
        assert row.touches_border == (top == 0 or left == 0 or bottom == 40 or right == 60)
        perimeter = known.perimeter_crofton
        assert row.circularity == pytest.approx(min(1, 4 * np.pi * known.area / perimeter**2))
        spread = np.cov(known.coords.T, bias=True).reshape(2, 2) + np.eye(2) / 12
        major = 4 * np.sqrt(np.linalg.eigvalsh(spread)[-1])
        assert row.roundness == pytest.approx(4 * known.area / (np.pi * major**2))


@pytest.mark.parametrize("radius", [10.3, 15.2, 40.7])
def test_a_disc_is_as_round_as_it_is(radius: float) -> None:
    """Diameter to half a pixel, roundness and circularity within 2 %, its middle to a sixth of a pixel."""
    (row,) = found_in(disc(100, 50.3, 48.6, radius).astype(np.uint8)).rows

    assert row.diameter_px == pytest.approx(2 * radius, abs=0.5)
    assert row.roundness == pytest.approx(1, abs=0.02)
    assert row.circularity == pytest.approx(1, abs=0.02)
    assert (row.y, row.x) == pytest.approx((50.3, 48.6), abs=0.15)
    assert not row.touches_border


@pytest.mark.parametrize("turned", [0, 0.4, np.pi / 4, 2.0])
def test_an_ellipse_is_as_round_as_it_is_long(turned: float) -> None:
    """Roundness is the ratio of the axes; circularity that of Ramanujan's perimeter, within 3 %."""
    (row,) = found_in(ellipse(100, 50, 50, 36, 12, turned).astype(np.uint8)).rows
    h = (24 / 48) ** 2
    perimeter = np.pi * 48 * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))

    assert row.roundness == pytest.approx(1 / 3, rel=0.03)
    assert row.circularity == pytest.approx(4 * np.pi * np.pi * 36 * 12 / perimeter**2, rel=0.03)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (7, 3), (900, 1500)])
def test_what_lies_elsewhere_measures_the_same(y: int, x: int) -> None:
    """All but the place, to the last digits; far from the origin too."""
    drawn = ellipse(60, 30.2, 29.7, 22, 9, 0.7)
    moved = np.zeros((1000, 1600), np.uint8)
    moved[y : y + 60, x : x + 60] = drawn

    (here,), (there,) = found_in(drawn.astype(np.uint8)).rows, found_in(moved).rows

    assert (there.y - y, there.x - x) == pytest.approx((here.y, here.x), abs=1e-9)
    assert there.area_px == here.area_px
    assert there.roundness == pytest.approx(here.roundness, rel=1e-12)
    assert there.circularity == pytest.approx(here.circularity, rel=1e-12)


@settings(deadline=None)
@given(MAPS)
def test_what_is_turned_or_renamed_measures_the_same(classes: NDArray[np.uint8]) -> None:
    """A quarter turn, a mirror and the classes' numbers change the order of the objects, and nothing else."""

    def measures(of: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows = [(r.area_px, r.touches_border, r.roundness, r.circularity) for r in found_in(of).rows]
        return np.array(sorted(np.round(rows, 9).tolist()))

    expected = measures(classes)
    for other in (np.rot90(classes), classes[:, ::-1], np.array([0, 2, 1], np.uint8)[classes]):
        assert np.array_equal(measures(np.ascontiguousarray(other)), expected)


def test_planes_are_taken_one_by_one() -> None:
    """Numbers go on over the planes; what lies at one place in two planes is two objects."""
    classes = np.zeros((3, 8, 9), np.uint8)
    classes[0, 1:3, 1:3] = classes[2, 1:3, 1:3] = 1
    classes[2, 5, 5] = 2

    found = find_objects(classes, np.full_like(classes, 51), pixel_size_um=0.5)

    assert [(row.plane, row.class_index, row.label) for row in found.rows] == [
        (0, 1, 1),
        (2, 1, 2),
        (2, 2, 3),
    ]
    assert found.labels[2, 1, 1] == 2
    assert found.labels[2, 5, 5] == 3
    assert found.labels[1].max() == 0
    first = found.rows[0]
    assert first.area_um2 == 1.0
    assert first.diameter_um == pytest.approx(first.diameter_px / 2)
    assert first.mean_probability == pytest.approx(0.2)


def test_a_summary_leaves_out_what_the_border_cuts() -> None:
    """Of three discs one is cut: it counts as an object, but its diameter counts nowhere."""
    classes = np.zeros((100, 100), np.uint8)
    for y, x, radius in ((0, 50, 20), (50, 25, 10), (50, 75, 14)):
        classes |= disc(100, y, x, radius).astype(np.uint8)
    found = found_in(classes)
    summary = found.summary()

    assert (summary.count, summary.counted) == (3, 2)
    assert summary.diameter_um is None
    assert summary.diameter_px is not None
    inner = [row.diameter_px for row in found.rows if not row.touches_border]
    assert summary.diameter_px.median == summary.diameter_px.mean == pytest.approx(sum(inner) / 2)
    assert found.summary(2) == type(summary)(0, 0, None, None, None)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 7), (30, 40)])
def test_nothing_is_found_in_nothing(shape: tuple[int, int]) -> None:
    """And all in one that is full, which touches the border."""
    empty = found_in(np.zeros(shape, np.uint8))
    (full,) = found_in(np.ones(shape, np.uint8)).rows

    assert (empty.rows, empty.labels.max()) == ((), 0)
    assert full.touches_border
    assert full.area_px == shape[0] * shape[1]
