"""Ways to spoil a good simulated image, each strongly and mildly: what the quality rules must find.

Images are (2, H, W), channels (nuclei, collagen), in counts of a sum of ten 12-bit planes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.simulate.images import PIXEL_SIZE_UM, PLANE_SPACING_UM, WHITE_COUNTS

Image = NDArray[Any]
Random = np.random.Generator

CEILING = 10 * WHITE_COUNTS
COUNTS_PER_PHOTON, READ_NOISE_COUNTS = 15.0, 19.0  # the simulator's, in the middle of their ranges


class Defect(NamedTuple):
    """One way to spoil an image.

    Attributes:
        name: what is wrong.
        level: how much of it.
        strong: whether the rules are expected to find it.
        flags: those that tell it; any of them will do.
        spoil: takes a good image and a source of chance.
        of_stack: `spoil` takes an image of single planes.
    """

    name: str
    level: str
    strong: bool
    flags: tuple[str, ...]
    spoil: Callable[[Acquisition, Random], Acquisition]
    of_stack: bool = False


def acquired(planes: Image, **changed: Any) -> Acquisition:
    """Return (Z, 2, H, W), channels (nuclei, collagen), as if it had been read from a file."""
    acquisition = Acquisition(
        name="x.tif",
        image_key="",
        planes=planes,
        channels=("nuclei", "collagen"),
        pixel_size_um=PIXEL_SIZE_UM,
        plane_spacing_um=PLANE_SPACING_UM,
        planes_planned=None,
        provenance=Provenance(planes.nbytes, "0" * 64, "ZCYX", planes.shape),
    )
    return replace(acquisition, **changed)


def as_rgb(acquisition: Acquisition) -> Acquisition:
    """Return the 8-bit picture of an image: collagen green, nuclei blue, on one scale for both."""
    planes = acquisition.planes.sum(axis=0, keepdims=True, dtype=np.float64)
    picture = np.zeros((1, 3, *planes.shape[2:]), np.uint8)
    for place, role in ((1, "collagen"), (2, "nuclei")):
        picture[:, place] = planes[:, acquisition.channels.index(role)] * (255 / planes.max())
    return replace(acquisition, planes=picture, channels=("other", "collagen", "nuclei"))


def blurred(image: Image, sigma_px: float) -> NDArray[np.float64]:
    """Return the image behind a Gaussian blur that wraps round its edges."""
    y, x = np.fft.fftfreq(image.shape[-2])[:, np.newaxis], np.fft.rfftfreq(image.shape[-1])
    transfer = np.exp(-2 * (np.pi * sigma_px) ** 2 * (y**2 + x**2))
    return np.fft.irfft2(np.fft.rfft2(image) * transfer, image.shape[-2:])


def resized(image: Image, factor: float) -> Image:
    """Return the image, or as much of its middle as fits into its size, magnified through its spectrum."""
    size = image.shape[-1]
    inner = min(size, round(size / factor) // 2 * 2)
    outer = min(size, round(size * factor) // 2 * 2)
    start = (size - inner) // 2
    middle = image[:, start : start + inner, start : start + inner]
    spectrum = np.fft.fftshift(np.fft.fft2(middle), axes=(1, 2))
    common = min(inner, outer) // 2
    padded = np.zeros((len(image), outer, outer), complex)
    target, source = (slice(n // 2 - common, n // 2 + common) for n in (outer, inner))
    padded[:, target, target] = spectrum[:, source, source]
    magnified = np.fft.ifft2(np.fft.ifftshift(padded, axes=(1, 2))).real * (outer / inner) ** 2
    return _digitised(magnified, image.dtype)


def _digitised(light: NDArray[Any], dtype: Any = np.uint16) -> Image:
    return np.rint(light).clip(0, CEILING).astype(dtype)


def _noise(light: NDArray[Any], rng: Random) -> NDArray[Any]:
    """Draw the noise of a sum of ten planes, above a black level that is read off the image."""
    black = np.quantile(light[:, ::8, ::8], 0.01, axis=(1, 2), keepdims=True)
    variance = COUNTS_PER_PHOTON * (light - black).clip(0) + READ_NOISE_COUNTS**2
    return rng.standard_normal(light.shape, np.float32) * np.sqrt(variance)


def _of_pixels(change: Callable[[Image, Random], Image]) -> Callable[[Acquisition, Random], Acquisition]:
    def spoil(good: Acquisition, rng: Random) -> Acquisition:
        return replace(good, planes=change(good.planes[0], rng)[np.newaxis])

    return spoil


def _defocus(sigma_px: float) -> Callable[[Acquisition, Random], Acquisition]:
    def change(image: Image, rng: Random) -> Image:
        light = blurred(image, sigma_px)
        return _digitised(light + _noise(light, rng))

    return _of_pixels(change)


def _saturated(channel: int, share: float) -> Callable[[Acquisition, Random], Acquisition]:
    def change(image: Image, rng: Random) -> Image:
        light = image.astype(np.float64)
        light[channel] *= CEILING / np.quantile(light[channel], 1 - share)
        return _digitised(light)

    return _of_pixels(change)


def _gain(factor: float) -> Callable[[Acquisition, Random], Acquisition]:
    return _of_pixels(lambda image, rng: _digitised(image * factor))


def _fewer_photons(times: float) -> Callable[[Acquisition, Random], Acquisition]:
    """So many times fewer photons, at so much more gain: the same picture with more noise."""
    return _of_pixels(lambda image, rng: _digitised(image + np.sqrt(times - 1) * _noise(image, rng)))


def _empty(keep: Callable[[NDArray[Any], NDArray[Any], float], Any]) -> Callable[..., Acquisition]:
    """Leave cells where `keep` says so of (y, x), each -1..1, and a chance direction in radians."""

    def change(image: Image, rng: Random) -> Image:
        y, x = (2 * np.mgrid[: image.shape[1], : image.shape[2]] + 1) / image.shape[1] - 1
        void = ~np.broadcast_to(keep(y, x, rng.uniform(0, 2 * np.pi)), y.shape)
        bare = image.copy()
        for channel in bare:
            dark = channel[channel <= np.quantile(channel[::8, ::8], 0.2)]
            channel[void] = rng.choice(dark, np.count_nonzero(void))
        return bare

    return _of_pixels(change)


def _half_empty(border: float) -> Callable[..., Acquisition]:
    return _empty(lambda y, x, turn: x * np.cos(turn) + y * np.sin(turn) > border)


def _magnified(factor: float) -> Callable[[Acquisition, Random], Acquisition]:
    return _of_pixels(lambda image, rng: resized(image, factor))


def _pixel_size(um: float | None) -> Callable[[Acquisition, Random], Acquisition]:
    return lambda good, rng: replace(good, pixel_size_um=um)


def _swapped(good: Acquisition, rng: Random) -> Acquisition:
    return replace(good, channels=("collagen", "nuclei"))


def _unnamed_swapped(good: Acquisition, rng: Random) -> Acquisition:
    return replace(good, planes=np.ascontiguousarray(good.planes[:, ::-1]), channels_assumed=True)


def _collagen_twice(good: Acquisition, rng: Random) -> Acquisition:
    return replace(good, planes=good.planes[:, [1, 1]])


def _some_planes(first: int, last: int) -> Callable[[Acquisition, Random], Acquisition]:
    def spoil(good: Acquisition, rng: Random) -> Acquisition:
        return replace(good, planes=good.planes[first:last].sum(axis=0, keepdims=True, dtype=np.uint16))

    return spoil


SWAPPED = ("channels_swapped",)
SIZE = ("nuclei_size_off",)

DEFECTS = [
    Defect("defocus", "blur of 8 px", True, ("out_of_focus",), _defocus(8)),
    Defect("defocus", "blur of 4 px", False, ("out_of_focus",), _defocus(4)),
    Defect("saturated collagen", "30 % of the pixels", True, ("saturated_collagen",), _saturated(1, 0.3)),
    Defect("saturated collagen", "0.5 %", False, ("saturated_collagen",), _saturated(1, 0.005)),
    Defect("saturated nuclei", "3 % of the pixels", True, ("saturated_nuclei",), _saturated(0, 0.03)),
    Defect("saturated nuclei", "0.5 %", False, ("saturated_nuclei",), _saturated(0, 0.005)),
    Defect("gain too high", "16 times", True, ("saturated_collagen", "saturated_nuclei"), _gain(16)),
    Defect("gain too high", "6 times", False, ("saturated_collagen", "saturated_nuclei"), _gain(6)),
    Defect("gain too low", "1/400", True, ("few_grey_levels",), _gain(1 / 400)),
    Defect("gain too low", "1/100", False, ("few_grey_levels",), _gain(1 / 100)),
    Defect("too little light", "1/4 of the photons", True, ("noisy",), _fewer_photons(4)),
    Defect("too little light", "2/3 of the photons", False, ("noisy",), _fewer_photons(1.5)),
    Defect("empty field", "no cells", True, ("no_cells",), _empty(lambda y, x, turn: False)),
    Defect(
        "empty field",
        "cells in 1/16",
        False,
        ("half_empty", "few_cells"),
        _empty(lambda y, x, turn: (y < -0.5) & (x < -0.5)),
    ),
    Defect("half-empty field", "one half", True, ("half_empty",), _half_empty(0)),
    Defect("half-empty field", "about a third", False, ("half_empty",), _half_empty(-0.3)),
    Defect("channels swapped", "named wrongly", True, SWAPPED, _swapped),
    Defect("channels swapped", "not named", True, SWAPPED, _unnamed_swapped),
    Defect("collagen in both channels", "", False, ("nuclei_unclear", "no_cells"), _collagen_twice),
    Defect(
        "wrong pixel size in the file", "twice", True, ("pixel_size_off",), _pixel_size(2 * PIXEL_SIZE_UM)
    ),
    Defect("wrong pixel size in the file", "half", True, ("pixel_size_off",), _pixel_size(PIXEL_SIZE_UM / 2)),
    Defect("wrong pixel size in the file", "1.2 times", False, ("pixel_size_off",), _pixel_size(0.36)),
    Defect("no pixel size in the file", "", True, ("pixel_size_unknown",), _pixel_size(None)),
    Defect("another magnification than the file says", "1/2", True, SIZE, _magnified(0.5)),
    Defect("another magnification than the file says", "2 times", True, SIZE, _magnified(2)),
    Defect("another magnification than the file says", "1.25 times", False, SIZE, _magnified(1.25)),
    Defect("a single plane", "the middle one of ten", True, ("noisy",), _some_planes(5, 6), of_stack=True),
    Defect("a single plane", "sum of the middle four", False, ("noisy",), _some_planes(3, 7), of_stack=True),
]
