"""A dense network made ready: its reach measured, its norms frozen if that is asked for, windows chosen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from colvi_edge.engines.scene import Scene
from colvi_edge.errors import UsageError
from colvi_edge.export.converting.calibration import Calibration
from colvi_edge.export.reading.checkpoint import Checkpoint

from .freezing import freeze_norms
from .halo import Asked, windows_for
from .reach import LINE, measure_reach

_MOST_PX = 2048
"""Edge of what is seen of an image that sets the constants."""

_MOST_IMAGES = 16


def prepared(
    checkpoint: Checkpoint, asked: Asked, images: Calibration | None, *, freeze_norm: bool
) -> Checkpoint:
    """Return a dense network with the windows that its bundle will give it.

    Args:
        checkpoint: as it was trained.
        asked: what the options say of the windows.
        images: that set the constants of norms.
        freeze_norm: whether these are asked for.

    Raises:
        UsageError: there are no images for them, no such norms, or no windows for the network's reach.
        ModelError: its reach cannot be measured.
    """
    if freeze_norm:
        if images is None:
            raise UsageError(
                "--freeze-norm takes its constants from images; give them with --calibration DIR"
            )
        constants = freeze_norms(checkpoint.network, _whole(checkpoint, images))
        told = f"{checkpoint.told} Its norms are constants, taken from calibration images.".strip()
        checkpoint = replace(checkpoint, network=constants, told=told)
    reach = measure_reach(checkpoint.probabilities(), len(checkpoint.channels))
    return replace(checkpoint, windows=windows_for(reach, checkpoint.windows, asked))


def _whole(checkpoint: Checkpoint, images: Calibration) -> Iterator[NDArray[np.float32]]:
    """Yield calibration images, normalised, (1, C, h, w), cut to whole steps of every network's raster."""
    for planes in images.calibrating.planes[:_MOST_IMAGES]:
        height, width = (max(min(side, _MOST_PX) // LINE, 1) * LINE for side in planes.shape[2:])
        window = np.empty((1, planes.shape[1], height, width), np.float32)
        Scene(planes, checkpoint.normalisation).put(window[0], 0, 0)
        yield window
