"""docs/explanation/regions-and-objects.md: which pairs of discs are parted, and the gate's limits."""

import re
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.tasks.objects.radon import parted_by_necks
from colvi_edge.tasks.objects.watershed import parted_by_saddles
from colvi_edge.tasks.segment.comparison import SegmentTolerance
from tests.tools.drawn import pair

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "regions-and-objects.md").read_text(
    encoding="utf-8"
)
PAIRS = [
    pytest.param(*map(float, numbers), id=f"{numbers[0]},{numbers[1]} at {numbers[2]}")
    for numbers in re.findall(r"(?m)^\| (\d+), (\d+) \| (0\.\d+) \| (\d+) \| (\d+) \|$", PAGE)
]


@pytest.mark.parametrize(("first", "second", "apart", "by_necks", "by_saddles"), PAIRS)
def test_so_many_pairs_are_parted(
    first: float, second: float, apart: float, by_necks: float, by_saddles: float
) -> None:
    """Of 40, drawn from the seeds 0 to 39."""
    drawn = [pair(np.random.default_rng(n), first, second, apart) for n in range(40)]

    assert [int(parted_by_necks(one, 0.15).max()) for one in drawn].count(2) == by_necks
    assert [int(parted_by_saddles(one, 0.15).max()) for one in drawn].count(2) == by_saddles


def test_the_limits_are_those_of_the_gate() -> None:
    """Row by row."""
    limits = SegmentTolerance()
    table = PAGE.split("| compared | limit |\n")[1].split("\n\n")[0]

    assert len(PAIRS) > 10
    for words in (
        f"{limits.median_dice:g}; {limits.worst_dice:g}",
        f"{limits.share_points:g} points",
        f"{limits.boundary_px:g} px",
        f"{limits.f1:g}",
        f"{100 * limits.diameter:g} %",
    ):
        assert f"| {words} |" in table, words
