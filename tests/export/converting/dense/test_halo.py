"""Windows of a dense network: the halo that its reach asks for, and every refusal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.bundle.window import Windows
from colvi_edge.errors import UsageError
from colvi_edge.export.converting.dense.halo import Asked, told_of, windows_for
from colvi_edge.export.converting.dense.reach import Reach

DEPTH_3 = Reach(46, 46, 46, 46, step_px=8)
ENDLESS = Reach(None, None, None, None, step_px=4)
TRAINED = Windows(px=256)


def test_the_halo_is_the_reach_on_the_raster() -> None:
    """A U-Net of depth 3: 46 px are 48, and a pixel of a window of 256 is computed 2.6 times."""
    found = windows_for(DEPTH_3, TRAINED, Asked())

    assert (found.px, found.halo_px, found.step_px, found.reach_px) == (256, 48, 8, 46)
    assert told_of(found) == (
        "Windows of 256 px, halo 48 px, reach 46 px, raster 8 px: each pixel is computed 2.6 times."
    )


@settings(deadline=None)
@given(reach=st.integers(0, 300), depth=st.integers(0, 5), px=st.integers(8, 1024))
def test_nobody_needs_to_know(reach: int, depth: int, px: int) -> None:
    """Whatever the reach and the window of the training: the halo reaches, and no pixel is computed often."""
    found = windows_for(Reach(reach, 0, 0, reach, 1 << depth), Windows(px=px), Asked())

    assert found.halo_px >= reach
    assert found.px != "whole"
    assert found.px % found.step_px == 0
    assert found.times_computed <= 4.01


@pytest.mark.parametrize(("reach", "px"), [(320, 1920), (400, 2048), (512, 2048)])
def test_a_large_halo_has_as_large_a_window_as_may_be(reach: int, px: int) -> None:
    """Six halos while they are one that may be, four at least."""
    far = Reach(reach, reach, reach, reach, step_px=16)

    assert windows_for(far, TRAINED, Asked()).px == px
    with pytest.raises(UsageError, match="larger than 2048 px"):
        windows_for(Reach(528, 0, 0, 0, step_px=16), TRAINED, Asked())


def test_a_halo_below_the_reach_is_refused() -> None:
    """One of the training, of one pixel too little; the same, named by the option, is taken."""
    with pytest.raises(UsageError, match=r"halo is 40 px .* up to 46 px away.*--halo"):
        windows_for(DEPTH_3, Windows(px=256, halo_px=40, step_px=8), Asked())

    assert windows_for(DEPTH_3, TRAINED, Asked(halo_px=40)).halo_px == 40


def test_a_reach_without_end_is_refused_with_its_three_remedies() -> None:
    """Each of which is then taken."""
    with pytest.raises(UsageError, match=r"--freeze-norm.*--join blend.*--window whole"):
        windows_for(ENDLESS, TRAINED, Asked())

    blended = windows_for(ENDLESS, TRAINED, Asked(join="blend"))
    assert (blended.px, blended.halo_px, blended.stride_px, blended.reach_px) == (256, 64, 64, None)
    assert blended.times_computed == 16
    assert windows_for(ENDLESS, TRAINED, Asked(px="whole")).px == "whole"
    assert windows_for(ENDLESS, Windows(px="whole"), Asked()).px == "whole"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(px=96), "--window 96: expected a multiple of the network's raster, 8 px, and more than twice"),
        (Asked(px=250), "--window 250: expected a multiple"),
        (Asked(px="whole", halo_px=48), "has no halo and nothing to blend"),
        (Asked(px="whole", join="blend"), "has no halo and nothing to blend"),
        (Asked(halo_px=1024), "larger than 2048 px"),
        (Asked(halo_px=128, join="blend"), "leaves too little of a window"),
    ],
)
def test_numbers_that_make_no_windows(asked: Asked, words: str) -> None:
    """Each in a sentence."""
    with pytest.raises(UsageError, match=words):
        windows_for(DEPTH_3, TRAINED, asked)
