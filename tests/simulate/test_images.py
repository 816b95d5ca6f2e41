"""Synthetic images: files, statistics and honesty of what the demo model is trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from colvi_edge.errors import UsageError
from colvi_edge.simulate import (
    image_seed,
    simulate_folder,
    simulate_planes,
    simulate_projection,
    write_imagej,
)
from colvi_edge.simulate.images import axial_shares
from colvi_edge.tasks.classify import CLASSES, ClassName


def coherence(collagen: NDArray[Any]) -> float:
    """Return how far the structure of an image has one direction in each 32 x 32 block, 0..1."""
    smooth = collagen.astype(float)
    for axis in (0, 1):
        smooth = np.mean([np.roll(smooth, shift, axis) for shift in range(-2, 3)], axis=0)
    dy, dx = np.gradient(smooth)
    yy, xx, xy = (product.reshape(16, 32, 16, 32).sum(axis=(1, 3)) for product in (dy * dy, dx * dx, dx * dy))
    return float(np.mean(np.hypot(yy - xx, 2 * xy) / (yy + xx)))


def test_planes_are_twelve_bit_and_rarely_saturated() -> None:
    """A plane holds 12-bit counts of two channels, and less than 1 pixel in 1000 is at the ceiling."""
    for seed, label in enumerate(CLASSES * 2):
        planes = simulate_planes(label, seed, planes=10, size_px=256)

        assert planes.shape == (10, 2, 256, 256)
        assert planes.dtype == np.uint16
        assert planes.min() > 0
        assert planes.max() <= 4095
        assert np.mean(planes == 4095) < 1e-3


@pytest.mark.parametrize("label", CLASSES)
def test_projection_is_distributed_as_the_sum_of_planes(label: ClassName) -> None:
    """For one seed the projection has the expectation and the noise of ten planes summed."""
    summed = simulate_planes(label, 7, size_px=512).sum(axis=0, dtype=np.int64)
    projection = simulate_projection(label, 7, size_px=512).astype(np.int64)

    for channel in range(2):
        difference = (summed - projection)[channel]
        by_brightness = np.argsort((summed + projection)[channel], axis=None)
        for part in np.array_split(difference.ravel()[by_brightness], 10):
            assert abs(part.mean()) < 5 * part.std() / part.size**0.5
    # Most of the nuclei's channel is even: there second differences show the noise of one image alone.
    alone = [_spread(np.diff(image[0], 2) / 6**0.5) for image in (summed, projection)]

    assert alone[0] == pytest.approx(alone[1], rel=0.02)
    assert _spread((summed - projection)[0]) == pytest.approx(2**0.5 * alone[1], rel=0.03)


def _spread(noise: NDArray[Any]) -> float:
    """Return the standard deviation of a normal distribution with this median distance from 0."""
    return float(np.median(np.abs(noise)) / 0.6745)


def test_one_seed_is_one_image() -> None:
    """The same seed gives the same image, also from a SeedSequence that was used before."""
    seed = image_seed(3, 5)
    first = simulate_projection("patient", seed, size_px=128)

    assert np.array_equal(first, simulate_projection("patient", seed, size_px=128))
    assert not np.array_equal(first, simulate_projection("patient", image_seed(3, 6), size_px=128))
    assert not np.array_equal(first, simulate_projection("patient", image_seed(4, 5), size_px=128))


def test_brightness_does_not_tell_the_classes_apart() -> None:
    """No threshold on a patch's mean collagen reaches an accuracy of 0.85."""
    images = [simulate_projection(CLASSES[k % 2], image_seed(1, k), size_px=512)[1] for k in range(16)]
    mean = np.concatenate([image.reshape(8, 64, 8, 64).mean(axis=(1, 3)).ravel() for image in images])
    patient = np.repeat(np.arange(16) % 2, 64)[np.argsort(mean)]
    below = np.concatenate([[0], np.cumsum(np.where(patient == 1, 1, -1))])
    best = 0.5 + np.abs(below).max() / patient.size

    assert best < 0.85


def test_structure_tells_the_classes_apart() -> None:
    """Fibrils of every control are more aligned than those of every patient."""
    measured = {
        label: [coherence(simulate_projection(label, seed, size_px=512)[1]) for seed in range(4)]
        for label in CLASSES
    }

    assert min(measured["control"]) > max(measured["patient"])


@settings(deadline=None)
@given(layers=st.integers(1, 24), reach=st.floats(0.2, 10))
def test_no_light_is_lost_between_planes(layers: int, reach: float) -> None:
    """Over all planes the shares of every layer add up to 1, so a projection needs no planes."""
    assert np.allclose(axial_shares(layers, reach).sum(axis=0), 1)


@pytest.mark.parametrize(("difficulty", "severity"), [(-0.1, None), (1.5, None), (0.5, 2.0), (0.5, -1.0)])
def test_knobs_are_bounded(difficulty: float, severity: float | None) -> None:
    """A knob beyond 0..1 is refused with a sentence that names it."""
    with pytest.raises(UsageError, match=r"difficulty .* severity .* between 0 and 1"):
        simulate_projection("patient", 0, difficulty=difficulty, severity=severity, size_px=64)


def test_imagej_sees_a_calibrated_composite(tmp_path: Path) -> None:
    """The file is an uncompressed ImageJ hyperstack with axes, labels, pixel size and spacing."""
    planes = simulate_planes("control", 1, planes=3, size_px=64)
    write_imagej(tmp_path / "stack.tif", planes)
    write_imagej(tmp_path / "projection.tif", planes[0])

    with tifffile.TiffFile(tmp_path / "stack.tif") as file:
        series, metadata = file.series[0], file.imagej_metadata or {}
        assert series.axes == "ZCYX"
        assert np.array_equal(series.asarray(), planes)
        assert metadata["Labels"] == ["nuclei", "collagen"] * 3
    with tifffile.TiffFile(tmp_path / "projection.tif") as file:
        metadata = file.imagej_metadata or {}
        assert file.series[0].axes == "CYX"
        assert metadata["Labels"] == ["nuclei", "collagen"]
    with Image.open(tmp_path / "stack.tif") as picture:
        described = dict(line.split("=", 1) for line in picture.tag_v2[270].splitlines() if "=" in line)
        assert picture.info["compression"] == "raw"
        assert float(picture.tag_v2[282]) == pytest.approx(1 / 0.3)
        assert np.array_equal(np.asarray(picture), planes[0, 0])
    assert described["unit"] == "micron"
    assert float(described["spacing"]) == 1.5
    assert (described["channels"], described["slices"], described["mode"]) == ("2", "3", "composite")
    assert "not a real culture" in described["synthetic"]


def test_an_image_does_not_depend_on_the_length_of_its_series(tmp_path: Path) -> None:
    """Image k of three is image k of two; both classes alternate; each path is reported once written."""
    reported: list[Path] = []
    two = simulate_folder(tmp_path / "two", 2, seed=9)
    three = simulate_folder(tmp_path / "three", 3, seed=9, progress=reported.append)

    assert [path.parent.name for path in three] == ["control", "patient", "control"]
    assert reported == three
    assert [path.read_bytes() for path in two] == [path.read_bytes() for path in three[:2]]
    assert sorted(tmp_path.glob("two/*/*")) == sorted(two)


def test_a_foreign_file_is_never_overwritten(tmp_path: Path) -> None:
    """A file of another origin stops the simulation before anything is written; our own is replaced."""
    ours = simulate_folder(tmp_path, 1)[0]
    before = ours.read_bytes()
    ours.write_bytes(before[:-1])
    simulate_folder(tmp_path, 1)
    assert ours.read_bytes() == before

    foreign = tmp_path / "patient" / "patient_0_0001.tif"
    foreign.parent.mkdir()
    foreign.write_bytes(b"II*\0 somebody's microscope")
    ours.unlink()
    with pytest.raises(UsageError, match=r"patient_0_0001\.tif is not a synthetic image"):
        simulate_folder(tmp_path, 2)
    with pytest.raises(UsageError, match="not a synthetic image"):
        write_imagej(foreign, np.zeros((2, 64, 64), np.uint16))

    assert foreign.read_bytes() == b"II*\0 somebody's microscope"
    assert not ours.exists()
