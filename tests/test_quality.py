"""Quality flags: bad images are found, and the sick are never turned away."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.bundle import Expected
from colvi_edge.quality import Flag, assess, saturated_share
from colvi_edge.simulate import simulate_planes, simulate_projection

EXPECTED = Expected(pixel_size_um=0.3, planes=10)


def acquired(planes: NDArray[Any]) -> Acquisition:
    """A simulated image (Z, 2, H, W), channels (nuclei, collagen), as if it had been read."""
    return Acquisition(
        name="x.tif",
        image_key="",
        planes=planes,
        channels=("nuclei", "collagen"),
        pixel_size_um=0.3,
        plane_spacing_um=1.5,
        planes_planned=None,
        provenance=Provenance(planes.nbytes, "0" * 64, "ZCYX", planes.shape),
    )


@pytest.fixture(scope="module")
def culture() -> Acquisition:
    """A good image."""
    return acquired(simulate_projection("patient", 5)[np.newaxis])


def found(acquisition: Acquisition) -> dict[str, Flag]:
    """The flags by name."""
    return {flag.name: flag for flag in assess(acquisition, EXPECTED)}


def blurred(image: NDArray[Any], sigma_px: float) -> NDArray[Any]:
    """A Gaussian blur through the Fourier transform, so that the test shares nothing with the code."""
    ky, kx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None]
    transfer = np.exp(-2 * (np.pi * sigma_px) ** 2 * (ky**2 + kx**2))
    smooth = np.fft.irfft2(np.fft.rfft2(image) * transfer, image.shape)
    return np.random.default_rng(0).normal(smooth, np.sqrt(smooth.clip(1))).clip(0, 65535).astype(image.dtype)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("label", "severity"), [("control", None), ("patient", 0.0), ("patient", 0.9), ("patient", 1.0)]
)
def test_no_culture_is_rejected_for_being_ill(label: Any, severity: float | None, seed: int) -> None:
    """Collagen nearly absent is the disease, not a bad picture."""
    image = simulate_projection(label, seed, severity=severity)[np.newaxis]

    assert found(acquired(image)) == {}


def test_collagen_may_be_missing_altogether(culture: Acquisition) -> None:
    """Even an empty collagen channel is judged: whether that is a stain gone wrong, the reader decides."""
    planes = culture.planes.copy()
    planes[:, 1] = 100

    assert found(replace(culture, planes=planes)) == {}


def test_a_stack_of_planes_is_as_good_as_its_projection() -> None:
    """Single planes are noisier; the rules look at what the network looks at, the sum."""
    assert found(acquired(simulate_planes("patient", 5))) == {}


@pytest.mark.parametrize("sigma_px", [0, 2, 16, 30])
def test_focus_is_judged_on_the_nuclei(culture: Acquisition, sigma_px: float) -> None:
    """Nuclei blurred beyond recognition reject the image; a slight blur does not."""
    planes = culture.planes.copy()
    planes[0, 0] = blurred(planes[0, 0], sigma_px) if sigma_px else planes[0, 0]

    flags = found(replace(culture, planes=planes))

    assert list(flags) == (["out_of_focus"] if sigma_px > 10 else [])
    assert all(flag.severity == "reject" for flag in flags.values())


def test_a_soft_focus_is_a_warning(culture: Acquisition) -> None:
    """Between sharp and useless the image is judged and the doubt is told."""
    planes = culture.planes.copy()
    planes[0, 0] = blurred(planes[0, 0], 9)

    assert found(replace(culture, planes=planes))["out_of_focus"].severity == "warn"


def test_blurred_collagen_alone_is_no_fault(culture: Acquisition) -> None:
    """Collagen without sharp fibrils is what some patients have."""
    planes = culture.planes.copy()
    planes[0, 1] = blurred(planes[0, 1], 20)

    assert found(replace(culture, planes=planes)) == {}


@pytest.mark.parametrize("light", [0, 3, 400, 20000])
def test_a_field_without_cells_is_rejected(culture: Acquisition, light: int) -> None:
    """Noise under uneven light is no culture, dark or bright."""
    y, x = np.mgrid[-1:1:1024j, -1:1:1024j]
    planes = culture.planes.copy()
    planes[0, 0] = np.random.default_rng(1).poisson(light * (1 - 0.2 * (x**2 + y**2)))

    flags = found(replace(culture, planes=planes))

    assert list(flags) == ["no_cells"]
    assert flags["no_cells"].severity == "reject"


@pytest.mark.parametrize(("at_ceiling", "severity"), [(0.001, None), (0.05, "warn"), (0.5, "reject")])
@pytest.mark.parametrize("ceiling", [4095, 40950])
def test_saturation_is_found_whatever_the_detectors_ceiling_is(
    culture: Acquisition, at_ceiling: float, severity: str | None, ceiling: int
) -> None:
    """12 bits in a 16-bit file, or their sum over ten planes: the pile at the top tells."""
    collagen = culture.planes[0, 1].astype(np.float64)
    planes = culture.planes.copy()
    planes[0, 1] = np.minimum(collagen / np.quantile(collagen, 1 - at_ceiling) * ceiling, ceiling)

    flags = found(replace(culture, planes=planes))

    assert [flag.severity for flag in flags.values()] == ([severity] if severity else [])
    if severity:
        assert flags["saturated_collagen"].value == pytest.approx(at_ceiling, rel=0.1)


@pytest.mark.parametrize("mean", [0, 0.1, 2, 30])
def test_a_dark_channel_is_not_saturated(mean: float) -> None:
    """Few counts have few values, and the highest of them is not a ceiling."""
    assert saturated_share(np.random.default_rng(0).poisson(mean, (256, 256)).astype(np.uint8)) == 0


@pytest.mark.parametrize(
    ("pixel_size_um", "name"),
    [(0.3, None), (0.25, None), (0.36, None), (0.15, "pixel_size_off"), (0.6, "pixel_size_off")],
)
def test_another_magnification_warns(culture: Acquisition, pixel_size_um: float, name: str | None) -> None:
    """The network has learnt structures of one size; the image is judged all the same."""
    flags = found(replace(culture, pixel_size_um=pixel_size_um))

    assert list(flags) == ([name] if name else [])
    assert all(flag.severity == "warn" for flag in flags.values())


def test_a_missing_pixel_size_warns(culture: Acquisition) -> None:
    """Unknown is said, not assumed to be right."""
    flag = found(replace(culture, pixel_size_um=None))["pixel_size_unknown"]

    assert (flag.severity, flag.value) == ("warn", None)


@pytest.mark.parametrize(("planes", "planned", "flagged"), [(8, 10, True), (10, 10, False), (1, 10, False)])
def test_an_interrupted_stack_warns(planes: int, planned: int, flagged: bool) -> None:
    """Fewer planes than were planned make a darker sum; a ready projection has one by right."""
    stack = acquired(simulate_planes("control", 2, planes=10)[:planes])

    assert ("planes_missing" in found(replace(stack, planes_planned=planned))) is flagged


def test_the_worst_comes_first(culture: Acquisition) -> None:
    """What decides stands on top."""
    planes = culture.planes.copy()
    planes[0, 0] = 0

    flags = assess(replace(culture, planes=planes, pixel_size_um=None), EXPECTED)

    assert [flag.severity for flag in flags] == ["reject", "warn"]
