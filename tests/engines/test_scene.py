"""A scene against the oracle of `patches`: the same normalised image, whichever window of it is asked for."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from colvi_edge.engines import scene
from colvi_edge.engines.scene import Scene
from colvi_edge.patches import Normalisation, normalise_image, project

VALUES = {
    "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 65535),
    "float32": st.floats(0, 1e5, width=32),
}
KINDS = {
    "image": Normalisation("image"),
    "image-range": Normalisation("image-range"),
    "fixed": Normalisation("fixed", mean=(120.5, 65000.25), std=(60, 0.5)),
}


@st.composite
def images(draw: st.DrawFn) -> NDArray[Any]:
    """Draw planes (Z, 2, H, W) of any dtype."""
    dtype = draw(st.sampled_from(sorted(VALUES)))
    shape = draw(st.tuples(st.integers(1, 3), st.just(2), st.integers(1, 14), st.integers(1, 14)))
    return draw(hnp.arrays(dtype, shape, elements=VALUES[dtype]))


@pytest.fixture(autouse=True, params=[8, 2**16], ids=["many bands", "one band"])
def bands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let statistics be taken of a row at a time, or of all of them at once."""
    monkeypatch.setattr(scene, "_BAND_PX", request.param)


@settings(deadline=None)
@given(images(), st.sampled_from(sorted(KINDS)), st.integers(0, 13), st.integers(0, 13))
def test_a_window_is_what_the_oracle_says(planes: NDArray[Any], kind: str, top: int, left: int) -> None:
    """Wherever it lies, also beyond the end of the image, where it is zero whatever it held before."""
    expected = np.pad(normalise_image(project(planes), KINDS[kind]), ((0, 0), (0, 30), (0, 30)))
    window = np.full((2, 9, 11), np.nan, np.float32)

    Scene(planes, KINDS[kind]).put(window, top, left)

    np.testing.assert_allclose(window, expected[:, top : top + 9, left : left + 11], rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("kind", ["image", "image-range", "patch", "patch-channel"])
@pytest.mark.parametrize(
    ("value", "dtype"), [(0, "uint8"), (65535, "uint16"), (3000.1, "float32"), (1e-30, "float32")]
)
def test_a_constant_image_becomes_zeros(kind: Any, value: float, dtype: str) -> None:
    """As the oracle has it, in every dtype."""
    window = np.full((2, 8, 9), np.nan, np.float32)

    Scene(np.full((7, 2, 301, 9), value, dtype), Normalisation(kind)).put(window, 299, 0)

    assert not window.any()


def test_one_count_on_a_bright_image_survives() -> None:
    """The smallest possible signal on the highest black level keeps all its digits."""
    planes = np.full((10, 1, 40, 50), 65534, np.uint16)
    planes[0, 0, 33, 2] += 1
    window = np.empty((1, 40, 50), np.float32)

    Scene(planes, Normalisation("image")).put(window, 0, 0)

    np.testing.assert_allclose(window, normalise_image(project(planes), Normalisation("image")), rtol=1e-5)


def test_the_image_for_a_patch() -> None:
    """`patch` is of all channels, `patch-channel` of each by itself; `scale` divides."""
    planes = np.random.default_rng(0).poisson([[[[50]], [[900]]]], (1, 2, 30, 20)).astype(np.uint16)
    windows = {}
    for kind in ("patch", "patch-channel"):
        windows[kind] = np.empty((2, 30, 20), np.float32)
        Scene(planes, Normalisation(kind)).put(windows[kind], 0, 0)
    scaled = np.empty((2, 30, 20), np.float32)
    Scene(planes, Normalisation("scale", divisor=255, dtype="uint16")).put(scaled, 0, 0)

    np.testing.assert_allclose(windows["patch"], (planes[0] - planes.mean()) / planes.std(), rtol=2e-6)
    each = [(channel - channel.mean()) / channel.std() for channel in planes[0]]
    np.testing.assert_allclose(windows["patch-channel"], each, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(scaled, planes[0] / 255, rtol=1e-6)
