"""Synthetic cultures: what severity takes away, and nuclei that give nothing away."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.simulate.culture import Culture, Light, draw_culture, grow, smooth_noise
from colvi_edge.tasks.classify import ClassName

CANVAS_PX = 1088


def culture_of(
    label: ClassName, seed: int, severity: float | None = None
) -> tuple[Culture, np.random.Generator]:
    """Return a culture's parameters and the generator that goes on to grow it."""
    rng = np.random.default_rng(seed)
    return draw_culture(label, rng, severity=severity), rng


def network_light(label: ClassName, seed: int, severity: float | None = None) -> float:
    """Return the light of fibrils and clumps alone."""
    culture, rng = culture_of(label, seed, severity)
    _, collagen = grow(dataclasses.replace(culture, cell_light=0), 512, rng)
    return float(collagen.strength.sum())


def test_severity_takes_the_collagen_away() -> None:
    """The network loses light from mild to severe; at severity 1 less than a tenth of a control's is left."""
    for seed in range(3):
        control = network_light("control", seed)
        patients = [network_light("patient", seed, severity) for severity in (0, 0.3, 0.6, 1)]

        assert control > patients[0]
        assert patients == sorted(patients, reverse=True)
        assert patients[-1] < 0.1 * control


def test_nuclei_do_not_give_the_class_away() -> None:
    """One seed places the same nuclei in a control and in a patient of any severity."""
    grown: list[Light] = []
    for label, severity in (("control", None), ("patient", None), ("patient", 1.0)):
        culture, rng = culture_of(label, 11, severity)  # type: ignore[arg-type]
        grown.append(grow(culture, 512, rng)[0])

    assert all(np.array_equal(grown[0].y, other.y) for other in grown)
    assert all(np.array_equal(grown[0].strength, other.strength) for other in grown)


def test_every_image_has_nuclei_of_the_right_size() -> None:
    """At least 15 nuclei lie wholly in a field of 1024 pixels, their long axis 10 to 23 um at 0.3 um."""
    for seed in range(8):
        culture, rng = culture_of("control", seed)
        nuclei, _ = grow(culture, CANVAS_PX, rng)
        inside = 0
        for depth in np.unique(nuclei.depth):
            y, x = nuclei.y[nuclei.depth == depth], nuclei.x[nuclei.depth == depth]
            covariance = np.cov(np.stack([y, x]))
            long_axis_px = 4 * np.sqrt(np.linalg.eigvalsh(covariance)[-1])  # of an even ellipse

            assert 10 < 0.3 * long_axis_px < 23
            inside += bool(min(y.min(), x.min()) > 32 and max(y.max(), x.max()) < CANVAS_PX - 32)
        assert inside >= 15


@settings(deadline=None)
@given(height=st.integers(40, 200), cell_px=st.floats(3, 20), seed=st.integers(0, 99))
def test_smooth_noise_is_standard(height: int, cell_px: float, seed: int) -> None:
    """Smooth noise has mean 0 and standard deviation 1, whatever its cells."""
    noise = smooth_noise((height, 300), cell_px, np.random.default_rng(seed))
    independent = height * 300 / cell_px**2

    assert noise.shape == (height, 300)
    assert abs(noise.mean()) < 8 / independent**0.5
    assert noise.std() == pytest.approx(1, abs=0.1 + 6 / independent**0.5)
