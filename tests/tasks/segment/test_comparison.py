"""Dice, boundaries and matched objects against scikit-image, scipy and counting; faults one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.bundle.compared import ObjectsCompared, RegionsCompared, SegmentComparison
from colvi_edge.tasks.objects import Objects, find_objects
from colvi_edge.tasks.segment import Segmentation, SegmentTolerance, compare
from colvi_edge.tasks.segment.comparison import FARTHEST_PX, boundary_distances, dice, matches
from tests.tools.drawn import disc

CLASSES = ("background", "nucleus", "vesicle")


def segmented(*planes: NDArray[np.uint8], objects: bool = True) -> Segmentation:
    """Return a result of label maps, one a plane."""
    labels = np.stack(planes)
    found = find_objects(labels, labels) if objects else None
    return Segmentation(CLASSES, labels, np.zeros_like(labels), (), found)


def discs(*drawn: tuple[float, float, float], number: int = 1) -> NDArray[np.uint8]:
    """Return a label map of discs: y, x, radius."""
    labels = np.zeros((120, 120), np.uint8)
    for y, x, radius in drawn:
        labels[disc(120, y, x, radius)] = number
    return labels


def blobs(random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a label map of some discs of two classes, anywhere."""
    labels = np.zeros((120, 120), np.uint8)
    for _ in range(random.integers(0, 12)):
        y, x = random.uniform(0, 120, 2)
        labels[disc(120, y, x, random.uniform(2, 15))] = random.integers(1, 3)
    return labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_boundaries_are_as_far_as_scipy_says(seed: int) -> None:
    """Both ways, to the nearest pixel of the other's boundary; the image's border is none."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="the reference is scipy's")
    random = np.random.default_rng(seed)
    masks = [blobs(random) > 0, blobs(random) > 0]
    edges = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in masks]
    expected: list[float] = []
    for one, other in (edges, edges[::-1]):
        away = ndimage.distance_transform_edt(~other) if other.any() else np.full(other.shape, np.inf)
        expected += np.minimum(away[one], FARTHEST_PX).tolist()

    assert boundary_distances(masks[0], masks[1]) == pytest.approx(np.array(expected, np.float32))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_matches_share_more_than_half(seed: int) -> None:
    """Of every pair of objects, asked one by one; nobody is in two."""
    random = np.random.default_rng(seed)
    labels = blobs(random)
    moved = np.roll(labels, random.integers(-3, 4, 2), axis=(0, 1))
    one, other = (segmented(plane).objects for plane in (labels, moved))
    assert one is not None
    assert other is not None
    expected = []
    for a in one.rows:
        for b in other.rows:
            mine, theirs = one.labels == a.label, other.labels == b.label
            union = np.count_nonzero(mine | theirs)
            if a.class_index == b.class_index and np.count_nonzero(mine & theirs) / union > 0.5:
                expected.append((a.label, b.label))

    assert matches(one, other) == expected
    assert len({first for first, _ in expected}) == len({second for _, second in expected}) == len(expected)


def test_the_same_is_the_same() -> None:
    """Also of images in which nothing is."""
    results = [segmented(discs((40, 40, 12))), segmented(np.zeros((120, 120), np.uint8))]
    compared = compare(results, list(results))

    assert SegmentTolerance().faults(compared) == []
    assert [region.worst_dice for region in compared.regions] == [1.0, 1.0]
    assert [region.images for region in compared.regions] == [1, 0]
    assert compared.objects == ObjectsCompared(reference=1, found=1, matched=1, median_diameter_moves=0)
    assert compared.objects.f1 == 1.0


def test_a_gate_that_asked_nothing_is_no_pass() -> None:
    """Images in which the reference sees nothing at all, or specks; one image with a region is enough."""
    nothing, speck = np.zeros((120, 120), np.uint8), np.zeros((120, 120), np.uint8)
    speck[60, 60:64] = 1
    asked = [[nothing], [speck], [nothing, discs((60, 60, 20))]]
    faults = []
    for planes in asked:
        results = [segmented(plane) for plane in planes]
        faults.append(SegmentTolerance().faults(compare(results, list(results))))

    assert [len(found) for found in faults] == [1, 1, 0]
    assert "no class but the background covers 0.1 % of any image" in faults[0][0]


def test_a_region_is_measured_where_it_is_large_enough() -> None:
    """Dice and IoU of the images that it covers; the share that moves of all."""
    first, second = discs((40, 40, 20)), discs((40, 42, 20))
    speck = np.zeros((120, 120), np.uint8)
    speck[3, 3] = 1
    nothing = np.zeros_like(speck)
    compared = compare(
        [segmented(plane) for plane in (first, first, first, speck)],
        [segmented(plane) for plane in (first, second, nothing, nothing)],
    )
    region = compared.regions[0]
    shared = np.count_nonzero((first > 0) & (second > 0))

    assert region.images == 3
    assert region.median_dice == pytest.approx(dice(first > 0, second > 0))
    assert region.median_iou == pytest.approx(shared / np.count_nonzero((first > 0) | (second > 0)))
    assert region.worst_dice == region.worst_iou == 0
    assert region.largest_dshare == pytest.approx(100 * np.count_nonzero(first) / first.size)
    assert region.boundary_p95_px == FARTHEST_PX


@pytest.mark.parametrize("moved", [1, 2, 3])
def test_a_boundary_moves_as_far_as_its_region(moved: int) -> None:
    """A square that is shifted: most of its boundary lies on the line that it lay on, the rest so far."""
    square, shifted = np.zeros((2, 60, 60), np.uint8)
    square[20:40, 20:40] = shifted[20:40, 20 + moved : 40 + moved] = 1

    region = compare([segmented(square)], [segmented(shifted)]).regions[0]

    assert region.boundary_p95_px == moved


def test_objects_that_come_and_go_are_counted() -> None:
    """One is lost, one is new, one becomes the other class, one is cut in two unequal parts, one stays."""
    before = discs((20, 20, 9), (20, 60, 9), (60, 20, 9), (60, 60, 12))
    after = discs((20, 20, 9), (60, 60, 12), (100, 100, 9))
    after[discs((60, 20, 9)) > 0] = 2
    after[:, 64] = 0
    compared = compare([segmented(before)], [segmented(after)]).objects
    assert compared is not None

    assert (compared.reference, compared.found, compared.matched) == (4, 5, 2)
    assert compared.flips == 5
    assert compared.f1 == pytest.approx(4 / 9)


def test_median_diameters_are_those_of_whole_objects() -> None:
    """What the border cuts is left out; a class that is lost altogether moved by all of it."""
    before, after = discs((60, 60, 20), (0, 20, 10)), discs((60, 60, 22), (0, 20, 19))
    one, other = segmented(before), segmented(after)
    assert one.objects is not None
    assert other.objects is not None
    inner = [
        [row for row in objects.rows if not row.touches_border] for objects in (one.objects, other.objects)
    ]
    compared = compare([one], [other]).objects
    assert compared is not None

    assert compared.median_diameter_moves == pytest.approx(
        inner[1][0].diameter_px / inner[0][0].diameter_px - 1
    )
    lost = compare([one], [segmented(np.zeros_like(before))]).objects
    assert lost is not None
    assert lost.median_diameter_moves == 1


def test_planes_of_a_stack_count_together() -> None:
    """A region is one of all planes; boundaries are those of each plane."""
    disc_here, nothing = discs((60, 60, 20)), np.zeros((120, 120), np.uint8)
    region = compare([segmented(disc_here, nothing)], [segmented(nothing, disc_here)]).regions[0]

    assert region.worst_dice == 0
    assert region.largest_dshare == 0
    assert region.boundary_p95_px == FARTHEST_PX


def test_without_objects_none_are_compared() -> None:
    """A task that asks for regions only."""
    result = segmented(discs((60, 60, 20)), objects=False)

    assert compare([result], [result]).objects is None


REGION = RegionsCompared(
    name="nucleus", images=9, median_dice=0.9975, worst_dice=0.995, largest_dshare=0.1, boundary_p95_px=1.0
)
OBJECTS = ObjectsCompared(reference=1000, found=1000, matched=995, median_diameter_moves=0.005)


def test_what_is_just_allowed_is() -> None:
    """Every limit itself."""
    compared = SegmentComparison(images=9, regions=(REGION,), objects=OBJECTS)

    assert SegmentTolerance().faults(compared) == []


@pytest.mark.parametrize(
    ("part", "changed", "words"),
    [
        ("region", {"median_dice": 0.9974}, "Dice 0.9974 at the median"),
        ("region", {"worst_dice": 0.9949}, "in the worst image"),
        ("region", {"largest_dshare": 0.11}, "moves by 0.11 points"),
        ("region", {"boundary_p95_px": 1.1}, "moves by 1.1 px"),
        ("objects", {"matched": 989}, "F1"),
        ("objects", {"matched": 994}, "12 objects have no partner, at most 10"),
        ("objects", {"median_diameter_moves": 0.0051}, "median diameter"),
    ],
)
def test_each_limit_is_a_fault(part: str, changed: dict[str, Any], words: str) -> None:
    """What is beyond, in words."""
    region = REGION.model_copy(update=changed if part == "region" else {})
    objects = OBJECTS.model_copy(update=changed if part == "objects" else {})
    compared = SegmentComparison(images=9, regions=(region,), objects=objects)

    assert words in " / ".join(SegmentTolerance().faults(compared))


def test_what_is_no_result_is_a_fault() -> None:
    """Images without probabilities are counted, and in nothing else."""
    result = segmented(discs((60, 60, 20)))
    compared = compare([result, result], [result, None])

    assert (compared.images, compared.broken) == (2, 1)
    assert SegmentTolerance().faults(compared) == ["1 images get no probabilities, none may"]
    assert isinstance(result.objects, Objects)
