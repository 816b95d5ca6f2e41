"""What a network says of an image, at the size that it was made for: the field of its planes."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Config
from colvi_edge.engines import Engine
from colvi_edge.pipeline.sizing import Size, brought_back, brought_to
from colvi_edge.tasks.task import Task


def kept_of_field(
    engine: Engine, config: Config, task: Task, planes: NDArray[Any], size: Size | None
) -> NDArray[Any]:
    """Return what a task keeps of each plane, or of their sum: (Z, rows, cols, ...).

    Args:
        engine: the bundle, opened.
        config: of the bundle.
        task: of the bundle.
        planes: (Z, C, H, W) of the bundle's channels.
        size: that they are brought to for the network; None for their own.

    Raises:
        AcquisitionError: as from `Engine.field`.
    """
    given = planes if size is None else brought_to(planes, size)
    parts = [given[z : z + 1] for z in range(len(given))] if config.input.planes == "each" else [given]
    field = engine.field if task.keep is None else partial(engine.field, keep=task.keep)
    kept = [field(part) for part in parts]
    together = np.stack(kept) if len(kept) > 1 else kept[0][np.newaxis]
    return brought_back(together, Size(*planes.shape[2:])) if size and config.is_dense else together


def inside(planes: NDArray[Any], labels: NDArray[np.uint8]) -> NDArray[Any]:
    """Return planes (Z, C, H, W) with zeros for what lies in no region of a map (Z or 1, H, W)."""
    return np.where(labels[:, np.newaxis] > 0, planes, planes.dtype.type(0))
