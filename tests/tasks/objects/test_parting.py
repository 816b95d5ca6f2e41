"""What is parted and what is not, by necks and by saddles; the figures are of drawn discs and ellipses."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.tasks.objects import find_objects
from colvi_edge.tasks.objects import parting as parting_module
from colvi_edge.tasks.objects.parting import Split
from colvi_edge.tasks.objects.radon import MOST_POINTS, deepest_neck, parted_by_necks
from colvi_edge.tasks.objects.watershed import FARTHEST_PX, distances, parted_by_saddles
from tests.tools.drawn import disc, ellipse, pair

Parting = Callable[[NDArray[np.bool_], float], NDArray[np.int32]]

DEPTH = 0.15
BOTH = pytest.mark.parametrize("parting", [parted_by_necks, parted_by_saddles])
SPLITS: tuple[Split, ...] = ("radon", "watershed")
EITHER = pytest.mark.parametrize("split", SPLITS)


def counts(
    parting: Parting, drawn: Callable[[np.random.Generator], NDArray[np.bool_]], times: int
) -> list[int]:
    """Return into how many parts each of so many drawings falls."""
    return [int(parting(drawn(np.random.default_rng(n)), DEPTH).max()) for n in range(times)]


@BOTH
@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [(30, 30, 0.65), (30, 30, 0.9), (15, 15, 0.7), (30, 20, 0.8), (40, 15, 0.9)],
)
def test_two_discs_are_two(parting: Parting, first: float, second: float, apart: float) -> None:
    """Equal ones from 0.65 of their distance on when they touch, unequal ones later: 39 of 40 at least."""
    found = counts(parting, lambda random: pair(random, first, second, apart), 40)

    assert found.count(2) >= 39


@BOTH
def test_equal_discs_are_parted_from_six_tenths_on(parting: Parting) -> None:
    """At 0.6, where they share a seventh of their area, 38 of 40 at least; at 0.4 none."""
    assert counts(parting, lambda random: pair(random, 30, 30, 0.6), 40).count(2) >= 38
    assert counts(parting, lambda random: pair(random, 30, 30, 0.4), 40) == [1] * 40


@BOTH
def test_what_is_one_stays_one(parting: Parting) -> None:
    """Discs, and ellipses up to three times as long as wide, at any angle and place within a pixel."""

    def drawn(random: np.random.Generator) -> NDArray[np.bool_]:
        y, x = random.uniform(80, 81, 2)
        half_minor = random.uniform(5, 25)
        return ellipse(160, y, x, half_minor * random.uniform(1, 3), half_minor, random.uniform(0, np.pi))

    assert counts(parting, drawn, 150) == [1] * 150


def test_what_is_one_has_no_neck() -> None:
    """Of discs and ellipses 0.03 at most, where 0.15 is cut: pixels are not counted by the whole line."""
    for n in range(60):
        random = np.random.default_rng(n)
        half_minor = random.uniform(6, 25)
        drawn = ellipse(160, 80.5, 80.2, half_minor * (1 + 2 * (n % 2)), half_minor, random.uniform(0, np.pi))
        y, x = np.nonzero(drawn)
        assert deepest_neck(y - y.min(), x - x.min())[0] <= 0.03


@pytest.mark.parametrize("apart", [0.7, 0.9])
def test_a_neck_is_as_deep_as_it_is_narrow(apart: float) -> None:
    """The chord that two discs share, over their diameter, less what five lines blur."""
    rows = disc(200, 100, 100 - 30 * apart, 30) | disc(200, 100, 100 + 30 * apart, 30)
    y, x = np.nonzero(rows)

    depth, angle, position = deepest_neck(y - y.min(), x - x.min())

    chord = 1 - np.sqrt(1 - apart**2)
    assert 0.8 * chord <= depth <= chord
    assert angle == pytest.approx(0)
    assert position + x.min() == pytest.approx(100, abs=1)


def test_a_large_clump_is_asked_by_some_of_its_pixels() -> None:
    """Of two discs of 600 px, at the same place as of all."""
    drawn = ellipse(900, 300, 450, 280, 230) | ellipse(900, 640, 450, 280, 230)
    assert np.count_nonzero(drawn) > 4 * MOST_POINTS

    parts = parted_by_necks(drawn, DEPTH)

    assert parts.max() == 2
    assert set(np.unique(parts[:460])) == {0, 1} or set(np.unique(parts[:460])) == {0, 2}


def test_a_clump_that_stays_says_so() -> None:
    """Four in two rows that stand aside by half: cut once, and each half looks like two by its distances."""
    classes = np.zeros((1, 200, 200), np.uint8)
    for y, x in ((84, 73), (84, 109), (115, 91), (115, 127)):
        classes[0] |= disc(200, y, x, 20.5)

    found = find_objects(classes, classes, "radon", DEPTH)

    assert sum(row.parts_at_least for row in found.rows) == 4
    assert len(found.rows) < 4


def test_tissue_is_not_asked() -> None:
    """A component whose box has more than a million pixels is left as it is, whatever its shape."""
    classes = np.zeros((1, 1100, 1000), np.uint8)
    classes[0, 5:1095, 400:420] = classes[0, 5:300, 10:990] = classes[0, 800:1095, 10:990] = 1
    for split in SPLITS:
        (row,) = find_objects(classes, classes, split, DEPTH).rows
        assert row.parts_at_least == 1
        assert len(find_objects(classes[:, ::4, ::4], classes[:, ::4, ::4], split, DEPTH).rows) > 1


@BOTH
def test_an_outline_may_waver(parting: Parting) -> None:
    """By 5 % of its radius three times around, and by 3 % seven times."""

    def drawn(random: np.random.Generator) -> NDArray[np.bool_]:
        rows, columns = np.mgrid[-50:51, -50:51] + random.uniform(0, 1, (2, 1, 1))
        around = np.arctan2(rows, columns)
        radius = 30 * (1 + 0.05 * np.sin(3 * around + random.uniform(0, 6)) + 0.03 * np.sin(7 * around))
        return np.hypot(rows, columns) <= radius

    assert counts(parting, drawn, 40) == [1] * 40


@BOTH
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_pixel_is_lost(parting: Parting, seed: int) -> None:
    """Whatever hangs together: the parts are the mask, each in one piece, none a crumb."""
    random = np.random.default_rng(seed)
    mask = np.zeros((90, 90), np.bool_)
    y, x = 45.0, 45.0
    for _ in range(random.integers(1, 12)):
        mask |= disc(90, y, x, random.uniform(3, 14))
        y, x = np.clip(np.array((y, x)) + random.uniform(-9, 9, 2), 0, 89)
    whole = find_objects(mask[np.newaxis].astype(np.uint8), mask[np.newaxis].astype(np.uint8))
    mask = whole.labels[0] == 1

    parts = parting(mask, DEPTH)

    assert np.array_equal(parts > 0, mask)
    for number in range(1, int(parts.max()) + 1):
        part = (parts == number)[np.newaxis].astype(np.uint8)
        assert len(find_objects(part, part).rows) == 1
        assert part.sum() >= min(30, mask.sum())


@BOTH
def test_what_is_tiny_is_no_part(parting: Parting) -> None:
    """A bud of 29 pixels stays on its disc, and the end of a hair that a cut meets stays on the hair."""
    bud = disc(100, 50, 40, 20) | disc(100, 50, 63, 3)
    hairy = disc(200, 100, 60, 30) | disc(200, 100, 112, 30)
    hairy[72, 62:95] = True

    assert parting(bud, DEPTH).max() == 1
    assert parting(hairy, DEPTH).max() == 2


@EITHER
def test_specks_are_not_asked(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fewer pixels than two parts have; a map may hold thousands, and each would be asked by itself."""
    asked: list[int] = []
    for way in (parted_by_necks, parted_by_saddles):

        def counting(mask: NDArray[np.bool_], depth: float, way: Parting = way) -> NDArray[np.int32]:
            asked.append(int(mask.sum()))
            return way(mask, depth)

        monkeypatch.setattr(parting_module, way.__name__, counting)
    classes = np.zeros((1, 60, 60), np.uint8)
    for top, rest in ((0, 29), (20, 30)):  # an L of 59 pixels, and one of 60
        classes[0, top, 0:30] = 1
        classes[0, top + 1 : top + 1 + 12, 0] = 1
        classes[0, top + 13, 0 : rest - 12] = 1
    areas = [row.area_px for row in find_objects(classes, classes).rows]

    found = find_objects(classes, classes, split, DEPTH)

    assert areas == [59, 60]
    assert set(asked) == {60}
    assert len(found.rows) == 2


@BOTH
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_speck_is_never_parted(parting: Parting, seed: int) -> None:
    """Whatever hangs together and has fewer than 60 pixels stays in one piece, at any depth."""
    random = np.random.default_rng(seed)
    mask = np.zeros((40, 40), np.bool_)
    y = x = 20
    while np.count_nonzero(mask) < 59:
        mask[y, x] = True
        y, x = np.clip(np.array((y, x)) + random.integers(-1, 2, 2), 0, 39)

    assert parting(mask, random.choice([0, 0.01, DEPTH])).max() == 1


@BOTH
@pytest.mark.parametrize("quarters", [0, 1])
def test_a_line_is_one_however_it_lies(parting: Parting, quarters: int) -> None:
    """A pixel wide, from corner to corner, where pixels touch by their corners only."""
    assert parting(np.rot90(np.eye(80, dtype=np.bool_), quarters), DEPTH).max() == 1


@BOTH
def test_a_row_of_discs_is_as_many(parting: Parting) -> None:
    """Five that touch, in a line, an arc, and a zigzag."""
    for bend in ("line", "arc", "zigzag"):
        mask = np.zeros((240, 240), np.bool_)
        for n in range(5):
            y = {"line": 100.0, "arc": 100 + 6.0 * (n - 2) ** 2, "zigzag": 100 + 12.0 * (-1) ** n}[bend]
            mask |= disc(240, y, 40 + 36 * n, 21)
        assert parting(mask, DEPTH).max() == 5, bend


@pytest.mark.parametrize("shape", [(1, 1), (9, 70), (120, 80)])
def test_distances_are_those_of_scipy(shape: tuple[int, int]) -> None:
    """To the last digit; what lies beyond the map is background."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="the reference is scipy's")
    for density in (0.3, 0.9, 0.99, 1.0):
        mask = np.random.default_rng(5).random(shape) < density
        expected = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        assert np.array_equal(distances(mask), np.rint(expected**2))


def test_far_inside_all_is_flat() -> None:
    """No farther than 255 px: what is wider is not asked there."""
    assert distances(np.ones((600, 600), np.bool_)).max() == FARTHEST_PX**2


def test_saddles_part_where_the_watershed_of_scikit_image_does() -> None:
    """From the same summits on: 98 % of the pixels of 30 pairs of discs."""
    segmentation = pytest.importorskip("skimage.segmentation", reason="the reference is scikit-image's")
    same = total = 0
    for n in range(30):
        random = np.random.default_rng(n)
        mask = pair(random, 30, random.uniform(15, 30), 0.9)
        parts = parted_by_saddles(mask, DEPTH)
        height = np.sqrt(distances(mask))
        markers = np.zeros_like(parts)
        for number in range(1, int(parts.max()) + 1):
            summit = np.argmax(np.where(parts == number, height, -1))
            markers.flat[summit] = number
        reference = segmentation.watershed(-height, markers, mask=mask)
        same += np.count_nonzero((parts == reference) & mask)
        total += np.count_nonzero(mask)

    assert same / total >= 0.98


@EITHER
def test_parts_are_objects_in_order(split: Split) -> None:
    """Numbered by first pixel as all others, each with its own measures; what is none stays as it is."""
    classes = np.zeros((1, 200, 300), np.uint8)
    classes[0, :, :200] = pair(np.random.default_rng(1), 30, 30, 0.8)
    classes[0, 5:9, 250:260] = 1
    probability = np.full_like(classes, 255)

    whole, found = find_objects(classes, probability), find_objects(classes, probability, split, DEPTH)

    assert (len(whole.rows), len(found.rows)) == (2, 3)
    assert np.array_equal(found.labels > 0, classes > 0)
    firsts = [int(np.flatnonzero(found.labels == row.label)[0]) for row in found.rows]
    assert firsts == sorted(firsts)
    for row in found.rows:
        mine = found.labels[0] == row.label
        assert row.area_px == mine.sum()
        assert (row.y, row.x) == pytest.approx(np.argwhere(mine).mean(axis=0))
    assert sum(row.area_px for row in found.rows) == classes.sum()
    assert sorted(row.diameter_px for row in found.rows)[1:] == pytest.approx([60, 60], abs=2.5)
    assert {row.parts_at_least for row in found.rows} == {1}


@EITHER
def test_what_lies_elsewhere_is_parted_the_same(split: Split) -> None:
    """A clump moved by some pixels falls into the same parts."""
    clump = pair(np.random.default_rng(8), 25, 20, 0.85)
    moved = np.zeros((1, 260, 270), np.uint8)
    moved[0, 37:237, 53:253] = clump
    still = clump[np.newaxis].astype(np.uint8)

    here = find_objects(still, still, split, DEPTH).labels[0]
    there = find_objects(moved, moved, split, DEPTH).labels[0, 37:237, 53:253]

    assert here.max() == 2
    assert np.array_equal(here, there)


@EITHER
def test_classes_are_not_mixed(split: Split) -> None:
    """Two halves of one clump that are of two classes are two objects, each of its own."""
    clump = pair(np.random.default_rng(2), 30, 30, 0.8)
    classes = clump.astype(np.uint8)[np.newaxis]
    classes[0, :, 100:][clump[:, 100:]] = 2

    for row in find_objects(classes, classes, split, DEPTH).rows:
        inside = classes[find_objects(classes, classes, split, DEPTH).labels == row.label]
        assert set(inside.tolist()) == {row.class_index}
