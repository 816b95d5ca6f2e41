"""The masks of simulated nuclei: where their edge lies, whose a pixel is, and what is written."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.errors import UsageError
from colvi_edge.export.data.dataset import digest_of
from colvi_edge.simulate import (
    image_seed,
    simulate_folder,
    simulate_mask,
    simulate_planes,
    simulate_projection,
)
from colvi_edge.simulate.images import is_simulated

EIGHT = np.ones((3, 3))
OVERLAPPING = 17
"""Of a series, the first image in which two nuclei overlap."""


def half_maximum(nuclei: NDArray[np.uint16], mask: NDArray[np.uint16]) -> float:
    """Return how far outside the mask's edge the mean profile across it falls to half, pixels."""
    outside, inside = (ndimage.distance_transform_edt(mask == 0), ndimage.distance_transform_edt(mask > 0))
    distance = np.where(mask, 0.5 - inside, outside - 0.5)  # the edge runs between pixels
    background, core = np.median(nuclei[distance > 25]), np.median(nuclei[distance < -6])
    at = np.arange(-8, 9)
    mean = [nuclei[np.abs(distance - d) <= 0.5].mean() for d in at]
    return float(np.interp(0.5, (np.array(mean) - background)[::-1] / (core - background), at[::-1]))


@pytest.mark.parametrize("seed", range(3))
def test_the_edge_is_where_the_light_comes_to_half(seed: int) -> None:
    """In the noisy, blurred picture the mean profile is at half of its height 1 px inside the mask."""
    mask = simulate_mask("patient", seed)

    assert -1.5 < half_maximum(simulate_projection("patient", seed)[0], mask) < 0


def test_planes_and_projections_have_the_same_nuclei() -> None:
    """The mask fits the sum of the planes as it does the projection, of either class and any severity."""
    mask = simulate_mask("patient", 5, severity=1.0, size_px=512)

    assert np.array_equal(mask, simulate_mask("control", 5, size_px=512))
    assert -1.5 < half_maximum(simulate_planes("control", 5, planes=3, size_px=512)[:, 0].sum(0), mask) < 0


def test_numbers_run_from_one_and_each_is_one_piece() -> None:
    """Each number up to the largest is there once, also where nuclei overlap."""
    overlapping = simulate_mask("control", image_seed(77, OVERLAPPING))
    mask = simulate_mask("control", 3)

    for labels in (mask, overlapping):
        assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
        assert all(ndimage.label(labels == number, EIGHT)[1] == 1 for number in range(1, labels.max() + 1))
    assert ndimage.label(mask > 0, EIGHT)[1] == mask.max()
    assert ndimage.label(overlapping > 0, EIGHT)[1] < overlapping.max()


def test_the_demo_models_pictures_are_drawn_as_they_were() -> None:
    """What draws masks has not changed a pixel of the images: the shipped model knows some again."""
    seen = open_bundle(DEMO).config.seen
    for k, label in enumerate(("control", "patient")):
        drawn = simulate_projection(label, image_seed(4294967296, k))  # type: ignore[arg-type]

        assert digest_of(drawn[np.newaxis, ::-1]) in seen


def test_masks_lie_beside_images_that_do_not_change(tmp_path: Path) -> None:
    """Each image has a mask of its name, uint16 and marked as drawn; the images are those without masks."""
    plain = simulate_folder(tmp_path / "plain", 2, seed=4)
    both = simulate_folder(tmp_path / "both", 2, seed=4, masks=True)

    assert [path.read_bytes() for path in both] == [path.read_bytes() for path in plain]
    assert not (tmp_path / "plain/masks").exists()
    for k, path in enumerate(both):
        mask = tmp_path / "both/masks" / path.name
        with tifffile.TiffFile(mask) as file:
            labels = file.asarray()
            numerator, denominator = file.pages.first.tags["XResolution"].value
        assert labels.dtype == np.uint16
        assert 1e4 * denominator / numerator == pytest.approx(0.3)
        assert np.array_equal(labels, simulate_mask(("control", "patient")[k], image_seed(4, k)))
        assert is_simulated(mask)
        assert mask.stat().st_size < 50_000


def test_a_foreign_mask_is_never_overwritten(tmp_path: Path) -> None:
    """Somebody's own mask stops the simulation before anything is written."""
    foreign = tmp_path / "masks/patient_0_0001.tif"
    foreign.parent.mkdir()
    foreign.write_bytes(b"II*\0 drawn by hand")

    with pytest.raises(UsageError, match=r"patient_0_0001\.tif is not a synthetic image"):
        simulate_folder(tmp_path, 2, masks=True)
    assert [path.name for path in tmp_path.rglob("*.tif")] == [foreign.name]
