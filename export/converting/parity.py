"""Do the exported networks decide as the trained one does? Asked of every precision on every runtime here.

The reference is torch in FP32 on images that calibration has not seen. What counts is what the
microscopist sees: votes, scores, diagnoses, regions, objects; the measures and the limits are the task's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from colvi_edge.bundle import Bundle, Config, Precision
from colvi_edge.bundle.window import Windows
from colvi_edge.choices import EngineName
from colvi_edge.engines.base import Engine
from colvi_edge.engines.opening import open_exactly
from colvi_edge.tasks.task import Compared

from .calibration import Images
from .way import Outcome, Way

RUNTIMES = (EngineName.OPENVINO, EngineName.ONNXRUNTIME)

NEVER_ON_TENSORRT = (
    "int8-trt was measured on OpenVINO and ONNX Runtime, never on TensorRT: build and the daemon try it "
    "there."
)
WINDOWS_NEVER_ON_TENSORRT = (
    "int8-trt was measured on ONNX Runtime, never on TensorRT: build and the daemon try it there."
)


@dataclass(frozen=True)
class Row:
    """One precision on one runtime; `faults` is empty for a pass."""

    precision: Precision
    runtime: str
    version: str
    comparison: Compared
    faults: list[str]
    found: list[Outcome]


def measure(
    bundle: Bundle, way: Way, images: Images, expected: list[Outcome], progress: Callable[[str], None]
) -> Iterator[Row]:
    """Yield a row for every precision of a bundle on every runtime of this machine.

    Args:
        bundle: with all its precisions.
        way: of its network.
        images: in the bundle's layout.
        expected: what torch came to for them.
        progress: told what is measured.
    """
    for precision in bundle.config.precisions:
        for runtime in _runtimes(precision, bundle.config):
            progress(f"parity of {precision} on {runtime.value}")

            def open_with(
                windows: Windows, runtime: EngineName = runtime, precision: Precision = precision
            ) -> Engine:
                config = bundle.config.model_copy(update={"windows": windows})
                return open_exactly(runtime, replace(bundle, config=config), precision, "parity")

            with closing(open_with(bundle.config.windows)) as engine:
                found = [way.found(engine, planes) for planes in images.planes]
                version = engine.info.version
            compared = way.joins(way.compare(expected, found), precision, open_with, images)
            yield Row(precision, runtime.value, version, compared, way.task.faults(compared), found)


def _runtimes(precision: Precision, config: Config) -> Sequence[EngineName]:
    """Return where a precision is measured.

    OpenVINO makes another network of a U-Net's int8-trt, which it never runs unasked: a probability moves by
    0.35 from ONNX Runtime's, of the same file, where int8-cpu's moves by 0.005.
    """
    if precision == "int8-trt" and config.is_dense:
        return (EngineName.ONNXRUNTIME,)
    return RUNTIMES
