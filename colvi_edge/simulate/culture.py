"""What is in a synthetic fibroblast culture: nuclei, cells and a collagen VI network, as points of light.

Nothing here is biology; it is a picture that asks the same question as the assay. One number
rules the collagen network at every pixel, its *health*:

    1   dense, continuous fibrils that follow one direction
    0   what is left of it: sparse, broken, crooked pieces with clumps on them

Controls have a high mean health and patients a low one; a smooth field lets poor regions into
controls and good ones into patients. Exposure, black level, illumination, culture density and
nuclei come from the same ranges for both classes, so that the brightness of the collagen tells
little: what separates them is structure.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.tasks.classify import ClassName

Floats = NDArray[np.float32]

DIFFICULTY = 0.5

STEP_PX = 1.5  # of a walking fibril; the sharpest focal spot (0.9 px) closes the gaps
STEPS = 260


@dataclass(frozen=True)
class Culture:
    """What is drawn once for an image, before anything has its place.

    Attributes:
        health: mean health of the collagen network, 0..1.
        unevenness: standard deviation of health over the field.
        nuclei: how many are tried; one that would lie on another is left out.
        fibrils: how many walk through the field, before health thins them out.
        direction_rad: main direction of the culture.
        waviness_rad: standard deviation of the direction over the field.
        exposure: brightness of (nuclei, collagen); 1 uses the detector's range well.
        haze: collagen without structure, units of light a pixel; a fibril's ridge has about 0.2.
        cell_light: collagen still inside a cell, units of light.
        photons: detected for one unit of light.
        black_counts: the detector's offset in one plane.
        read_noise_counts: its standard deviation in one plane.
        vignetting: loss of light from the middle to the corners, 0..1.
        blur_px: standard deviation of the focal spot.
    """

    health: float
    unevenness: float
    nuclei: int
    fibrils: int
    direction_rad: float
    waviness_rad: float
    exposure: tuple[float, float]
    haze: float
    cell_light: float
    photons: float
    black_counts: float
    read_noise_counts: float
    vignetting: float
    blur_px: float


class Light(NamedTuple):
    """Points of light: place in pixels, strength, and depth 0..1 in the culture; (N,) each."""

    y: Floats
    x: Floats
    strength: Floats
    depth: Floats


class Outline(NamedTuple):
    """The rim of a nucleus: an ellipse that wavers.

    Its light rises from nothing at the rim to all of it two pixels further in, along the short axis. The
    *edge* is where half of it is reached: the focal spot is symmetric, and leaves half of a straight edge's
    light where it was, however far it blurs.

    Attributes:
        y, x: centre, pixels of the canvas; the centre of a pixel is an integer.
        half_px: half of the long axis.
        width_px: half of the short axis.
        turn_rad: of the long axis, from the x axis to the y axis.
        waves_rad: phases of the two waves along the rim.
    """

    y: float
    x: float
    half_px: float
    width_px: float
    turn_rad: float
    waves_rad: tuple[float, float]

    @property
    def edge(self) -> float:
        """`radius` of the edge."""
        return 1 - 1 / self.width_px

    def axes(self, v: Floats, u: Floats) -> tuple[Floats, Floats]:
        """Return how far points lie along the long axis and across; v and u are y and x from the centre."""
        cos, sin = np.cos(self.turn_rad), np.sin(self.turn_rad)
        return u * cos + v * sin, v * cos - u * sin

    def radius(self, along: Floats, across: Floats) -> Floats:
        """Return how far points lie from the centre, the rim being at 1."""
        polar = np.arctan2(across, along)
        two, three = self.waves_rad
        rim = 1 + 0.05 * np.sin(2 * polar + two) + 0.04 * np.sin(3 * polar + three)
        return np.hypot(along / self.half_px, across / self.width_px) / rim

    def rise(self, radius: Floats) -> Floats:
        """Return the share of its light that a nucleus has so far from its centre, 0..1; 1/2 at the edge."""
        return ((1 - radius) * self.width_px / 2).clip(0, 1)


def draw_culture(
    label: ClassName, rng: np.random.Generator, difficulty: float = DIFFICULTY, severity: float | None = None
) -> Culture:
    """Draw the parameters of one image.

    Args:
        label: "control" or "patient".
        rng: where all chance comes from.
        difficulty: 0..1, how far the health of the two classes overlaps.
        severity: of a patient, 0..1, 1 = collagen nearly absent; None draws mild to strong.
    """
    if not (0 <= difficulty <= 1 and 0 <= (severity or 0) <= 1):
        raise UsageError(
            f"difficulty {difficulty} and severity {severity} must lie between 0 and 1; choose such values"
        )
    # Drawn whether it is needed or not: one seed gives both classes, at every severity, the same nuclei.
    mild_to_strong = rng.uniform(0.3, 0.85)
    drawn = mild_to_strong if severity is None else severity
    if label == "control":
        health = rng.normal(0.92 - 0.12 * difficulty, 0.02)
    else:
        health = rng.normal((0.38 + 0.14 * difficulty) * (1 - drawn), 0.02)
    return Culture(
        health=float(np.clip(health, 0, 1)),
        unevenness=0.04 + 0.16 * difficulty,
        nuclei=int(rng.integers(32, 75)),
        fibrils=int(rng.integers(2800, 4200)),
        direction_rad=rng.uniform(0, np.pi),
        waviness_rad=rng.uniform(0.15, 0.45),
        exposure=(float(rng.lognormal(0, 0.2)), float(rng.lognormal(0, 0.3))),
        haze=rng.uniform(0.05, 0.25),
        cell_light=rng.uniform(800, 2400),
        photons=rng.uniform(200, 500),
        black_counts=rng.uniform(60, 160),
        read_noise_counts=rng.uniform(4, 9),
        vignetting=rng.uniform(0.1, 0.4),
        blur_px=rng.uniform(0.9, 1.3),
    )


def grow(culture: Culture, canvas_px: int, rng: np.random.Generator) -> tuple[Light, Light]:
    """Place everything on a square canvas; return the light of (nuclei, collagen)."""
    health, direction = _fields(culture, canvas_px, rng)
    nuclei, cells, _ = _nuclei(culture, direction, rng)
    network, clumps = _collagen(culture, health.clip(0, 1), direction, rng)
    return nuclei, _together(network, clumps, cells)


def outlines(culture: Culture, canvas_px: int, rng: np.random.Generator) -> list[Outline]:
    """Return the nuclei that `grow` places with a generator in the same state, in the same order."""
    return _nuclei(culture, _fields(culture, canvas_px, rng)[1], rng)[2]


def _fields(culture: Culture, canvas_px: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return health, not yet within 0..1, and direction at each pixel."""
    health = culture.health + culture.unevenness * smooth_noise((canvas_px, canvas_px), 150, rng)
    waves = culture.waviness_rad * smooth_noise((canvas_px, canvas_px), 300, rng)
    return health, culture.direction_rad + waves


def _collagen(
    culture: Culture, health: Floats, direction: Floats, rng: np.random.Generator
) -> tuple[Light, Light]:
    """Draw fibrils through the field; return what can be seen of them, and clumps on them."""
    canvas_px, n = len(health), culture.fibrils
    y, x = rng.uniform(-0.15 * canvas_px, 1.15 * canvas_px, (2, n)).astype(np.float32)
    stray, bend = rng.standard_normal(n, np.float32), np.zeros(n, np.float32)
    kicks = rng.standard_normal((STEPS, n), np.float32)
    path_y, path_x, local = np.empty((3, STEPS, n), np.float32)
    for step in range(STEPS):
        at = y.clip(0, canvas_px - 1).astype(np.intp), x.clip(0, canvas_px - 1).astype(np.intp)
        path_y[step], path_x[step], local[step] = y, x, health[at]
        loss = 1 - local[step]
        bend += kicks[step] * (0.03 + 0.1 * loss) - 0.02 * bend
        angle = direction[at] + stray * (0.1 + 0.9 * loss) + bend
        y = y + STEP_PX * np.sin(angle)
        x = x + STEP_PX * np.cos(angle)

    loss = 1 - local
    grown = rng.uniform(0, 1, n) < 0.15 + 0.85 * local
    unbroken = (1.5 * (_along_fibrils(n, rng) + 1.9 - 3 * loss)).clip(0, 1)
    ends = np.minimum(np.arange(STEPS), np.arange(STEPS)[::-1])[:, np.newaxis] / 30
    thickness = (1 + 0.35 * _along_fibrils(n, rng)).clip(0.2) * rng.lognormal(-0.3, 0.7, n)
    strength = grown * unbroken * ends.clip(0, 1) * thickness
    depth = np.broadcast_to(rng.normal(0.5, 0.13, n), strength.shape)

    seen = strength > 0
    network = Light(*(part[seen].astype(np.float32) for part in (path_y, path_x, strength, depth)))
    clumped = np.flatnonzero(rng.uniform(0, 1, network.y.size) < 0.012 * loss[seen] ** 1.5 + 0.0002)
    k = clumped.size
    along, across = rng.uniform(1.2, ((5.0,), (2.5,)), (2, k)).astype(np.float32)
    light = 2 * np.pi * along * across * rng.lognormal(0, 0.4, k)
    centres = Light(network.y[clumped], network.x[clumped], light, network.depth[clumped])
    turn = rng.uniform(0, np.pi, (k, 1))
    return network, _scattered(centres, along[:, np.newaxis], across[:, np.newaxis], turn, 60, rng)


def _nuclei(
    culture: Culture, direction: Floats, rng: np.random.Generator
) -> tuple[Light, Light, list[Outline]]:
    """Place nuclei of 12 to 20 um; return their light, the collagen in their cells, and their outlines."""
    places: list[tuple[float, float, float, float]] = []
    for y, x, half in rng.uniform((0, 0, 20), (*direction.shape, 33), (culture.nuclei, 3)):
        if all((y - v) ** 2 + (x - u) ** 2 > 0.8 * (half + other) ** 2 for v, u, other, _ in places):
            places.append((y, x, half, float(direction[int(y), int(x)])))
    nuclei = [_nucleus(*place, rng) for place in places]
    light = _together(*(shining for shining, _ in nuclei))

    y, x, half, turn = np.array(places, np.float32).T
    centres = Light(y, x, np.full_like(y, culture.cell_light), np.full_like(y, 0.5))
    cells = _scattered(centres, 2.2 * half[:, np.newaxis], 15.0, turn[:, np.newaxis], 4000, rng)
    return light, cells, [outline for _, outline in nuclei]


def _nucleus(
    y: float, x: float, half_px: float, direction_rad: float, rng: np.random.Generator
) -> tuple[Light, Outline]:
    """One ellipse with a wavering rim, chromatin and one to three dark nucleoli."""
    reach = int(1.15 * half_px) + 2
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    turn = direction_rad + rng.normal(0, 0.5)
    width = half_px / rng.uniform(1.15, 1.9)
    outline = Outline(y, x, half_px, width, turn, (rng.uniform(0, 6.3), rng.uniform(0, 6.3)))
    along, across = outline.axes(v, u)
    radius = outline.radius(along, across)
    chromatin = 1 + 0.22 * smooth_noise(v.shape, 5, rng) + 0.15 * smooth_noise(v.shape, 12, rng)
    for _ in range(rng.integers(1, 4)):
        angle, far = rng.uniform(0, 6.3), rng.uniform(0.1, 0.6)
        away = np.hypot(along - far * half_px * np.cos(angle), across - far * width * np.sin(angle))
        chromatin -= 0.55 * np.exp(-((away / rng.uniform(3, 5)) ** 2))
    dome = np.sqrt((1.15 - radius**2).clip(0.1))
    strength = outline.rise(radius) * chromatin.clip(0.1) * dome * rng.lognormal(0, 0.2)
    inside = strength > 0
    depth = np.full(int(inside.sum()), rng.normal(0.5, 0.06))
    light = Light(*(np.float32(part) for part in (v[inside] + y, u[inside] + x, strength[inside], depth)))
    return light, outline


def _scattered(
    centres: Light, along: Any, across: Any, direction_rad: Any, points: int, rng: np.random.Generator
) -> Light:
    """Spread each centre's light over so many points of a normal distribution of that width."""
    u, v = rng.standard_normal((2, centres.y.size, points), np.float32)
    u, v = u * along, v * across
    cos, sin = np.cos(direction_rad), np.sin(direction_rad)
    return Light(
        np.float32(centres.y[:, np.newaxis] + u * sin + v * cos).ravel(),
        np.float32(centres.x[:, np.newaxis] + u * cos - v * sin).ravel(),
        np.repeat(np.float32(centres.strength / points), points),
        np.repeat(centres.depth, points),
    )


def _together(*lights: Light) -> Light:
    return Light(*(np.concatenate(part) for part in zip(*lights, strict=True)))


def smooth_noise(shape: tuple[int, ...], cell_px: float, rng: np.random.Generator) -> Floats:
    """Return a field of mean 0 and standard deviation 1 that varies over cells of so many pixels."""
    rows, cols = (_spline_basis(length, max(1, round(length / cell_px))) for length in shape)
    knots = rng.standard_normal((rows.shape[1], cols.shape[1]), np.float32)
    return rows @ knots @ cols.T / np.float32(0.48)  # 0.48: root mean square of the basis' rows, squared


def _along_fibrils(n: int, rng: np.random.Generator) -> Floats:
    """Return (STEPS, n): noise of mean 0 and standard deviation 1, smooth over 14 steps of each fibril."""
    basis = _spline_basis(STEPS, STEPS // 14)
    return basis @ rng.standard_normal((basis.shape[1], n), np.float32) / np.float32(0.69)


@lru_cache(maxsize=256)
def _spline_basis(length: int, knots: int) -> Floats:
    """Return the (length, knots + 3) uniform cubic B-splines."""
    at = np.linspace(0, knots, length, endpoint=False)
    cell = at.astype(np.intp)
    t = at - cell
    basis = np.zeros((length, knots + 3), np.float32)
    for k, piece in enumerate(
        ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    ):
        basis[np.arange(length), cell + k] = piece / 6
    return basis
