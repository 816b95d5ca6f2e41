"""An image that is in memory: whatever the order of its axes and the type of its counts, the same planes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.acquisition import acquire_array

EXACT = {"u1": "u1", "u2": "u2", "u4": "u2", "i1": "u1", "i2": "u2", "i4": "u2", "f4": "f4"}
PLANES, CHANNELS, ROWS, COLUMNS = 3, 2, 9, 11


@settings(deadline=None)
@given(
    axes=st.permutations("TZCYX"),
    dtype=st.sampled_from(sorted(EXACT)),
    swapped=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_order_of_axes_and_any_exact_type(axes: list[str], dtype: str, swapped: bool, seed: int) -> None:
    """The oracle is einsum, and counts that every type holds."""
    counts = np.random.default_rng(seed).integers(0, 128, (1, PLANES, CHANNELS, ROWS, COLUMNS))
    stored = np.einsum(f"TZCYX->{''.join(axes)}", counts).astype(dtype)
    stored = stored.astype(stored.dtype.newbyteorder()) if swapped else stored
    kept = stored.copy()

    image = acquire_array(stored, "".join(axes), channels=["collagen", "nuclei"], pixel_size_um=0.3)

    assert np.array_equal(image.planes, counts[0])
    assert image.planes.dtype == np.dtype(EXACT[dtype])
    assert image.planes.flags.c_contiguous
    assert (image.channels, image.pixel_size_um) == (("collagen", "nuclei"), 0.3)
    assert image.provenance.shape == stored.shape
    assert np.array_equal(stored, kept)


def test_axes_of_length_one_may_be_left_out() -> None:
    """A ready projection has no Z."""
    counts = np.arange(2 * 9 * 9, dtype=np.uint16).reshape(2, 9, 9)

    short = acquire_array(counts, "CYX", channels=["collagen", "nuclei"])
    full = acquire_array(counts[np.newaxis], "ZCYX", channels=["collagen", "nuclei"])

    assert np.array_equal(short.planes, full.planes)
    assert short.provenance.sha256 == full.provenance.sha256


def test_counts_that_only_float_holds_become_float() -> None:
    """Up to 2^24 each whole number is one of float32's."""
    counts = np.full((2, 9, 9), 2**24, np.uint32)

    assert acquire_array(counts, "CYX", channels=["collagen", "nuclei"]).planes.dtype == np.float32


@pytest.mark.parametrize("samples", [3, 4])
def test_a_picture_is_as_seen(samples: int) -> None:
    """Green collagen, blue nuclei; opacity is none of them."""
    picture = np.random.default_rng(0).integers(0, 255, (9, 9, samples)).astype(np.uint8)

    image = acquire_array(picture, "YXS")

    assert image.channels == ("other", "collagen", "nuclei")
    assert image.planes.shape == (1, 3, 9, 9)
    assert np.array_equal(image.channel("nuclei")[0], picture[..., 2])


def test_two_channels_of_which_nothing_is_said_are_assumed() -> None:
    """In the order that the published code read, and told."""
    image = acquire_array(np.ones((2, 9, 9), np.uint8), "CYX")

    assert (image.channels, image.channels_assumed) == (("nuclei", "collagen"), True)


@pytest.mark.parametrize(("black", "said"), [(np.s_[-1, -1], True), (np.s_[-1, 0], False), (np.s_[0], False)])
def test_a_black_last_plane_is_told(black: Any, said: bool) -> None:
    """As of a file whose acquisition ended early."""
    counts = np.ones((3, 2, 9, 9), np.uint16)
    counts[black] = 0

    assert acquire_array(counts, "ZCYX").last_plane_black is said
