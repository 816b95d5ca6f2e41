"""A real worker starts on a bundle of every normalisation and dtype, and judges as the oracle does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from colvi_edge.patches import Normalisation, network_input
from colvi_edge.simulate import simulate_planes
from colvi_edge.watch.ipc.messages import WorkerReady
from tests.tools.bundles import in_dtype, network_of, renormalise
from tests.watch.worker.test_worker import Supervised, settings_for

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "patch": ("uint16", {"kind": "patch"}),
    "patch, float32 images": ("float32", {"kind": "patch"}),
    "patch-channel": ("uint16", {"kind": "patch-channel"}),
    "fixed": ("uint16", {"kind": "fixed", "mean": [300.0, 500.0], "std": [250.0, 400.0]}),
    "scale, uint8": ("uint8", {"kind": "scale", "divisor": 255.0, "dtype": "uint8"}),
    "scale, uint16": ("uint16", {"kind": "scale", "divisor": 4095.0, "dtype": "uint16"}),
    "scale, float32": ("float32", {"kind": "scale", "divisor": 1.0, "dtype": "float32"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_normalisation_is_watched(tmp_path: Path, copied_bundle: Path, name: str) -> None:
    """From the first blank image on: also where the bundle takes no 16-bit pixels."""
    dtype, normalisation = KINDS[name]
    renormalise(copied_bundle, dtype, **normalisation)
    root = tmp_path / "root"
    root.mkdir()
    culture = in_dtype(simulate_planes("control", 3, planes=1, size_px=512), dtype)
    tifffile.imwrite(root / "x.tif", culture, imagej=True, metadata={"axes": "ZCYX"})

    with Supervised(settings_for(root, bundle=str(copied_bundle), precision="fp32")) as worker:
        assert worker.answer(WorkerReady).precision == "fp32"
        assert worker.work(root, "x.tif").outcome == "ok"

    in_order = culture[:, ::-1]  # the file has the nuclei first, the bundle the collagen
    expected = network_of(copied_bundle, network_input(in_order, 64, Normalisation(**normalisation)))
    found = json.loads((root / "x.tif.colvi.json").read_bytes())["patches"]
    p_control = np.array(found["p_control"]).ravel()
    np.testing.assert_allclose(p_control, expected[:, 0], atol=1e-4)
    assert p_control.std() > 0 or name.startswith("scale"), "a network that says one thing shows nothing"


def test_another_dtype_than_the_bundle_takes_is_the_files_fault(tmp_path: Path, copied_bundle: Path) -> None:
    """An error record, and the worker goes on."""
    renormalise(copied_bundle, "uint8", kind="scale", divisor=255.0, dtype="uint8")
    culture = simulate_planes("control", 3, planes=1, size_px=512)
    for name, pixels in (("deep", culture), ("fitting", in_dtype(culture, "uint8"))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, imagej=True, metadata={"axes": "ZCYX"})

    with Supervised(settings_for(tmp_path, bundle=str(copied_bundle), precision="fp32")) as worker:
        worker.answer(WorkerReady)
        refused = worker.work(tmp_path, "deep.tif")
        assert (refused.outcome, refused.kind) == ("error", "pixel_type")
        assert worker.work(tmp_path, "fitting.tif").outcome == "ok"
