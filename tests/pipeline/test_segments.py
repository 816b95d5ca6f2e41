"""From a raw file to regions, objects and their files, with a network whose answer plain arithmetic gives."""

import csv
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage.measure import label, regionprops

pytest.importorskip("torch")  # absent where the runtime is tried alone: make floors

import torch

from colvi_edge.bundle import Bundle, Config
from colvi_edge.choices import EngineName
from colvi_edge.engines.opening import open_exactly
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.simulate import simulate_planes, write_imagej
from tests.tools.results import files_of
from tests.tools.unets import to_onnx
from tests.tools.windowed_bundles import windowed_bundle

SLOPE, EDGE = 4.0, 1.5


class Brightness(torch.nn.Module):
    """What is brighter than EDGE standard deviations above the mean is a nucleus."""

    def forward(self, windows: Any) -> Any:
        """(N, 1, h, w) -> (N, 2, h, w)."""
        nucleus = torch.sigmoid(SLOPE * (windows[:, 0] - EDGE))
        return torch.stack([1 - nucleus, nucleus], dim=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return a function that gives a bundle of it for summed planes, or for each."""
    network = to_onnx(Brightness(), 1, 64)

    def made(planes: str) -> Bundle:
        folder = tmp_path_factory.mktemp("bundle") / "nuclei.colvi"
        windows = {"px": 128, "halo_px": 0, "step_px": 1}
        plain = windowed_bundle(
            folder, {"fp32": network}, windows, channels=("nuclei",), classes=("background", "nucleus")
        )
        config = plain.config.model_dump(mode="json", exclude_none=True)
        config["input"]["planes"] = planes
        config["task"]["decision"] = {
            "rule": "threshold",
            "of": "nucleus",
            "at_least": 0.5,
            "smallest_px": 30,
        }
        config["task"]["objects"] = {"split": "none"}
        return replace(plain, config=Config.model_validate(config))

    return made


def expected(image: NDArray[Any]) -> NDArray[np.int64]:
    """Return the objects of an image (H, W), numbered as they come, as NumPy and scikit-image find them."""
    above = (image - image.mean()) / image.std() > EDGE
    pieces = label(above, connectivity=2)
    kept = [piece.label for piece in regionprops(pieces) if piece.area >= 30]
    return np.searchsorted(kept, pieces, side="left") * np.isin(pieces, kept) + np.isin(pieces, kept)


@pytest.mark.parametrize("planes", ["sum", "each"])
def test_a_stack_is_segmented_whole_or_plane_by_plane(
    tmp_path: Path, bundle: Callable[[str], Bundle], planes: str
) -> None:
    """Labels, table and record are what plain arithmetic on the raw pixels says."""
    stack = simulate_planes("control", 3, planes=3, size_px=320)
    write_imagej(tmp_path / "stack.tif", stack)
    nuclei = stack[:, 0].astype(float)
    judged = nuclei if planes == "each" else nuclei.sum(axis=0, keepdims=True)
    expects = [expected(image) for image in judged]
    numbered = np.stack(
        [found + (found > 0) * sum(e.max() for e in expects[:z]) for z, found in enumerate(expects)]
    )

    of = bundle(planes)
    with closing(open_exactly(EngineName.OPENVINO, of, "fp32", "a test")) as engine:
        (outcome,) = process(Diagnoser(of, engine), find_inputs([tmp_path]))
    assert isinstance(outcome.result, Sidecar), outcome.result
    record = json.loads((tmp_path / "stack.tif.colvi.json").read_bytes())
    labels = tifffile.imread(tmp_path / "stack.tif.colvi.labels.tif")

    assert record["status"] == "ok"
    assert record["objects"]["count"] == numbered.max() > 5
    assert np.mean(labels.reshape(numbered.shape) != numbered) < 1e-5  # a pixel at the very edge may turn
    assert record["regions"][0]["pixels"] == np.count_nonzero(labels)
    with (tmp_path / "stack.tif.colvi.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["area_px"]) for row in rows] == np.bincount(labels.ravel())[1:].tolist()
    assert {int(row["plane"]) for row in rows} == set(range(len(judged)))
    assert {path.name for path in tmp_path.glob("*.colvi.*")} == files_of("stack.tif", "labels.tif")
