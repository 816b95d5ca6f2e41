"""A dense bundle's region with a known answer: engines are tried on it, across its joins, when opened."""

from contextlib import closing
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from colvi_edge.bundle import DEMO_NUCLEI, Bundle, demo_path, open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.scene import Scene
from colvi_edge.errors import BundleError, ParityError
from colvi_edge.patches import Normalisation, normalise_image, project
from colvi_edge.windows import plan
from tests.tools.bundles import reseal
from tests.tools.engines import ENGINES
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


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_is_tried_on_the_region(engine: str, tmp_path: Path) -> None:
    """It answers as the network in torch did, and is opened."""
    bundle = bundle_of(tmp_path)
    assert len(plan(EDGE_PX, EDGE_PX, 96, 24, 4)) == 9

    with closing(open_engine(bundle, engine, "fp32")) as opened:
        assert opened.info.precision == "fp32"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_answers_otherwise_is_refused(engine: str, tmp_path: Path) -> None:
    """With what is beyond the gate, and the remedy; a tenth of the region is enough."""
    with pytest.raises(ParityError, match=r"fp32 on .* does not decide as the trained network does: .*; use"):
        open_engine(bundle_of(tmp_path, said_by=3, part=0.1), engine, "fp32")


@pytest.mark.parametrize("engine", ENGINES)
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


def without_numbers(data: bytes) -> bytes:
    """Return a network whose last biases are infinite, of which a softmax makes NaN."""
    model = onnx.load_from_string(data)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    bias = next(known for known in model.graph.initializer if known.name == last.input[2])
    bias.CopyFrom(numpy_helper.from_array(np.full(bias.dims, np.inf, np.float32), bias.name))
    return model.SerializeToString()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_gives_no_probabilities_is_refused(engine: str, tmp_path: Path) -> None:
    """Of them no map can be made; that is a fault like any other, and no traceback."""
    planes = scene((1, 2, EDGE_PX, EDGE_PX), seed=3)
    broken = without_numbers(to_onnx(unet(7, depth=2), 2, 64))
    known = np.full((EDGE_PX, EDGE_PX, 3), 1 / 3, np.float32)
    bundle = windowed_bundle(tmp_path, {"fp32": broken}, WINDOWS, known=(planes, known))

    with pytest.raises(ParityError, match="images get no probabilities, none may; use"):
        open_engine(bundle, engine, "fp32")


def test_fp32_takes_over_from_what_gives_no_probabilities(tmp_path: Path) -> None:
    """Where nobody named a precision, as from one that decides otherwise."""
    folder = copytree(demo_path(DEMO_NUCLEI), tmp_path / "copied.colvi")
    quick = folder / "int8-cpu.onnx"
    quick.write_bytes(without_numbers((folder / "fp32.onnx").read_bytes()))
    reseal(folder)

    with closing(open_engine(open_bundle(folder), "onnxruntime")) as engine:
        assert engine.info.precision == "fp32"
        assert "images get no probabilities" in engine.info.reason


@pytest.mark.parametrize(
    ("region", "field", "resize_px"),
    [
        ((1, 2, 96, 96), (96, 95, 3), None),
        ((1, 2, 96, 96), (1, 1, 3), None),
        ((1, 2, 32, 48), (32, 48, 3), (32, 48)),
        ((1, 2, 48, 32), (1, 1, 3), (32, 48)),
    ],
    ids=["another width", "one answer for pixels", "pixels for one answer", "another size"],
)
def test_a_region_that_its_field_does_not_fit_is_damage(
    region: tuple[int, ...], field: tuple[int, ...], resize_px: tuple[int, int] | None, tmp_path: Path
) -> None:
    """A sentence with both shapes: what cannot be compared was exported wrong."""
    known = np.zeros(region, np.uint16), np.full(field, 1 / 3, np.float32)
    windows = {"px": "whole"} if resize_px else WINDOWS
    bundle = windowed_bundle(tmp_path, {"fp32": b""}, windows, resize_px=resize_px, known=known)

    with pytest.raises(BundleError, match=r"field\.npy holds .*, and region\.npy .*; export again"):
        bundle.known_region()


def test_a_region_of_a_whole_image_has_one_answer(tmp_path: Path) -> None:
    """Of the size that images are brought to."""
    known = np.zeros((1, 2, 32, 48), np.uint16), np.full((1, 1, 3), 1 / 3, np.float32)
    bundle = windowed_bundle(tmp_path, {"fp32": b""}, {"px": "whole"}, resize_px=(32, 48), known=known)

    found = bundle.known_region()

    assert found is not None
    assert found.field.shape == (1, 1, 3)
