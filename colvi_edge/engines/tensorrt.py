"""TensorRT engines for this machine, built from the bundle alone and kept in the state directory.

Imported only where TensorRT was asked for: importing it without TensorRT is the error that says
what to install.
"""

import platform
from pathlib import Path

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import PrecisionChoice
from colvi_edge.engines.cache import BuiltEngine, EngineKey, cached_engine
from colvi_edge.engines.nvidia import find_gpu
from colvi_edge.state import state_directory
from colvi_edge.engines.tensorrt_build import MAX_BATCH, RUNTIME, VERSION, Progress, build_engine
from colvi_edge.errors import UsageError

_PRECISIONS: dict[PrecisionChoice, Precision] = {
    # TensorRT-RTX runs INT8 convolutions into FP32 maps, about twice as slow as FP16 by their bytes.
    PrecisionChoice.AUTO: "fp16",
    PrecisionChoice.FP32: "fp32",
    PrecisionChoice.FP16: "fp16",
    PrecisionChoice.INT8: "int8-trt",
}


def precision_for(asked: PrecisionChoice) -> Precision:
    """Return which of a bundle's precisions TensorRT takes."""
    return _PRECISIONS[asked]


def build_for_this_machine(bundle: Bundle, precision: Precision, progress: Progress) -> Path:
    """Return the engine file of a precision for this machine, built if it is not there yet.

    Why it is built, and why it has to be built again, is the first thing that progress is told.

    Args:
        bundle: whose network it is.
        precision: one that the bundle holds: fp32, fp16 or int8-trt.
        progress: see `tensorrt_build.Progress`; not called where the engine is there.

    Raises:
        UsageError: the bundle does not hold the precision.
        EngineUnavailableError: there is no GPU, driver or memory to build with.
        BundleError: TensorRT does not understand the network.
        OutputError: the state directory cannot be written, or is no local one.
    """
    if precision not in bundle.config.precisions:
        held = ", ".join(bundle.config.precisions)
        raise UsageError(f"{bundle.path} holds no {precision}, only {held}; choose one of these or export it")

    def build() -> BuiltEngine:
        return build_engine(bundle.network(precision), max_batch=MAX_BATCH, progress=progress)

    return cached_engine(
        state_directory() / "engines",
        key_for_this_machine(bundle, precision),
        build,
        lambda words: progress(words, 0.0),
    )


def key_for_this_machine(bundle: Bundle, precision: Precision) -> EngineKey:
    """Return what an engine of a precision depends on here.

    Without a GPU, where only TensorRT-RTX builds, the engine is for its default targets and the key says so.
    """
    gpu = find_gpu()
    return EngineKey(
        model_sha256=bundle.sha256,
        precision=precision,
        max_batch=MAX_BATCH,
        runtime=RUNTIME,
        runtime_version=VERSION,
        gpu=gpu.name if gpu else "none",
        compute_capability=gpu.compute_capability if gpu else "default",
        driver=gpu.driver if gpu else "none",
        os=platform.system(),
        architecture=platform.machine(),
    )
