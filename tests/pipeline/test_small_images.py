"""An image is too small where no patch of the bundle fits in, whatever size the bundle's patches have."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.raw_file import Outcome


@contextmanager
def diagnoser(bundle: Bundle) -> Iterator[Diagnoser]:
    """Open a bundle on the reference engine."""
    engine = open_engine(bundle, "onnxruntime")
    yield Diagnoser(bundle, engine)
    engine.close()


def diagnosed(folder: Path, bundle: Bundle, height: int, width: int) -> Outcome[Any]:
    """Return what becomes of an image of a size."""
    pixels = np.random.default_rng(height).poisson(300, (2, height, width)).astype("uint16")
    tifffile.imwrite(folder / "x.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    with diagnoser(bundle) as opened:
        (outcome,) = process(opened, find_inputs([folder]))
    return outcome


@pytest.mark.parametrize(
    ("size", "status", "covered"),
    [
        ((8, 8), "ok", 1),
        ((15, 63), "ok", 7 * 64 / (15 * 63)),
        ((40, 24), "rejected", 1),  # large enough to be looked at for cells, and noise has none
        ((63, 63), "rejected", 49 * 64 / (63 * 63)),
    ],
)
def test_a_bundle_of_small_patches_judges_small_images(
    size: tuple[int, int],
    status: str,
    covered: float,
    make_bundle: Callable[..., tuple[Bundle, Any]],
    tmp_path: Path,
) -> None:
    """As many patches as fit; a microscope's crop below 64 pixels is none too small for them."""
    bundle, _ = make_bundle(patch_px=8)

    outcome = diagnosed(tmp_path, bundle, *size)

    assert isinstance(outcome.result, Sidecar), outcome.result
    assert outcome.result.status == status
    assert outcome.result.coverage == pytest.approx(covered)
    if patches := outcome.result.patches:
        assert (patches.size_px, patches.rows, patches.cols) == (8, size[0] // 8, size[1] // 8)


def test_an_image_of_less_than_one_patch_is_refused(demo_bundle: Bundle, tmp_path: Path) -> None:
    """With its size, and that of the bundle's patches, which are larger than the smallest that may be."""
    outcome = diagnosed(tmp_path, demo_bundle, 64, 63)

    assert str(outcome.result) == (
        "x.tif: is 63 x 64 pixels, smaller than one patch of 64 x 64; export the whole field of view"
    )
