"""Fluorescence that is not this assay, drawn: other things stained around the same nuclei, and other nuclei.

The limits in `export/converting/familiarity.py` were chosen with these in view; those of `strangers.py`
took no part.
Pictures are (H, W, 3) uint8, red empty, green what was stained, blue nuclei.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from defects import blurred
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, label
from scipy.spatial import KDTree

from colvi_edge.quality.measures import FINE_PX, channel_statistics
from colvi_edge.simulate import simulate_projection
from colvi_edge.simulate.culture import smooth_noise

SIZE_PX = 1024
SHAPE = SIZE_PX, SIZE_PX
Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Random = np.random.Generator
TURN = 2 * np.pi


def _mitochondria(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    who = rng.integers(0, len(centres), 90 * len(centres))
    away, turn = rng.gamma(4, 12, who.size) + 20, rng.uniform(0, TURN, who.size)
    y, x = _round(centres[who], away, turn)
    lines = _walk(y, x, rng.uniform(0, TURN, who.size), int(rng.integers(8, 40)), 0.3, rng)
    return _picture(nuclei, _points(*lines), rng)


def _lysosomes(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    who = rng.integers(0, len(centres), int(rng.integers(30, 200)) * len(centres))
    away, turn = np.abs(rng.normal(0, 50, who.size)) + 15, rng.uniform(0, TURN, who.size)
    y, x = _round(centres[who], away, turn)
    dots = _points(y, x, rng.lognormal(0, 0.6, who.size))
    return _picture(nuclei, blurred(dots, rng.uniform(1, 3.5)), rng)


def _microtubules(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    turn = rng.uniform(0, TURN, 80 * len(centres))
    y, x = _round(centres[rng.integers(0, len(centres), turn.size)], np.full(turn.size, 20.0), turn)
    return _picture(nuclei, _points(*_walk(y, x, turn, int(rng.integers(40, 110)), 0.06, rng)), rng)


def _stress_fibres(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    who = rng.integers(0, len(centres), 40 * len(centres))
    turn = rng.uniform(0, np.pi, len(centres))[who] + rng.normal(0, 0.1, who.size)
    steps = int(rng.integers(60, 140))
    y, x = centres[who].T + rng.normal(0, 35, (2, who.size))
    y, x = y - 0.75 * steps * np.sin(turn), x - 0.75 * steps * np.cos(turn)
    return _picture(nuclei, _points(*_walk(y, x, turn, steps, 0.01, rng)), rng)


def _reticulum(rng: Random) -> Picture:
    nuclei, _ = _cells(rng)
    cells = blurred(np.float64(nuclei > np.quantile(nuclei, 0.95)), 40)
    return _picture(nuclei, cells * np.exp(-3 * np.abs(smooth_noise(SHAPE, rng.uniform(5, 12), rng))), rng)


def _golgi(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    beside = centres + 32 * _unit(rng.uniform(0, TURN, len(centres)))
    y, x = np.repeat(beside, 40, axis=0).T + rng.normal(0, 8, (2, 40 * len(centres)))
    return _picture(nuclei, blurred(_points(y, x), 2), rng)


def _membranes(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    nearest, second = np.moveaxis(KDTree(centres).query(np.moveaxis(np.indices(SHAPE), 0, -1), k=2)[0], -1, 0)
    return _picture(nuclei, np.exp(-(((second - nearest) / 4) ** 2)), rng)


def _nuclear_foci(rng: Random) -> Picture:
    nuclei, centres = _cells(rng)
    y, x = np.repeat(centres, 8, axis=0).T + rng.normal(0, 9, (2, 8 * len(centres)))
    return _picture(nuclei, blurred(_points(y, x), 1.5) + 0.002 * (nuclei > np.quantile(nuclei, 0.95)), rng)


def _proliferation_marker(rng: Random) -> Picture:
    nuclei, _ = _cells(rng)
    of_some = np.exp(0.6 * smooth_noise(SHAPE, 60, rng)) * (1 + 0.5 * smooth_noise(SHAPE, 6, rng)).clip(0)
    return _picture(nuclei, (nuclei - np.median(nuclei)).clip(0) * of_some, rng)


def _tissue(rng: Random) -> Picture:
    nuclei = (smooth_noise(SHAPE, 14, rng) - 0.8).clip(0)
    return _picture(nuclei, smooth_noise(SHAPE, 30, rng).clip(0) * np.abs(smooth_noise(SHAPE, 6, rng)), rng)


def _four_times_as_large(rng: Random) -> Picture:
    planes = simulate_projection("control", int(rng.integers(10**6)))[:, 384:640, 384:640]
    nuclei, collagen = (blurred(np.kron(plane, np.ones((4, 4))), 3) for plane in planes)
    return _picture(rng.poisson(nuclei / nuclei.max() * 200), collagen, rng)


def _four_times_as_small(rng: Random) -> Picture:
    planes = simulate_projection("control", int(rng.integers(10**6)))
    small = planes.reshape(2, SIZE_PX // 4, 4, SIZE_PX // 4, 4).mean(axis=(2, 4))
    nuclei, collagen = np.tile(small, (1, 4, 4))
    return _picture(rng.poisson(nuclei / nuclei.max() * 200), collagen, rng)


def _bacteria(rng: Random) -> Picture:
    y, x = rng.uniform(0, SIZE_PX, (2, 600))
    y, x = _walk(y, x, rng.uniform(0, TURN, 600), 14, 0.02, rng)
    return _picture(blurred(_points(y, x), 3), blurred(_points(y, x, rng.random(600)), 3), rng)


def _beads(rng: Random) -> Picture:
    blue, green = (blurred(_points(*rng.uniform(0, SIZE_PX, (2, 300))), 5) for _ in range(2))
    return _picture(blue, green, rng)


def _neurons(rng: Random) -> Picture:
    _, centres = _cells(rng)
    y, x = np.repeat(centres[:8], 6, axis=0).T
    lines = _walk(y, x, rng.uniform(0, TURN, y.size), 300, 0.08, rng)
    return _picture(blurred(_points(*centres[:8].T), 14), blurred(_points(*lines), 2), rng)


def _cells(rng: Random) -> tuple[Floats, Floats]:
    """Return the nuclei of a culture, and the middle (y, x) of each, in pixels."""
    nuclei = simulate_projection("control", int(rng.integers(10**6)))[:1]
    blobs, count = label(channel_statistics(nuclei).bright)
    sizes = np.bincount(blobs.ravel(), minlength=count + 1)
    whole = [k for k in range(1, count + 1) if sizes[k] > 40]
    return nuclei[0].astype(np.float64), FINE_PX * np.array(center_of_mass(blobs > 0, blobs, whole)) + 2


def _unit(turn: Floats) -> Floats:
    return np.stack([np.sin(turn), np.cos(turn)], axis=1)


def _round(centres: Floats, away: Floats, turn: Floats) -> Floats:
    """Return (2, N), y and x: so far from each centre, in that direction."""
    return (centres + away[:, np.newaxis] * _unit(turn)).T


def _walk(y: Any, x: Any, turn: Any, steps: int, bend: float, rng: Random) -> Floats:
    """Return (2, steps, N): where so many points come by on their ways."""
    way = np.empty((2, steps, turn.size))
    for step in range(steps):
        way[:, step] = y, x
        y, x = y + 1.5 * np.sin(turn), x + 1.5 * np.cos(turn)
        turn = turn + rng.normal(0, bend, turn.shape)
    return way


def _points(y: Floats, x: Floats, light: Any = 1.0) -> Floats:
    """Add up points of light, (H, W)."""
    image = np.zeros(SHAPE)
    inside = (y >= 0) & (x >= 0) & (y < SIZE_PX) & (x < SIZE_PX)
    at = y[inside].astype(int), x[inside].astype(int)
    np.add.at(image, at, np.broadcast_to(light, y.shape)[inside])
    return image


def _picture(nuclei: NDArray[Any], stained: Floats, rng: Random) -> Picture:
    """Return what a microscope shows of light: blurred, over a haze, in photons."""
    light = blurred(stained, rng.uniform(0.8, 1.4)).clip(0)
    photons = rng.uniform(40, 400)
    green = rng.poisson((light / np.quantile(light, 0.995) + rng.uniform(0.01, 0.08)) * photons)
    layers = [np.zeros(SHAPE), green / green.max(), nuclei / nuclei.max()]
    return np.uint8(255 * np.clip(np.dstack(layers), 0, 1))


DRAWN: dict[str, Callable[[Random], Picture]] = {
    "mitochondria": _mitochondria,
    "lysosomes": _lysosomes,
    "microtubules": _microtubules,
    "stress fibres": _stress_fibres,
    "endoplasmic reticulum": _reticulum,
    "Golgi": _golgi,
    "membranes": _membranes,
    "foci in nuclei": _nuclear_foci,
    "a marker in some nuclei": _proliferation_marker,
    "tissue": _tissue,
    "four times as large": _four_times_as_large,
    "four times as small": _four_times_as_small,
    "bacteria": _bacteria,
    "beads": _beads,
    "neurons": _neurons,
}
