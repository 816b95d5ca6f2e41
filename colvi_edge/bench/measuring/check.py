"""Do the engines that are timed also decide as the trained network does, here and now?"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import in_layout
from colvi_edge.bench.record import Check, SegmentCheck
from colvi_edge.bundle import Bundle
from colvi_edge.bundle.parity import Comparison
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import Engine, open_engine
from colvi_edge.engines.verification import compare_with_training
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.pipeline.fields import kept_of_field
from colvi_edge.simulate import image_seed, simulate_projection
from colvi_edge.simulate.images import CHANNELS
from colvi_edge.tasks.classify import CLASSES
from colvi_edge.tasks.segment import NoProbabilitiesError
from colvi_edge.tasks.task import Compared, Task, task_of

SIMULATED_IMAGES = 6

_SEED = 60


def check_engines(
    bundle: Bundle, engines: Mapping[str, Engine], images: Sequence[NDArray[Any]], what: str
) -> list[Check | SegmentCheck]:
    """Compare every engine with torch on what the bundle holds for that, and with FP32 on images.

    Args:
        bundle: that the engines hold.
        engines: by name.
        images: planes (Z, C, H, W) in the bundle's channel layout.
        what: the images, in words.
    """
    task = task_of(bundle.config.task)
    with closing(_fp32(bundle)) as reference:
        expected = [kept_of_field(reference, bundle.config, task, planes, None) for planes in images]
        against = f"{reference.info.runtime} fp32"
    checks: list[Check | SegmentCheck] = []
    known = "verification patches" if bundle.config.has_patches else "verification region"
    for name, engine in engines.items():
        if trained := compare_with_training(bundle, engine, task):
            checks.append(_row(name, known, "torch fp32", trained, task))
        found = [_kept(engine, bundle, task, planes) for planes in images]
        checks.append(_row(name, what, against, task.compare(expected, found), task))
    return checks


def simulated_images(channels: Sequence[str]) -> list[NDArray[np.uint16]]:
    """Return planes (1, C, 1024, 1024) of simulated cultures, half of each class, in a bundle's layout."""
    drawn = (
        simulate_projection(CLASSES[number % 2], image_seed(_SEED, number))
        for number in range(SIMULATED_IMAGES)
    )
    return [in_layout(projection[np.newaxis], CHANNELS, channels) for projection in drawn]


def _kept(engine: Engine, bundle: Bundle, task: Task, planes: NDArray[Any]) -> NDArray[Any] | None:
    """Return what a task keeps of an image; None where the engine gives no probabilities."""
    try:
        return kept_of_field(engine, bundle.config, task, planes, None)
    except NoProbabilitiesError:
        return None


def _fp32(bundle: Bundle) -> Engine:
    """Open the network in FP32 on the CPU."""
    try:
        return open_engine(bundle, EngineName.OPENVINO, PrecisionChoice.FP32)
    except EngineUnavailableError:
        return open_engine(bundle, EngineName.ONNXRUNTIME, PrecisionChoice.FP32)


def _row(engine: str, images: str, reference: str, compared: Compared, task: Task) -> Check | SegmentCheck:
    faults = tuple(task.faults(compared))
    if isinstance(compared, Comparison):
        numbers = compared.model_dump(include={*Check.model_fields})
        return Check(engine=engine, images=images, reference=reference, **numbers, faults=faults)
    regions, objects = compared.regions, compared.objects
    return SegmentCheck(
        engine=engine,
        images=images,
        reference=reference,
        median_dice=min(region.median_dice for region in regions),
        worst_dice=min(region.worst_dice for region in regions),
        boundary_px=max(region.boundary_p95_px for region in regions),
        object_f1=objects.f1 if objects else None,
        object_flips=objects.flips if objects else None,
        faults=faults,
    )
