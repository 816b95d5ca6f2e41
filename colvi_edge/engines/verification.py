"""The test that an engine, on this very runtime and device, decides as the trained network does.

A bundle carries raw patches, or a region, with the numbers that the FP32 network in torch gave for them. They
are run through the engine as an image would be, and compared by what matters to the task.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines.base import Engine, blank_planes
from colvi_edge.errors import ParityError
from colvi_edge.patches import paste
from colvi_edge.tasks.segment import NoProbabilitiesError
from colvi_edge.tasks.task import Compared, Task

Judge = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Returns the (N, K) probabilities of raw patches (N, C, P, P)."""


def compare_patches(bundle: Bundle, judge: Judge, task: Task) -> Compared | None:
    """Compare with the trained network on the bundle's verification patches; None where it has none.

    Args:
        bundle: whose patches and probabilities of the FP32 network in torch these are.
        judge: such as `as_one_image`.
        task: of the bundle; all patches are one image.
    """
    known = bundle.verification_set()
    if known is None:
        return None
    return task.compare(
        [known.probabilities[np.newaxis, np.newaxis]], [judge(known.patches)[np.newaxis, np.newaxis]]
    )


def compare_with_training(bundle: Bundle, engine: Engine, task: Task) -> Compared | None:
    """Compare with the trained network on what the bundle holds for it; None where that is nothing."""
    known = bundle.known_region()
    if known is None:
        return compare_patches(bundle, as_one_image(engine), task)
    try:
        found = field_of(engine, known.planes, task)[np.newaxis]
    except NoProbabilitiesError:
        found = None
    return task.compare([kept_by(task, known.field)[np.newaxis]], [found])


def field_of(engine: Engine, planes: NDArray[Any], task: Task) -> NDArray[Any]:
    """Return what a task keeps of the field of planes (Z, C, H, W), summed: (rows, cols, ...)."""
    return engine.field(planes) if task.keep is None else engine.field(planes, task.keep)


def kept_by(task: Task, field: NDArray[np.float32]) -> NDArray[Any]:
    """Return what a task keeps of a field (rows, cols, K)."""
    return field if task.keep is None else task.keep(field)


def as_one_image(engine: Engine) -> Judge:
    """Return what gives the probabilities of raw patches, side by side in one image."""
    return lambda patches: engine.field(paste(patches, 1, len(patches))[np.newaxis])[0]


def verify(engine: Engine, bundle: Bundle, task: Task) -> None:
    """Run what the bundle holds for it through an engine, as one image; a blank one where it holds nothing.

    Raises:
        ParityError: more differs from the trained network's answer than the gate allows. Patches were chosen
            for clear votes, so that rounding alone changes none.
    """
    compared = compare_with_training(bundle, engine, task)
    if compared is None:
        engine.field(blank_planes(bundle.config, patches=1))
    elif faults := task.faults(compared):
        raise ParityError(
            f"{engine.info.precision} on {engine.info.label} does not decide as the "
            f"trained network does: {'; '.join(faults)}; use --precision fp32, or export for this machine"
        )
