"""The windows of every size of image: the rules that make tiles equal the whole image, each by itself."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from colvi_edge.errors import ImageTooLargeError
from colvi_edge.windows import MOST_WHOLE_PX, Plan, plan

STEPS = st.sampled_from([1, 2, 3, 4, 8, 16, 32])


@st.composite
def plans(draw: st.DrawFn, overlap: bool) -> tuple[Plan, int, int, int]:
    """Draw a plan, its halo, its step and the largest window."""
    step = draw(STEPS)
    halo = draw(st.integers(0, 5 * step))
    up = -(-halo // step)
    core = step * draw(st.integers(1, 6))
    px = core + 2 * up * step
    stride = step * draw(st.integers(1, core // step)) if overlap else None
    height, width = draw(st.integers(1, 500)), draw(st.integers(1, 500))
    return plan(height, width, px, halo, step, stride), halo, step, px


@given(plans(False) | plans(True))
def test_windows_lie_on_the_step_and_in_the_image(drawn: tuple[Plan, int, int, int]) -> None:
    """All are of one size, begin on multiples of the step, and leave the padded image nowhere."""
    found, _, step, _ = drawn
    for axis in (found.rows, found.cols):
        assert axis.window % step == axis.padded % step == 0
        assert axis.image <= axis.padded < axis.image + step  # the smallest multiple, at the end alone
        for span in axis.spans:
            assert span.start % step == 0
            assert 0 <= span.start <= span.start + axis.window <= axis.padded


@given(plans(False) | plans(True))
def test_a_core_is_a_halo_away_from_every_inner_edge(drawn: tuple[Plan, int, int, int]) -> None:
    """And goes to the image's own border, where it lies at it."""
    found, halo, _, _ = drawn
    for axis in (found.rows, found.cols):
        for span in axis.spans:
            assert span.first == span.start == 0 or span.first >= span.start + halo
            at_the_end = span.stop == span.start + axis.window == axis.padded
            assert at_the_end or span.stop <= span.start + axis.window - halo


@given(plans(False))
def test_cores_partition_the_padded_image(drawn: tuple[Plan, int, int, int]) -> None:
    """Each pixel lies in exactly one; none is empty, nor without a pixel of the image."""
    found, *_ = drawn
    for axis in (found.rows, found.cols):
        covered = [pixel for span in axis.spans for pixel in range(span.first, span.stop)]
        assert covered == list(range(axis.padded))
        assert all(span.first < min(span.stop, axis.image) for span in axis.spans)
    assert len(list(found)) == len(found) == len(found.rows.spans) * len(found.cols.spans)


@given(plans(False))
def test_no_window_is_superfluous(drawn: tuple[Plan, int, int, int]) -> None:
    """As few as the padded length needs, and none larger than so few need: a step less would not do."""
    found, halo, step, px = drawn
    up = -(-halo // step) * step
    for axis in (found.rows, found.cols):
        assert axis.window <= px
        inner = axis.padded - 2 * up
        if axis.padded > px:
            assert len(axis.spans) == -(-inner // (px - 2 * up))
            assert len(axis.spans) * (axis.window - step - 2 * up) < inner
        else:
            assert axis.spans == ((0, 0, axis.padded),)


@given(plans(True))
def test_blended_cores_cover_every_pixel_and_fade_at_inner_edges(drawn: tuple[Plan, int, int, int]) -> None:
    """The weights of each are positive, half a pixel's at an inner edge, and never grow faster than 1."""
    found, *_ = drawn
    for axis in (found.rows, found.cols):
        total = [0.0] * axis.padded
        for span in axis.spans:
            weights = axis.weights(span)
            assert len(weights) == span.stop - span.first
            assert span.first == 0 or weights[0] == 0.5
            assert span.stop == axis.padded or weights[-1] == 0.5
            assert all(abs(one - other) <= 1 for one, other in pairwise(weights))
            for pixel, weight in zip(range(span.first, span.stop), weights, strict=True):
                total[pixel] += weight
        assert min(total) > 0


@given(plans(False) | plans(True))
def test_a_window_is_found_by_its_number(drawn: tuple[Plan, int, int, int]) -> None:
    """Without a list of all."""
    found = drawn[0]

    assert [found[number] for number in range(len(found))] == list(found)


def test_blending_after_de_bel() -> None:
    """The middle half of each window, on by a quarter of it: four values a pixel, far from the border."""
    found = plan(4096, 4096, 2048, 512, 4, 512)

    assert [span.start for span in found.rows.spans] == [0, 512, 1024, 1536, 2048]
    middle = found.rows.spans[2]
    assert (middle.first, middle.stop) == (1536, 2560)
    weights = found.rows.weights(middle)
    assert weights == weights[::-1]
    assert (weights[0], weights[511], weights[512]) == (0.5, 511.5, 511.5)
    here = [(row, col) for row, col in found if row.first <= 2000 < row.stop and col.first <= 2000 < col.stop]
    assert len(here) == 4


def test_the_windows_of_the_vesicles() -> None:
    """At most 544 pixels with a halo of 96 on a step of 16; the last is moved back, its core is not."""
    found = plan(1264, 500, 544, 96, 16)

    assert found.rows.spans == ((0, 0, 368), (272, 368, 640), (544, 640, 912), (800, 912, 1264))
    assert found.cols.spans == ((0, 0, 512),)
    assert (found.cols.image, found.cols.padded) == (500, 512)
    assert found.window == (464, 512)


@given(st.integers(1, 700), st.integers(1, 700), STEPS)
def test_an_image_as_a_whole_is_one_window(height: int, width: int, step: int) -> None:
    """Of its own size, padded to the step."""
    found = plan(height, width, "whole", step_px=step)

    ((row, col),) = found
    assert found.window == (found.rows.padded, found.cols.padded)
    assert (row, col) == ((0, 0, found.rows.padded), (0, 0, found.cols.padded))
    assert found == plan(height, width, 768, step_px=step)


def test_an_image_that_is_too_large_to_be_taken_as_a_whole() -> None:
    """The padding counts, and the sentence names the remedy."""
    side = int(MOST_WHOLE_PX**0.5)
    plan(side, side, "whole", step_px=16)

    with pytest.raises(ImageTooLargeError, match=r"found 2049 x 2048 pixels, expected .*; crop it"):
        plan(side, side + 1, "whole", step_px=16)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"px": 100, "step_px": 16}, "do not lie on a step"),
        ({"px": 64, "halo_px": 32}, "do not lie on a step"),
        ({"px": 64, "halo_px": 25, "step_px": 16}, "do not lie on a step"),
        ({"px": 64, "halo_px": 16, "step_px": 16, "stride_px": 8}, "a stride of 8"),
        ({"px": 64, "halo_px": 16, "stride_px": 33}, "expected 1 to 32"),
    ],
)
def test_numbers_that_make_no_plan(numbers: dict[str, int], words: str) -> None:
    """A bug of the caller: manifests are checked when they are read."""
    with pytest.raises(ValueError, match=words):
        plan(500, 500, **numbers)


@given(st.integers(1, 300), STEPS, st.integers(0, 40), st.integers(1, 4))
def test_both_axes_follow_one_rule(length: int, step: int, halo: int, cores: int) -> None:
    """Height and width are never taken for each other."""
    px = (cores + 2 * -(-halo // step)) * step
    assume(px > 0)

    assert plan(length, 77, px, halo, step).rows == plan(77, length, px, halo, step).cols
