"""Images of other pixels than the network's: brought to its size, and maps of pixels back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.transform import resize

from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.bundle.input import Input
from colvi_edge.errors import ImageTooLargeError
from colvi_edge.patches import Normalisation
from colvi_edge.pipeline.sizing import Size, brought_back, brought_to, size_asked

PLAIN = {"channels": ["nuclei"], "normalisation": Normalisation("patch")}


def image(height: int = 200, width: int = 300, pixel_um: float | None = 0.5) -> Acquisition:
    """Return a black image of one channel."""
    planes: NDArray[Any] = np.zeros((1, 1, height, width), np.uint16)
    return Acquisition(
        "x.tif", "", planes, ("nuclei",), pixel_um, None, None, Provenance(1, "", "YX", (height, width))
    )


@pytest.mark.parametrize(
    ("asked", "pixel_um", "expected"),
    [
        ({}, 0.5, None),
        ({"pixel_size_um": 0.5}, 0.5, None),
        ({"pixel_size_um": 0.5}, 0.50001, None),
        ({"pixel_size_um": 0.5}, None, None),
        ({"pixel_size_um": 0.25}, 0.5, Size(400, 600)),
        ({"pixel_size_um": 1.0}, 0.5, Size(100, 150)),
        ({"resize_px": [64, 96]}, 0.5, Size(64, 96)),
        ({"resize_px": [64, 96]}, None, Size(64, 96)),
    ],
)
def test_the_size_that_is_asked_for(
    asked: dict[str, Any], pixel_um: float | None, expected: Size | None
) -> None:
    """By the size of the pixels where both are known, or by a number of pixels."""
    assert size_asked(Input.model_validate({**PLAIN, **asked}), image(pixel_um=pixel_um)) == expected


def test_pixels_that_are_no_squares_become_squares() -> None:
    """Each edge has a factor of its own."""
    found = size_asked(
        Input.model_validate({**PLAIN, "pixel_size_um": 0.5}), replace(image(), pixel_height_um=1.0)
    )

    assert found == Size(400, 300)


def test_a_slip_of_the_pen_is_refused() -> None:
    """Pixels of nanometres named as micrometres would be an image of terabytes."""
    with pytest.raises(ImageTooLargeError, match=r"x\.tif: has pixels of 500 um.*--pixel-size-um"):
        size_asked(Input.model_validate({**PLAIN, "pixel_size_um": 0.5}), image(pixel_um=500.0))


@settings(deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.integers(20, 90), st.integers(20, 90), st.integers(0, 99))
def test_planes_are_as_another_library_makes_them(h: int, w: int, height: int, width: int, seed: int) -> None:
    """Where the image grows both interpolate alike; where it shrinks both stay within the pixels' range."""
    planes = np.random.default_rng(seed).integers(0, 4000, (1, 2, h, w)).astype(np.uint16)

    found = brought_to(planes, Size(height, width))

    assert found.dtype == planes.dtype
    assert found.shape == (1, 2, height, width)
    assert planes.min() <= found.min() <= found.max() <= planes.max()
    if height >= h and width >= w:
        expected = resize(
            planes[0, 1].astype(np.float64), (height, width), order=1, mode="edge", anti_aliasing=False
        )
        assert np.abs(found[0, 1] - expected).max() <= 1


def test_floats_are_not_rounded() -> None:
    """Only counts are."""
    planes = np.array([[[[0.0, 1.0]]]], np.float32)

    assert 0 < brought_to(planes, Size(1, 4))[0, 0, 0, 1] < 1


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_a_map_comes_back_as_it_was(h: int, w: int, times: int) -> None:
    """Enlarged by a whole number and brought back, each class is where it was."""
    kept = np.random.default_rng(h * w).integers(0, 5, (1, h, w, 2)).astype(np.uint8)
    large = kept.repeat(times, 1).repeat(times, 2)

    np.testing.assert_array_equal(brought_back(large, Size(h, w))[..., 0], kept[..., 0])
