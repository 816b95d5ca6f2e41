"""Joins of windows: against the whole image, and by their steps; and what a gate says of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.bundle.compared import JoinsCompared, SegmentComparison
from colvi_edge.bundle.window import Windows
from colvi_edge.export.converting.dense.joins import (
    largest_difference,
    step_across,
    two_each_way,
    whole_at_most,
)
from colvi_edge.tasks.segment.comparison import SegmentTolerance
from colvi_edge.windows import MOST_WHOLE_PX, plan


def ramp(height: int, width: int) -> NDArray[np.float32]:
    """A field (H, W, 2) that rises evenly to the right and downwards."""
    rows, cols = np.mgrid[:height, :width]
    p = ((rows + cols) / (height + width)).astype(np.float32)
    return np.stack([1 - p, p], axis=2)


def test_the_largest_difference_is_found_wherever_it_lies() -> None:
    """In the last row, the last class."""
    field = ramp(33, 20)
    other = field.copy()
    other[-1, -1, -1] += 0.25

    assert largest_difference(field, field) == 0
    assert largest_difference(field, other) == pytest.approx(0.25)


def test_steps_across_joins_are_told_from_others() -> None:
    """An even ramp has none; a step where a core ends is seen, one elsewhere is not taken for it."""
    windows = plan(96, 96, 48, halo_px=8, step_px=4, stride_px=16)
    even, stepped, elsewhere = ramp(96, 96), ramp(96, 96), ramp(96, 96)
    place = windows.cols.spans[1].first
    stepped[:, place:] += 0.2
    elsewhere[:, place + 3 :] += 0.2

    assert step_across(even, windows) == pytest.approx(1, rel=1e-3)
    found, other = step_across(stepped, windows), step_across(elsewhere, windows)
    assert found is not None
    assert other is not None
    assert other < 1 < 1.5 < found


def test_without_a_join_there_is_no_step() -> None:
    """One window, or an answer that is the same everywhere."""
    assert step_across(ramp(40, 40), plan(40, 40, 48, step_px=4)) is None
    assert step_across(np.zeros((96, 96, 2), np.float32), plan(96, 96, 48, 8, 4, 16)) is None


@settings(deadline=None)
@given(
    sides=st.tuples(st.integers(8, 70_000), st.integers(8, 70_000)),
    px=st.integers(1, 32),
    halo=st.integers(0, 15),
    depth=st.integers(0, 5),
)
def test_joins_are_measured_in_every_image_that_could_have_some(
    sides: tuple[int, int], px: int, halo: int, depth: int
) -> None:
    """As much of it as may be one window holds two windows each way, of the same halo on the same raster."""
    step = 1 << depth
    windows = Windows.model_construct(px=max(8, (px + 2 * halo) * step), halo_px=halo * step, step_px=step)
    crop = whole_at_most(*sides, step)
    seen = two_each_way(windows, *crop)

    assert all(0 < part <= side for part, side in zip(crop, sides, strict=True))
    whole = plan(*crop, "whole", step_px=step)
    assert whole.rows.padded * whole.cols.padded <= MOST_WHOLE_PX
    assert crop == sides or crop[0] * crop[1] > MOST_WHOLE_PX // 2
    if seen is None:
        assert min(crop) <= max(2 * halo * step + step, 8 + step)
    else:
        assert isinstance(seen.px, int)
        assert (seen.halo_px, seen.step_px) == (windows.halo_px, step)
        found = plan(*crop, seen.px, seen.halo_px, step)
        assert min(len(found.rows.spans), len(found.cols.spans)) >= 2


def test_blended_windows_are_not_made_smaller() -> None:
    """How they join depends on their size."""
    blended = Windows(px=64, halo_px=16, step_px=4, join="blend", stride_px=16)

    assert two_each_way(blended, 64, 200) is None
    assert two_each_way(blended, 65, 200) == blended


@pytest.mark.parametrize(
    ("joins", "words"),
    [
        (JoinsCompared(largest_dp=1e-6, flips=0), ""),
        (JoinsCompared(largest_dp=2e-6, flips=0), "windows differ from the whole image by 2e-06"),
        (JoinsCompared(flips=1), "1 pixels have another class in windows"),
        (JoinsCompared(), "nothing was measured where windows join"),
        (JoinsCompared(step=1.05), ""),
        (JoinsCompared(step=1.06), "steps across joins are 1.06 times those elsewhere"),
    ],
)
def test_what_the_gate_says(joins: JoinsCompared, words: str) -> None:
    """Each limit to its last digit."""
    faults = SegmentTolerance().faults(SegmentComparison(images=1, regions=(), joins=joins))

    assert len(faults) == bool(words)
    assert words in "".join(faults)
