"""From a dense checkpoint to a bundle: its windows, what engines are tried with, its verdicts."""

import hashlib
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.bundle.compared import SegmentComparison
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.bundle.window import Windows
from colvi_edge.errors import BundleError, UsageError
from colvi_edge.export.converting.calibration import Calibration, Images
from colvi_edge.export.converting.dense.halo import Asked
from colvi_edge.export.converting.dense.prepared import prepared
from colvi_edge.export.converting.manifest import Description
from colvi_edge.export.converting.package import Report, Settings, package
from colvi_edge.export.networks.known import build_known
from colvi_edge.export.reading.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from colvi_edge.patches import Normalisation, normalise_image, project
from colvi_edge.windows import plan
from tests.export.converting.dense.conftest import NUCLEI, PARAMETERS
from tests.export.converting.test_bioimageio import zoo_test

ABOUT = Description("dense test", "0.0.0", "A network for tests.", "# Test\n", "unet")
FLOATS = Settings(("fp32",))


@pytest.fixture(scope="module")
def made(
    trained: Checkpoint, images: Calibration, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, Report]:
    """Return the checkpoint's bundle in every precision."""
    path = tmp_path_factory.mktemp("dense") / "nuclei.colvi"
    ready = prepared(trained, Asked(), None, freeze_norm=False)
    report = package(ready, path, ABOUT, Settings(), images)
    return open_bundle(path), report


def test_a_checkpoint_of_any_task_comes_back(trained: Checkpoint, tmp_path: Path) -> None:
    """Written and read: network, parameters, task, windows, channels, normalisation."""
    save_checkpoint(tmp_path / "model.pt", trained)
    again = load_checkpoint(tmp_path / "model.pt")

    for name in ("name", "channels", "activation", "normalisation", "parameters", "task", "windows", "input"):
        assert getattr(again, name) == getattr(trained, name)
    noise = torch.randn(1, 1, 16, 24)
    assert torch.equal(again.probabilities()(noise), trained.probabilities()(noise))


def test_the_windows_are_those_of_the_reach(made: tuple[Bundle, Report]) -> None:
    """22 px of reach on a raster of 4 px are a halo of 24; windows as in the training, four halos wide."""
    windows = made[0].config.windows

    assert windows == Windows(px=96, halo_px=24, step_px=4, reach_px=22)


def test_every_precision_draws_as_torch_does(made: tuple[Bundle, Report]) -> None:
    """On both runtimes; tiles and whole image are equal, in INT8 to the pixel."""
    bundle, report = made

    assert [(row.precision, row.runtime) for row in report.rows if row.precision[:4] == "int8"] == [
        ("int8-trt", "onnxruntime"),
        ("int8-cpu", "openvino"),
        ("int8-cpu", "onnxruntime"),
    ]
    for row in report.rows:
        found = row.comparison
        assert isinstance(found, SegmentComparison)
        assert found.joins is not None
        assert found.joins.flips == 0, row.precision
        assert (found.joins.largest_dp is None) == (row.precision != "fp32")
        if row.precision == "fp32":
            assert found.joins.largest_dp is not None
            assert found.joins.largest_dp <= 1e-6
            assert row.faults == []
        assert found.regions[0].median_dice > 0.98, row.precision
    assert bundle.config.precisions["fp32"].passed("openvino")
    held = bundle.config.precisions["int8-cpu"].parity
    assert [(row.runtime, row.images) for row in held] == [("openvino", 2), ("onnxruntime", 2)]


def test_the_known_region_has_a_join_and_the_whole_answer(
    made: tuple[Bundle, Report], trained: Checkpoint
) -> None:
    """Two windows high and wide, raw, and what torch says of it without any windows."""
    bundle = made[0]
    known = bundle.known_region()
    assert known is not None
    windows = bundle.config.windows
    assert isinstance(windows.px, int)
    height, width = known.planes.shape[2:]
    assert len(plan(height, width, windows.px, windows.halo_px, windows.step_px)) == 4
    image = normalise_image(project(known.planes), bundle.config.normalisation)
    padded = np.pad(image, ((0, 0), (0, -height % 4), (0, -width % 4)))
    with torch.inference_mode():
        whole = trained.probabilities()(torch.from_numpy(padded[np.newaxis]))[0, :, :height, :width]

    assert known.planes.dtype == np.uint16
    np.testing.assert_allclose(known.field, whole.permute(1, 2, 0).numpy(), atol=5e-4)  # half precision
    share = (known.field.argmax(2) == 1).mean()
    assert 0.02 < share < 0.98  # of both classes


def test_the_zoo_takes_it(made: tuple[Bundle, Report], tmp_path: Path) -> None:
    """Free sizes on the raster, a halo to crop; other sizes run, too."""
    bundle = made[0]
    manifest = yaml.safe_load((bundle.path / MANIFEST).read_text())
    code, printed = zoo_test(bundle.path / MANIFEST, tmp_path)

    assert code == 0, printed
    assert "❌" not in printed
    assert "Reproduce test outputs from test inputs (onnx)" in printed
    assert [axis["size"] for axis in manifest["inputs"][0]["axes"][2:]] == [{"min": 52, "step": 4}] * 2
    assert [(axis["size"]["axis_id"], axis["halo"]) for axis in manifest["outputs"][0]["axes"][2:]] == [
        ("y", 24),
        ("x", 24),
    ]


def test_a_bundle_whose_field_is_another_is_refused(
    made: tuple[Bundle, Report], copied: Callable[..., Path]
) -> None:
    """Of three classes, or no probabilities: an array is checked before an engine sees it."""
    field = np.load(io.BytesIO(made[0].read("verification_field.npy")))
    for wrong, words in (
        (np.repeat(field, 2, axis=2), "expected"),
        (field + 1, "no probabilities"),
    ):
        path = copied(made[0], {"verification_field.npy": wrong})
        with pytest.raises(BundleError, match=words):
            open_bundle(path)


def test_a_region_has_a_size(made: tuple[Bundle, Report], copied: Callable[..., Path]) -> None:
    """In pixels of all planes: three of 4 million are more than an engine is tried with."""
    planes = np.zeros((3, 1, 2048, 2048), np.uint8)

    with pytest.raises(BundleError, match="holds 3 planes of 2048 x 2048 pixels, 8388608 at most may be"):
        open_bundle(copied(made[0], {"verification_region.npy": planes}))
    open_bundle(copied(made[0], {"verification_region.npy": planes[:2]}))


def test_a_halo_too_small_is_caught_by_the_gate(
    trained: Checkpoint, images: Calibration, tmp_path: Path
) -> None:
    """Refused where nobody names it; named, its windows are compared with the whole image, and differ."""
    sharp = replace(trained, network=_without_sameness(trained))
    with pytest.raises(UsageError, match="the halo is 4 px"):
        prepared(replace(sharp, windows=Windows(px=96, halo_px=4)), Asked(), None, freeze_norm=False)
    ready = prepared(sharp, Asked(halo_px=4), None, freeze_norm=False)
    report = package(ready, tmp_path / "small.colvi", ABOUT, FLOATS, images)

    assert all("windows differ from the whole image by" in " ".join(row.faults) for row in report.failed)
    assert len(report.failed) == 2


@pytest.mark.parametrize("size_px", [96, 2052])
def test_a_halo_too_small_is_caught_in_images_of_any_size(size_px: int, tmp_path: Path) -> None:
    """In such as are one window of the bundle, and in such as are too large to be one."""
    torch.manual_seed(0)
    blurring = nn.Conv2d(1, 2, 9, padding=4)
    network = replace(_instance(), network=blurring.eval(), name="blurring", parameters={})
    ready = prepared(network, Asked(halo_px=0), None, freeze_norm=False)
    noise = np.random.default_rng(0).integers(0, 4096, (1, 1, size_px, size_px), np.uint16)
    held_out = Images(["noise"], [noise], [""])
    report = package(ready, tmp_path / "small.colvi", ABOUT, FLOATS, Calibration(held_out, held_out))

    assert ready.windows == Windows(px=96, reach_px=4)
    assert len(report.failed) == 2
    assert all("windows differ from the whole image by" in " ".join(row.faults) for row in report.failed)


def test_what_is_known_of_a_region_is_the_whole_regions_answer(
    trained: Checkpoint, images: Calibration, tmp_path: Path
) -> None:
    """Not what windows of too small a halo make of it."""
    sharp = replace(trained, network=_without_sameness(trained))
    ready = prepared(sharp, Asked(halo_px=4), None, freeze_norm=False)
    package(ready, tmp_path / "small.colvi", ABOUT, FLOATS, images)
    known = open_bundle(tmp_path / "small.colvi").known_region()
    assert known is not None
    height, width = known.planes.shape[2:]
    image = normalise_image(project(known.planes), ready.normalisation)
    padded = np.pad(image, ((0, 0), (0, -height % 4), (0, -width % 4)))
    with torch.inference_mode():
        whole = sharp.probabilities()(torch.from_numpy(padded[np.newaxis]))[0, :, :height, :width]

    np.testing.assert_allclose(known.field, whole.permute(1, 2, 0).numpy(), atol=5e-4)  # half precision


def test_windows_that_overlap_are_measured_by_their_steps(images: Calibration, tmp_path: Path) -> None:
    """A network with InstanceNorm, blended: no whole image to compare with, but no step at a join."""
    live = _instance()
    ready = prepared(live, Asked(join="blend"), None, freeze_norm=False)
    report = package(ready, tmp_path / "blended.colvi", ABOUT, FLOATS, images)
    found = report.rows[0].comparison

    assert ready.windows.stride_px == 24
    assert isinstance(found, SegmentComparison)
    assert found.joins is not None
    assert found.joins.step is not None
    assert found.joins.step < 1.5
    assert found.joins.flips is None


def test_frozen_norms_need_images(images: Calibration) -> None:
    """And then the reach has an end, and the windows a halo."""
    with pytest.raises(UsageError, match="--freeze-norm takes its constants from images"):
        prepared(_instance(), Asked(), None, freeze_norm=True)
    ready = prepared(_instance(), Asked(), images, freeze_norm=True)

    assert (ready.windows.halo_px, ready.windows.reach_px) == (24, 22)
    assert "constants" in ready.told


def _without_sameness(trained: Checkpoint) -> torch.nn.Module:
    """The same network with sharper answers, so that what is missing at an edge shows."""
    network = build_known("unet", 1, PARAMETERS)
    network.load_state_dict(trained.network.state_dict())
    with torch.no_grad():
        network.head.weight.mul_(4)  # type: ignore[union-attr,operator]
    return network.eval()


def _instance() -> Checkpoint:
    """An untrained network with InstanceNorm."""
    torch.manual_seed(0)
    parameters = {**PARAMETERS, "norm": "instance"}
    return Checkpoint(
        network=build_known("unet", 1, parameters).eval(),
        name="unet",
        channels=("nuclei",),
        activation="softmax",
        temperature=1.0,
        normalisation=Normalisation("image"),
        training={},
        parameters=parameters,
        task=NUCLEI,
        windows=Windows(px=96),
    )


@pytest.fixture
def copied(tmp_path: Path) -> Callable[..., Path]:
    """Return what copies a bundle with other arrays in it, and sums that fit."""

    def copy(bundle: Bundle, arrays: dict[str, NDArray[Any]]) -> Path:
        path = tmp_path / f"copy{len(list(tmp_path.iterdir()))}.colvi"
        shutil.copytree(bundle.path, path)
        for name, array in arrays.items():
            np.save(path / name, array)
        sums = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in path.iterdir()}
        del sums["SHA256SUMS"]
        (path / "SHA256SUMS").write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
        return path

    return copy
