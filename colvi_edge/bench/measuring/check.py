"""Do the engines that are timed also decide as the trained network does, here and now?"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import in_layout
from colvi_edge.bench.record import Check
from colvi_edge.bundle import Bundle
from colvi_edge.bundle.parity import Comparison
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import Engine, open_engine
from colvi_edge.engines.verification import (
    Tolerance,
    as_one_image,
    compare,
    compare_with_training,
)
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.simulate import image_seed, simulate_projection
from colvi_edge.simulate.images import CHANNELS
from colvi_edge.tasks.classify import CLASSES

SIMULATED_IMAGES = 6

_SEED = 60
_DOES = Tolerance()


def check_engines(
    bundle: Bundle, engines: Mapping[str, Engine], images: Sequence[NDArray[Any]], what: str
) -> list[Check]:
    """Compare every engine with torch on the bundle's verification patches, and with FP32 on images.

    Args:
        bundle: that the engines hold.
        engines: by name.
        images: planes (Z, C, H, W) in the bundle's channel layout.
        what: the images, in words.
    """
    with closing(_fp32(bundle)) as reference:
        expected = [reference.field(planes) for planes in images]
        against = f"{reference.info.runtime} fp32"
    checks = []
    for name, engine in engines.items():
        if trained := compare_with_training(bundle, as_one_image(engine), _DOES):
            checks.append(_row(name, "verification patches", "torch fp32", trained))
        compared = compare(expected, [engine.field(planes) for planes in images], _DOES)
        checks.append(_row(name, what, against, compared))
    return checks


def simulated_images(channels: Sequence[str]) -> list[NDArray[np.uint16]]:
    """Return planes (1, C, 1024, 1024) of simulated cultures, half of each class, in a bundle's layout."""
    drawn = (
        simulate_projection(CLASSES[number % 2], image_seed(_SEED, number))
        for number in range(SIMULATED_IMAGES)
    )
    return [in_layout(projection[np.newaxis], CHANNELS, channels) for projection in drawn]


def _fp32(bundle: Bundle) -> Engine:
    """Open the network in FP32 on the CPU."""
    try:
        return open_engine(bundle, EngineName.OPENVINO, PrecisionChoice.FP32)
    except EngineUnavailableError:
        return open_engine(bundle, EngineName.ONNXRUNTIME, PrecisionChoice.FP32)


def _row(engine: str, images: str, reference: str, compared: Comparison) -> Check:
    return Check(
        engine=engine,
        images=images,
        reference=reference,
        **compared.model_dump(include={*Check.model_fields}),
        faults=tuple(_DOES.faults(compared)),
    )
