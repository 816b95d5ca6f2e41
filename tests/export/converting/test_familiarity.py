"""Limits that training images set: the published factors, what they promise, what they are made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import norm

from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.cli.show.export import familiarity_told
from colvi_edge.export.converting.calibration import read_samples
from colvi_edge.export.converting.familiarity import (
    AT_LEAST,
    CONFIDENCE,
    COVERAGE,
    STRETCHED,
    STRETCHED_STRUCTURE,
    Fitted,
    Sample,
    fit,
    sample,
    tolerance_factor,
)
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, load_checkpoint
from colvi_edge.quality.familiarity import STRUCTURE, Familiar, Measured, whitening
from colvi_edge.simulate import simulate_projection, write_imagej


def drawn(count: int, seed: int = 0, size_px: int = 1024) -> list[Sample]:
    """Samples whose measures are normally distributed, without an image behind them."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        nuclei: dict[Any, float] = {
            "nuclei_background": float(np.exp(rng.normal(-4, 0.2))),
            "nuclei_size": float(np.exp(rng.normal(3, 0.1))),
            "nuclei_speckle": float(rng.normal(0.5, 0.05)),
            "straight_lines": float(np.exp(rng.normal(1, 0.1))),
        }
        structure = rng.normal(0, 1, STRUCTURE)
        measured = Measured(nuclei, structure, 0.4, size_px**2)
        samples.append(Sample(measured, structure + rng.normal(0, 1, (3, STRUCTURE))))
    return samples


def fitted(samples: list[Sample]) -> Fitted:
    """What is fitted to enough of them."""
    found = fit(samples)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("images", "factor"), [(4, 9.215), (10, 5.203), (20, 4.319), (50, 3.766), (100, 3.539), (1000, 3.220)]
)
def test_the_factors_are_the_published_ones(images: int, factor: float) -> None:
    """One-sided normal tolerance factors, 99.9 % with a confidence of 95 % [Owen; Natrella, table A-7]."""
    assert (COVERAGE, CONFIDENCE) == (0.999, 0.95)
    assert tolerance_factor(images) == pytest.approx(factor, rel=5e-4)


def test_the_limits_hold_what_they_promise() -> None:
    """Of limits that are not stretched, 19 in 20 have 99.9 % of the true distribution on their side."""
    held = []
    for seed in range(200):
        limits = fitted(drawn(12, seed)).familiarity.limits["nuclei_size"]
        middle, high, low = np.log([limits.typical, limits.high, limits.low])
        for reach in (high - middle, middle - low):
            side = (middle - 3) * (1 if reach == high - middle else -1)
            held.append(norm.cdf((side + reach / STRETCHED) / 0.1) >= COVERAGE)

    assert np.mean(held) == pytest.approx(CONFIDENCE, abs=0.03)


def test_fewer_images_give_wider_limits() -> None:
    """In the mean of many draws; the manifest says how many there were."""

    def widths(count: int) -> NDArray[Any]:
        found = [fitted(drawn(count, seed)).familiarity for seed in range(24)]
        assert {one.images for one in found} == {count}
        spans = [[limits.high / limits.typical for limits in one.limits.values()] for one in found]
        return np.median(spans, axis=0)

    assert (widths(8) > 1.02 * widths(24)).all()
    assert (widths(24) > 1.005 * widths(96)).all()


def test_the_distance_is_to_the_nearest_other_image() -> None:
    """Neither to itself nor to what was made from it: cross-validation."""
    samples = drawn(30, seed=3)
    found = fitted(samples)

    images = np.array([one.measured.structure for one in samples])
    rows = np.concatenate([images, *(one.forms for one in samples)])
    owner = np.concatenate([np.arange(30), np.repeat(np.arange(30), 3)])
    by = whitening(images)
    among = cdist(images @ by, rows @ by) / STRUCTURE**0.5
    among[np.arange(30)[:, np.newaxis] == owner] = np.inf
    nearest = np.log(among.min(axis=1))
    wanted = STRETCHED_STRUCTURE * np.exp(nearest.mean() + tolerance_factor(30) * nearest.std(ddof=1))
    assert found.familiarity.limits["collagen_structure"].high == pytest.approx(wanted, rel=1e-4)
    assert found.references == pytest.approx(rows.astype(np.float32))


def test_images_that_the_others_would_reject_are_counted() -> None:
    """One among forty is of another kind."""
    samples = drawn(40)
    odd = samples[7].measured
    odd.nuclei["nuclei_size"] *= 50

    assert fitted(drawn(40)).familiarity.rejected_left_out == 0
    assert fitted(samples).familiarity.rejected_left_out == 1


@pytest.mark.parametrize("known", range(AT_LEAST))
def test_too_few_images_set_no_limits(known: int) -> None:
    """Nor do many of which nearly none has collagen outside its cells."""
    samples = drawn(known)
    in_cells = [one._replace(measured=one.measured._replace(structure=None)) for one in drawn(20, seed=5)]

    assert fit(samples) is None
    assert fit(samples + in_cells) is None
    assert fit(drawn(AT_LEAST) + in_cells) is not None


@settings(max_examples=10, deadline=None)
@given(count=st.integers(AT_LEAST, 30), seed=st.integers(0, 1000))
def test_a_checkpoint_keeps_all_of_it(count: int, seed: int) -> None:
    """As words and numbers."""
    found = fitted(drawn(count, seed))

    again = Fitted.from_plain(found.as_plain())

    assert again.familiarity == found.familiarity
    assert (again.references == found.references).all()
    assert again.references.dtype == np.float32


def test_it_is_said_whose_images_set_the_limits() -> None:
    """A checkpoint of ours knows what it learnt from; for a foreign network the calibration stands in."""
    found = fitted(drawn(40))

    assert familiarity_told(found, of_training=True).startswith(
        "An image that is unlike 40 training images will be rejected as unfamiliar. "
    )
    assert familiarity_told(found, of_training=False).startswith(
        "An image that is unlike the 40 images of --calibration will be rejected as unfamiliar. "
    )


def test_training_images_of_the_demo_are_those_of_its_bundle() -> None:
    """What `train` measured stands in the bundle; enough images, none of which the others would reject."""
    carried = open_bundle(DEMO).config.familiarity
    kept = Fitted.from_plain(load_checkpoint(DEMO_CHECKPOINT).training["familiarity"])

    assert carried == kept.familiarity
    assert (kept.familiarity.images, kept.familiarity.rejected_left_out) == (168, 0)


def test_a_channel_that_was_not_recorded_is_no_sample() -> None:
    """A constant says nothing about cultures."""
    culture = simulate_projection("control", 5, size_px=256)
    measured = sample(culture[1:], culture[:1])

    assert sample(np.full((1, 256, 256), 7), culture[:1]) is None
    assert sample(culture[1:], np.zeros((1, 256, 256))) is None
    assert measured is not None
    assert measured.forms.shape == (19, STRUCTURE)
    assert np.isfinite(measured.forms).all()


def test_images_of_a_folder_set_limits_in_which_they_lie(tmp_path: Path) -> None:
    """Images of a network that another program trained; what is no image is passed over."""
    for k in range(8):
        label = ("control", "patient")[k % 2]
        write_imagej(
            tmp_path / label / f"{k}.tif",
            simulate_projection("control" if k % 2 else "patient", k, size_px=384),
        )
    (tmp_path / "control" / "notes.tif").write_bytes(b"no image")
    told: list[tuple[int, int]] = []

    samples = read_samples(tmp_path, lambda done, of: told.append((done, of)))
    found = fitted(samples)
    rows = found.references.astype(np.float64)
    familiar = Familiar(found.familiarity.limits, found.familiarity.pixels, rows, whitening(rows[:8]))

    assert told == [(done, 9) for done in range(1, 10)]
    assert found.familiarity.images == len(samples) == 8
    assert found.familiarity.pixels == 384**2
    assert all(measure.is_familiar for one in samples for measure in familiar.compare(one.measured))
