"""Images that were diagnosed as a user does it, with every file that other programs open."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.outputs import ome_tiff
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.simulate import simulate_projection, write_imagej

RUN = [sys.executable, "-c", "from colvi_edge.cli import main; main()", "run"]
KINDS = ("json", "png", "geojson", "rois.zip", "csv", "ome.tif")


class Shown(NamedTuple):
    """A raw file, its JSON as parsed, and the file for each kind of viewer."""

    raw: NDArray[np.uint16]
    record: dict[str, Any]
    picture: Path
    geojson: Path
    roi_zip: Path
    table: Path
    ome_tiff: Path

    @property
    def patches(self) -> dict[str, dict[str, Any]]:
        """What the JSON says of each patch, by its name."""
        grid = self.record["patches"]
        return {
            f"r{row:02}_c{col:02}": {
                key: grid[key][row][col] for key in ("p_control", "p_patient", "vote", "band")
            }
            | {"x": 64 * col, "y": 64 * row}
            for row in range(grid["rows"])
            for col in range(grid["cols"])
        }


@pytest.fixture(scope="session")
def show(
    tmp_path_factory: pytest.TempPathFactory, tolerant_bundle: Path
) -> Callable[[NDArray[np.uint16]], Shown]:
    """Return a function that diagnoses an image, (2, H, W): nuclei, collagen; it may be a collage."""

    def shown(image: NDArray[np.uint16]) -> Shown:
        raw = tmp_path_factory.mktemp("shown") / "culture.tif"
        write_imagej(raw, image)
        subprocess.run([*RUN, raw, "--bundle", tolerant_bundle], check=True, capture_output=True)
        beside = {kind: raw.with_name(f"{raw.name}.colvi.{kind}") for kind in KINDS}
        sidecar = beside["json"].read_bytes()
        nuclei, collagen = tifffile.imread(raw)
        beside["ome.tif"].write_bytes(ome_tiff.render(Sidecar.model_validate_json(sidecar), collagen, nuclei))
        return Shown(image, json.loads(sidecar), *(beside[kind] for kind in KINDS[1:]))

    return shown


@pytest.fixture(scope="session")
def mixed(show: Callable[[NDArray[np.uint16]], Shown]) -> Shown:
    """Return an image of 256 patches, a quarter healthy, with all five colours."""
    healthy = simulate_projection("control", 11)
    ill = simulate_projection("patient", 12, severity=0.35, difficulty=0.9)
    shown = show(np.concatenate([healthy[..., :256], ill[..., 256:]], axis=2))
    assert len({patch["band"] for patch in shown.patches.values()}) == 5
    return shown
