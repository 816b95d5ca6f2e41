"""Images that quantisation is set with, and others, kept apart, that it is judged on."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.acquisition.model import in_layout
from colvi_edge.acquisition.wanted import ASSAY, wanted_of
from colvi_edge.bundle.input import Input
from colvi_edge.errors import AcquisitionError, UsageError
from colvi_edge.export.data.division import evenly_spread
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.patches import Normalisation, project
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.sizing import Size, brought_to, size_asked
from colvi_edge.printable import counted
from colvi_edge.simulate import simulate_projection
from colvi_edge.simulate.images import CHANNELS
from colvi_edge.tasks.classify import CLASSES

from .familiarity import Sample, sample

AT_MOST = 64
"""Images read of a larger folder, evenly spread: more change the ranges by nothing that was seen."""

MEASURED_AT_MOST = 1000
"""Images measured of a larger folder, evenly spread, for what is familiar; 0.03 s each."""

ENOUGH = 40
"""Images from which on more changed little."""

HELD_OUT = 4
"""One image in so many is kept for the gate."""

_FEW = 3
"""Measured images below which a verdict is not to be trusted."""


@dataclass(frozen=True)
class Images:
    """Some images as the network takes them.

    Attributes:
        names: of the files.
        planes: (Z, C, H, W) of each, in the bundle's layout.
        labels: "control" or "patient" by the folder that an image lies in; "" elsewhere.
    """

    names: list[str]
    planes: list[NDArray[Any]]
    labels: list[str]


@dataclass(frozen=True)
class Calibration:
    """What INT8 is made with and what every precision is judged on; no image is in both."""

    calibrating: Images
    held_out: Images


def read_calibration(
    folder: Path,
    layout: Sequence[str],
    normalisation: Normalisation,
    warn: Callable[[str], None],
    asked: Input | None = None,
    patch_px: int | None = PATCH_PX,
) -> Calibration:
    """Read the projections below a folder; our own outputs among them are passed over.

    Args:
        folder: of raw files; sub-folders named control and patient tell the labels.
        layout: channels of the bundle.
        normalisation: of the bundle; "scale" takes images of one dtype only.
        warn: gets a sentence for each file or image that cannot be used and is left out.
        asked: of the images, where it is more than the assay's two channels.
        patch_px: edge of the patches; None for a network that sees none.

    Raises:
        UsageError: fewer than four images can be used.
    """
    raws = [file.raw for file in find_inputs([folder])]
    chosen = [raws[k] for k in evenly_spread(len(raws), AT_MOST)]
    images = Images([], [], [])
    wanted = ASSAY if asked is None else wanted_of(asked)
    for raw in chosen:
        try:
            for acquisition in acquire(raw, wanted=wanted):
                if patch_px is not None:
                    acquisition.check_holds_patch(patch_px)
                planes = _sized(acquisition.laid_out(layout), acquisition, asked)
                if not normalisation.takes(planes.dtype):
                    warn(
                        f"left out: {raw.name} is {planes.dtype}, and normalisation 'scale' was made for "
                        f"{normalisation.dtype}"
                    )
                    continue
                label = raw.parent.name if raw.parent.name in CLASSES else ""
                for part in planes[:, np.newaxis] if asked and asked.planes == "each" else [planes]:
                    images.planes.append(part if normalisation.dtype else _summed(part))
                    images.names.append(acquisition.name)
                    images.labels.append(label)
        except AcquisitionError as error:
            warn(f"left out: {error}")
    if len(images.names) < HELD_OUT:
        raise UsageError(
            f"found {counted(len(images.names), 'usable image')} in {folder}, expected at least {HELD_OUT}, "
            "better 40, as the microscope sends them; add more"
        )
    return _divided(images)


def read_samples(folder: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> list[Sample]:
    """Measure the projections below a folder; what cannot be read or was not recorded is passed over.

    Args:
        folder: of raw files, as for `read_calibration`.
        progress: told after each file how many are done, and of how many.
    """
    raws = [file.raw for file in find_inputs([folder])]
    chosen = evenly_spread(len(raws), MEASURED_AT_MOST)
    samples = []
    for done, k in enumerate(chosen, 1):
        with suppress(AcquisitionError):
            for acquisition in acquire(raws[k]):
                acquisition.check_holds_patch(PATCH_PX)
                collagen, nuclei = np.moveaxis(acquisition.laid_out(("collagen", "nuclei")), 1, 0)
                if measured := sample(collagen, nuclei):
                    samples.append(measured)
        progress(done, len(chosen))
    return samples


def _sized(planes: NDArray[Any], acquisition: Acquisition, asked: Input | None) -> NDArray[Any]:
    """Return planes (Z, C, H, W) in the size that the network is given them."""
    size = size_asked(asked, acquisition) if asked else None
    return planes if size is None else brought_to(planes, size)


def simulated_calibration(
    layout: Sequence[str], normalisation: Normalisation, asked: Input | None = None
) -> Calibration:
    """Return two simulated images that stand in, for FP16 and FP32, where no folder is given.

    Raises:
        UsageError: the network is not given the channels of the assay, and nothing can stand for others.
    """
    if other := sorted({*layout} - {*CHANNELS, "empty"}):
        raise UsageError(
            f"the network is given {', '.join(other)}, of which no image can be simulated to measure its "
            "precisions on; give images with --calibration DIR"
        )
    dtype = np.dtype(normalisation.dtype or "uint16")
    images = Images([], [], [])
    for seed, label in enumerate(CLASSES):
        projection = simulate_projection(label, np.random.SeedSequence(seed, spawn_key=(10**6,)))
        if dtype == np.uint8:
            projection = projection * (255 / projection.max())
        planes = in_layout(projection[np.newaxis].astype(dtype), CHANNELS, layout)
        if asked and asked.resize_px:
            planes = brought_to(planes, Size(*asked.resize_px))
        images.names.append(f"simulated {label}")
        images.planes.append(planes)
        images.labels.append("")
    return Calibration(Images([], [], []), images)


def _summed(planes: NDArray[Any]) -> NDArray[Any]:
    """Return a stack as its sum, one plane: ten planes of every image would fill 2.6 GB."""
    if len(planes) == 1:
        return planes
    summed = project(planes)[np.newaxis]
    return summed.astype(np.uint32 if np.issubdtype(planes.dtype, np.integer) else np.float32)


def _divided(images: Images) -> Calibration:
    held_out = range(HELD_OUT // 2, len(images.names), HELD_OUT)
    calibrating = [k for k in range(len(images.names)) if k not in held_out]
    return Calibration(_some(images, calibrating), _some(images, held_out))


def _some(images: Images, which: Sequence[int]) -> Images:
    return Images(
        [images.names[k] for k in which], [images.planes[k] for k in which], [images.labels[k] for k in which]
    )


def calibrated_on(used: int, held_out: int) -> str:
    """Return how many images the verdicts rest on, and how many more would make them firm."""
    on = "1 other" if held_out == 1 else f"{held_out} others"
    words = f"Calibrated on {counted(used, 'image')}, measured on {on}"
    lacking = ENOUGH - used - held_out
    if lacking <= 0:
        return f"{words}."
    why = "too few to trust these verdicts" if held_out < _FEW else "not enough for firm ranges and verdicts"
    return f"{words}: {why}; of {ENOUGH} images or more they are firm, {lacking} more."
