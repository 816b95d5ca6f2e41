"""A dense bundle's region with a known answer: engines are tried on it, across its joins, when opened."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.scene import Scene
from colvi_edge.errors import ParityError
from colvi_edge.patches import Normalisation, normalise_image, project
from colvi_edge.windows import plan
from tests.tools.unets import to_onnx, unet, whole
from tests.tools.windowed_bundles import scene, windowed_bundle

WINDOWS = {"px": 96, "halo_px": 24, "step_px": 4}
EDGE_PX = 2 * 96
"""Of the region: two windows high and wide, so that joins lie in it."""


def bundle_of(folder: Path, seed: int = 7, said_by: int = 7, part: float = 1) -> Bundle:
    """Return a bundle of the network of one seed whose region was answered by that of another.

    Args:
        folder: where its files are put.
        seed: of the network.
        said_by: seed of that which answered for a part of the region.
        part: how much of it, from the left.
    """
    network, other = unet(seed, depth=2), unet(said_by, depth=2)
    planes = scene((1, 2, EDGE_PX, EDGE_PX), seed=3)
    given = normalise_image(project(planes), Normalisation("image"))
    field, said = whole(network, given), whole(other, given)
    assert sorted(np.bincount(field.argmax(-1).ravel(), minlength=3))[1] > 10_000, "two classes"
    known = np.concatenate([said[:, : int(part * EDGE_PX)], field[:, int(part * EDGE_PX) :]], axis=1)
    return windowed_bundle(folder, {"fp32": to_onnx(network, 2, 64)}, WINDOWS, known=(planes, known))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_is_tried_on_the_region(engine: str, tmp_path: Path) -> None:
    """It answers as the network in torch did, and is opened."""
    bundle = bundle_of(tmp_path)
    assert len(plan(EDGE_PX, EDGE_PX, 96, 24, 4)) == 9

    with closing(open_engine(bundle, engine, "fp32")) as opened:
        assert opened.info.precision == "fp32"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_network_that_answers_otherwise_is_refused(engine: str, tmp_path: Path) -> None:
    """With what is beyond the gate, and the remedy; a tenth of the region is enough."""
    with pytest.raises(ParityError, match=r"fp32 on .* does not decide as the trained network does: .*; use"):
        open_engine(bundle_of(tmp_path, said_by=3, part=0.1), engine, "fp32")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_window_that_is_filled_from_beside_its_place_is_found_out(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is the right one, and so is what the first window shows: the region has more than that."""
    bundle, right = bundle_of(tmp_path), Scene.put

    def beside(self: Scene, window: NDArray[np.float32], top: int, left: int) -> None:
        right(self, window, top, left + 4 if left else 0)

    monkeypatch.setattr(Scene, "put", beside)
    with pytest.raises(ParityError):
        open_engine(bundle, engine, "fp32")
