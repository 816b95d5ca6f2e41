"""Synthetic confocal images of fibroblast cultures: what the demo model is trained on and shown.

Planes and projections come from one drawing (`culture.py`). Every point of light lies in one of
the layers of the culture; plane k collects a share a[k, j] of layer j in focus and b[k, j] out of
focus, and over k the shares add up to the same for every j:

    light of plane k = sum over j of a[k, j] sharp(layer j) + b[k, j] halo(layer j)

The projection is therefore the case of one layer and one plane, drawn in a fifth of the time. A
sum of Poisson counts is a Poisson count of the sum: the projection is distributed as the sum of
the planes is, but for pixels where a single plane saturates (less than one in a thousand).
"""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.simulate.culture import (
    DIFFICULTY,
    Culture,
    Floats,
    Light,
    draw_culture,
    grow,
    smooth_noise,
)
from colvi_edge.system.atomic import write_whole
from colvi_edge.tasks.classify import ClassName

CHANNELS = ("nuclei", "collagen")
"""In the order in which the microscope stores them."""
PIXEL_SIZE_UM = 0.3
PLANE_SPACING_UM = 1.5
WHITE_COUNTS = 4095
"""The microscope's detector has 12 bits."""

MARGIN_PX = 32  # drawn round the picture and cut away: the blur wraps round the edges
IN_FOCUS = 0.7
IN_FOCUS_LAYERS = 1.2  # standard deviation along z
HALO_PX = 6.0  # blur of the light out of focus
HALO_LAYERS = 3.5
GAIN_COUNTS = (5500, 3500)  # for one unit of light, at exposure 1
MARK = "drawn by colvi-edge simulate, not a real culture"


def simulate_planes(
    label: ClassName,
    seed: int | np.random.SeedSequence,
    *,
    difficulty: float = DIFFICULTY,
    severity: float | None = None,
    planes: int = 10,
    size_px: int = 1024,
) -> NDArray[np.uint16]:
    """Return (planes, 2, size_px, size_px) uint16, channels (nuclei, collagen), 0..4095 counts."""
    return _acquire(label, seed, difficulty, severity, size_px, layers=planes, summed=1)


def simulate_projection(
    label: ClassName,
    seed: int | np.random.SeedSequence,
    *,
    difficulty: float = DIFFICULTY,
    severity: float | None = None,
    planes: int = 10,
    size_px: int = 1024,
) -> NDArray[np.uint16]:
    """Return (2, size_px, size_px) uint16: the same culture as `simulate_planes`, seen as their sum.

    The expected light is that of the planes together, for the same seed; the noise is drawn anew.
    """
    return _acquire(label, seed, difficulty, severity, size_px, layers=1, summed=planes)[0]


def image_seed(seed: int, image: int) -> np.random.SeedSequence:
    """Return the seed of one image of a series: it does not depend on how long the series is."""
    return np.random.SeedSequence(seed, spawn_key=(image,))


def write_imagej(path: Path, image: NDArray[np.uint16]) -> None:
    """Write an uncompressed ImageJ hyperstack; the file is whole or absent.

    Args:
        path: the folder is made if it is not there.
        image: (2, H, W) or (Z, 2, H, W), channels (nuclei, collagen).

    Raises:
        UsageError: a file that was not written here has the name.
        OutputError: it cannot be written.
    """
    refuse_foreign(path)
    blue, green = np.zeros((2, 3, 256), np.uint8)
    blue[2] = green[1] = np.arange(256)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        image,
        imagej=True,
        resolution=(1 / PIXEL_SIZE_UM, 1 / PIXEL_SIZE_UM),
        metadata={
            "axes": "ZCYX"[-image.ndim :],
            "unit": "micron",
            "spacing": PLANE_SPACING_UM,
            "mode": "composite",
            "synthetic": MARK,
            "Labels": list(CHANNELS) * (image[..., 0, 0].size // len(CHANNELS)),
            "LUTs": [blue, green],
        },
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, file.getvalue())
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; make room or choose another folder"
        ) from error


def is_simulated(path: Path) -> bool:
    """Return whether a file is one that `write_imagej` wrote; one that cannot be read is none."""
    with suppress(OSError), path.open("rb") as file:
        return MARK.encode() in file.read(4096)
    return False


def refuse_foreign(path: Path) -> None:
    """Refuse to write a synthetic image in the place of any other file.

    Raises:
        UsageError: a file that was not written here has the name.
    """
    if path.is_file() and not is_simulated(path):
        raise UsageError(f"{path} is not a synthetic image and would be overwritten; choose another folder")


def streams(seed: int | np.random.SeedSequence, number: int) -> list[np.random.Generator]:
    """Return so many generators, the first of which draws the culture."""
    given = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # A copy: spawning from the caller's object would make the second call differ from the first.
    fresh = np.random.SeedSequence(given.entropy, spawn_key=given.spawn_key)
    return [np.random.default_rng(child) for child in fresh.spawn(number)]


def exposed(
    label: ClassName, scene: np.random.Generator, difficulty: float, severity: float | None, size_px: int
) -> tuple[Culture, NDArray[np.float64], Floats]:
    """Draw a culture, and how light and haze lie over it: all that is drawn before anything grows."""
    culture = draw_culture(label, scene, difficulty, severity)
    lamp = _illumination(culture, size_px, scene)
    return culture, lamp, 1 + 0.4 * smooth_noise((size_px, size_px), 120, scene)


def _acquire(
    label: ClassName,
    seed: int | np.random.SeedSequence,
    difficulty: float,
    severity: float | None,
    size_px: int,
    layers: int,
    summed: int,
) -> NDArray[np.uint16]:
    """Draw a culture and expose it: (layers, 2, size_px, size_px), each plane standing for `summed`."""
    # The noise of planes and of a projection comes from different streams: two looks at one culture.
    scene, *_, noise = streams(seed, 1 + layers)

    culture, lamp, patchy = exposed(label, scene, difficulty, severity, size_px)
    canvas_px = size_px + 2 * MARGIN_PX
    haze = (0.03, culture.haze * patchy.clip(0.1))
    image = np.empty((layers, 2, size_px, size_px), np.uint16)
    for channel, points in enumerate(grow(culture, canvas_px, scene)):
        light = _blurred(_rasterise(points, canvas_px, layers), culture.blur_px)
        light += haze[channel] / layers
        # The operator turns up the gain for a dim culture, but not without limit.
        bright = max(1.0, float(np.percentile(light[:, ::8, ::8].sum(axis=0), 99)))
        gain_counts = GAIN_COUNTS[channel] * culture.exposure[channel] / bright**0.7
        counts = noise.standard_normal(light.shape, np.float32)
        counts *= summed**0.5 * culture.read_noise_counts
        counts += summed * culture.black_counts
        counts += noise.poisson(light * lamp * culture.photons) * (gain_counts / culture.photons)
        image[:, channel] = np.rint(counts).clip(0, summed * WHITE_COUNTS)
    return image


def _rasterise(light: Light, canvas_px: int, layers: int) -> Floats:
    """Add up points of light, bilinearly, into (layers, canvas_px, canvas_px)."""
    inside = (light.y >= 0) & (light.x >= 0) & (light.y < canvas_px - 1) & (light.x < canvas_px - 1)
    y, x, strength, depth = (part[inside] for part in light)
    row, col = y.astype(np.intp), x.astype(np.intp)
    layer = (depth * layers).astype(np.intp).clip(0, layers - 1)
    corner = (layer * canvas_px + row) * canvas_px + col
    below, right = y - row, x - col
    image = np.zeros(layers * canvas_px * canvas_px)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (below if dy else 1 - below) * (right if dx else 1 - right)
        image += np.bincount(corner + dy * canvas_px + dx, share * strength, image.size)
    return np.float32(image).reshape(layers, canvas_px, canvas_px)


def _blurred(layers: Floats, blur_px: float) -> Floats:
    """Turn layers of light into as many planes, each in focus on its layer; cut the margin away."""
    canvas_px = layers.shape[1]
    spectrum = np.fft.rfft2(layers)
    down, right = np.float32(np.fft.fftfreq(canvas_px)), np.float32(np.fft.rfftfreq(canvas_px))
    frequency2 = down[:, np.newaxis] ** 2 + right**2
    planes = np.zeros_like(spectrum)
    for share, blur, reach in (
        (IN_FOCUS, blur_px, IN_FOCUS_LAYERS),
        (1 - IN_FOCUS, HALO_PX, HALO_LAYERS),
    ):
        shares = np.float32(share * axial_shares(len(layers), reach))
        planes += np.exp(np.float32(-2 * (np.pi * blur) ** 2) * frequency2) * np.tensordot(
            shares, spectrum, 1
        )
    light = np.fft.irfft2(planes, s=(canvas_px, canvas_px))
    inner = slice(MARGIN_PX, canvas_px - MARGIN_PX)
    return np.float32(light[:, inner, inner].clip(0))


def axial_shares(layers: int, reach: float) -> NDArray[np.float64]:
    """Return (plane, layer): the share of each layer's light in each plane; a layer's shares sum to 1."""
    distance = np.subtract.outer(np.arange(layers), np.arange(layers))
    share = np.exp(-0.5 * (distance / reach) ** 2)
    return share / share.sum(axis=0)


def _illumination(culture: Culture, size_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (size_px, size_px), 1 at the brightest place, which is not quite the middle."""
    axis = np.linspace(-1, 1, size_px)
    y, x = rng.normal(0, 0.25, 2)
    distance2 = (axis[:, np.newaxis] - y) ** 2 + (axis - x) ** 2
    return 1 - culture.vignetting * distance2 / max(2.0, float(distance2.max()))
