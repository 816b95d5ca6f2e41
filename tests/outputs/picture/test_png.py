"""What is encoded is what other programs decode."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from colvi_edge.outputs.picture.png import encode

SIZES = st.tuples(st.integers(1, 140), st.integers(1, 40), st.just(3))


@settings(deadline=None)
@given(arrays(np.uint8, SIZES))
def test_pillow_and_libpng_decode_the_same_pixels(rgb: NDArray[np.uint8]) -> None:
    """Lossless at every size, across the borders of the blocks of rows."""
    data = encode(rgb, {})

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), rgb)
    assert np.array_equal(imagecodecs.png_decode(data), rgb)


def test_noise_and_views_survive() -> None:
    """A picture that does not compress, and one that is a window of another."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 500, 3), np.uint8)
    for rgb in (noise, noise[10:200:3, 5:400]):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(rgb, {})))), rgb)


def test_text_is_read_back() -> None:
    """The words in the file are where image viewers look for them; odd letters are escaped."""
    text = {"Software": "colvi-edge 1.0", "Description": "Research use only.", "Comment": "\u00fc \u2265 1"}
    with Image.open(io.BytesIO(encode(np.zeros((1, 1, 3), np.uint8), text))) as picture:
        assert picture.info == {**text, "Comment": "\u00fc \\u2265 1"}


def test_equal_pictures_give_equal_bytes() -> None:
    """No clock and no chance in the file."""
    rgb = np.random.default_rng(3).integers(0, 256, (70, 90, 3), np.uint8)

    assert encode(rgb, {"Software": "x"}) == encode(rgb.copy(), {"Software": "x"})


def test_a_smooth_picture_is_stored_smaller() -> None:
    """Deflate and filter do their work: a gradient takes less than a hundredth."""
    gradient = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, np.newaxis], (256, 256, 3)).copy()

    assert len(encode(gradient, {})) < gradient.nbytes / 100


def test_the_header_says_rgb_8_bit() -> None:
    """Read by hand: width, height, depth 8, colour type 2, nothing else."""
    data = encode(np.zeros((5, 7, 3), np.uint8), {})

    assert struct.unpack(">II5B", data[16:29]) == (7, 5, 8, 2, 0, 0, 0)


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(rgb: NDArray[np.uint8]) -> None:
    """Anything but (H, W, 3) uint8 is a bug of the caller."""
    with pytest.raises(ValueError, match="expected"):
        encode(rgb, {})
