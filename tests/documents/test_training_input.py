"""docs/how-to/bring-pytorch.md: its lines of NumPy cut and normalise as the engines do, bit for bit."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.patches import Normalisation, normalise, project, tile

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "bring-pytorch.md").read_text(encoding="utf-8")


def given() -> str:
    """Return the block of the page that begins with a file and ends with patches."""
    (block,) = [
        found for found in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "np.divide" in found
    ]
    return str(block)


@pytest.mark.parametrize("shape", [(2, 128, 192), (5, 2, 200, 300)])
def test_the_page_s_lines_give_what_the_engines_are_given(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projection, and a stack whose edges are no multiples of 64; the first patch is constant."""
    planes: NDArray[np.uint16] = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    planes[..., :64, :64] = 3000
    monkeypatch.setattr(tifffile, "imread", lambda _: planes)
    names: dict[str, NDArray[np.float32]] = {}

    exec(given(), names)  # noqa: S102 # of a page of this repository

    expected = normalise(tile(project(planes.reshape(-1, *shape[-3:])[:, [1, 0]]), 64), Normalisation())
    np.testing.assert_array_equal(names["patches"], expected)
    assert names["patches"].dtype == np.float32
    assert not names["patches"][0].any()
