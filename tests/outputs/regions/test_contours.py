"""Filling the outlines gives the map again, and geometry programs take them: others fill and count them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.draw import polygon2mask
from skimage.measure import euler_number, label

from colvi_edge.outputs.regions.contours import Outline, TooManyCornersError, outlines

MAPS = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda size: arrays(np.int32, size[:2], elements=st.integers(0, size[2]))
)
CORNER = np.array([[1, 0], [0, 1]])
CLASP = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]])
EYES = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]])
NEST = np.pad(np.pad(np.pad(np.ones((1, 1), int), 1), 1, constant_values=1), 1)


def filled(outlines: Sequence[Outline], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the map of outlines, a pixel inside if its centre is, as matplotlib decides."""
    found = np.zeros(shape, np.int64)
    rows, cols = np.indices(shape)
    centres = np.stack([cols.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    for outline in outlines:
        inside = np.zeros(shape, bool)
        for ring in outline.rings:  # a hole takes away what it covers
            inside ^= Path(ring, closed=False).contains_points(centres).reshape(shape)
        assert not found[inside].any()
        found[inside] = outline.label
    return found


def twice_area(ring: NDArray[Any]) -> int:
    """Return the signed area: positive if clockwise on the screen."""
    x, y = ring.T.astype(np.int64)
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


@settings(max_examples=300, deadline=None)
@given(MAPS)
@example(CORNER)
@example(CLASP)
@example(EYES)
@example(NEST)
@example(1 - NEST)
@example(np.rot90(CLASP))
def test_filling_them_gives_the_map(labels: NDArray[Any]) -> None:
    """Every pixel, whatever touches at corners or lies in what."""
    found = outlines(labels)

    np.testing.assert_array_equal(filled(found, labels.shape), labels)


@settings(max_examples=300, deadline=None)
@given(MAPS)
@example(CORNER)
@example(CLASP)
@example(EYES)
@example(NEST)
def test_geometry_programs_take_them(labels: NDArray[Any]) -> None:
    """No ring comes to a point twice; only true corners; outer rings one way round, holes the other."""
    for outline in outlines(labels):
        outer, *holes = outline.rings
        assert twice_area(outer) > 0
        assert all(twice_area(hole) < 0 for hole in holes)
        for ring in outline.rings:
            assert len(set(map(tuple, ring.tolist()))) == len(ring)
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps == 0) != (np.roll(steps, -1, axis=0) == 0)).all()
            assert ring[0].tolist() == min(ring.tolist(), key=lambda point: (point[1], point[0]))


@settings(max_examples=200, deadline=None)
@given(MAPS)
def test_pieces_and_holes_are_those_of_scikit_image(labels: NDArray[Any]) -> None:
    """One outline a piece that hangs together by edges; its holes by the Euler number; areas in pixels."""
    for value, group in groupby(outlines(labels), lambda outline: outline.label):
        found = list(group)
        pieces = label(labels == value, connectivity=1)
        assert len(found) == pieces.max()
        for outline in found:
            x, y = outline.rings[0][0]
            piece = pieces == pieces[y, x]
            assert sum(map(twice_area, outline.rings)) == 2 * piece.sum()
            assert (labels[piece] == value).all()
        # Holes that touch at a corner are one to 8-connected background, so each ring is counted by itself.
        holes = sum(len(outline.rings) - 1 for outline in found)
        by_edges = sum(
            1 - euler_number(np.pad(pieces == n, 1), connectivity=2) for n in range(1, pieces.max() + 1)
        )
        assert holes == by_edges


def test_they_come_by_label_and_the_sizes_may_be_odd() -> None:
    """Sorted by label, then from the top; one row, one column, one pixel, nothing."""
    labels = np.array([[3, 0, 1], [0, 2, 0], [1, 0, 3]], np.uint16)

    assert [outline.label for outline in outlines(labels)] == [1, 1, 2, 3, 3]
    assert outlines(np.zeros((5, 4), np.uint8)) == []
    (whole,) = outlines(np.full((1, 7), 9, np.uint8))
    assert (whole.label, whole.rings[0].tolist()) == (9, [[0, 0], [7, 0], [7, 1], [0, 1]])


@pytest.fixture(scope="module")
def cells() -> NDArray[np.int32]:
    """Return 300 ellipses, some with a hole, some over others, in 700 x 900 pixels."""
    rng = np.random.default_rng(5)
    picture = Image.new("I", (900, 700))
    pen = ImageDraw.Draw(picture)
    for number in range(1, 301):
        x, y = rng.uniform(0, 900), rng.uniform(0, 700)
        a, b = rng.uniform(3, 25, 2)
        pen.ellipse((x - a, y - b, x + a, y + b), fill=number)
        if number % 5 == 0:
            pen.ellipse((x - a / 3, y - b / 3, x + a / 3, y + b / 3), fill=0)
    return np.array(picture, np.int32)


def test_large_maps_that_are_cut_into_blocks(
    cells: NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the blocks end; scikit-image fills the outlines, in points between the corners."""
    whole = outlines(cells)
    monkeypatch.setattr("colvi_edge.outputs.regions.contours._BLOCK_PIXELS", 2000)
    in_blocks = outlines(cells)

    assert len(whole) > 290
    assert sum(len(outline.rings) > 1 for outline in whole) > 30
    assert len(in_blocks) == len(whole)
    for one, other in zip(whole, in_blocks, strict=True):
        assert one.label == other.label
        assert all(map(np.array_equal, one.rings, other.rings))
    found = np.zeros(cells.shape, np.int32)
    for outline in whole:
        left, top = outline.rings[0].min(axis=0)
        width, height = outline.rings[0].max(axis=0) - (left, top)
        inside = np.zeros((height, width), bool)
        for ring in outline.rings:
            inside ^= polygon2mask((height, width), ring[:, ::-1] - (top + 0.5, left + 0.5))
        found[top : top + height, left : left + width][inside] = outline.label
    np.testing.assert_array_equal(found, cells)


def test_more_corners_than_asked_for_are_refused() -> None:
    """Before they are joined: a checkerboard has four a pixel."""
    board = np.indices((40, 40)).sum(axis=0) % 2

    assert sum(len(ring) for outline in outlines(board, 3200) for ring in outline.rings) == 3200
    with pytest.raises(TooManyCornersError, match=r"more than 3,199 corners"):
        outlines(board, 3199)
