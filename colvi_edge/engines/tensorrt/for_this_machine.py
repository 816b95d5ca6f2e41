"""TensorRT engines for this machine, built from the bundle alone and kept in the state directory.

Imported only where TensorRT was asked for: importing it without TensorRT is the error that says
what to install.
"""

import hashlib
import platform
from pathlib import Path

from colvi_edge.bundle import Bundle, Config, Precision
from colvi_edge.engines.base import USUAL_PX, Progress
from colvi_edge.engines.cuda.gpu import driver_version, find_gpu
from colvi_edge.engines.precisions import check_held
from colvi_edge.engines.tensorrt.builder import MAX_BATCH, Sizes, build_engine
from colvi_edge.engines.tensorrt.engine_cache import BuiltEngine, EngineKey, cached_engine, is_cached
from colvi_edge.engines.tensorrt.logger import RUNTIME, VERSION
from colvi_edge.engines.windowed import at_once
from colvi_edge.system.state_directory import state_directory

LARGEST_SIDE_PX = 2048
"""Of an image that is taken as a whole: TensorRT knows the largest of each side, not of their product."""


def build_for_this_machine(bundle: Bundle, precision: Precision, progress: Progress) -> Path:
    """Return the engine file of a precision for this machine, built if it is not there yet.

    Why it is built, and why it has to be built again, is the first thing that progress is told.

    Args:
        bundle: whose network it is.
        precision: one that the bundle holds: fp32, fp16 or int8-trt.
        progress: see `builder.build_engine`; not called where the engine is there.

    Raises:
        UsageError: the bundle does not hold the precision.
        EngineUnavailableError: there is no GPU, driver or memory to build with.
        BundleError: TensorRT does not understand the network.
        OutputError: the state directory cannot be written, or is no local one.
    """
    check_held(precision, bundle.config.precisions, bundle.path)

    def build() -> BuiltEngine:
        network, sizes = bundle.network(precision), _sizes(bundle.config)
        return build_engine(network, max_batch=MAX_BATCH, progress=progress, sizes=sizes)

    return cached_engine(
        _folder(), key_for_this_machine(bundle, precision), build, lambda words: progress(words, 0.0)
    )


def is_built(bundle: Bundle, precision: Precision) -> bool:
    """Return whether the engine of a precision for this machine is there.

    Raises:
        OutputError: the state directory is no local one.
    """
    return is_cached(_folder(), key_for_this_machine(bundle, precision))


def jit_file(bundle: Bundle, precision: Precision) -> Path:
    """Return where TensorRT-RTX keeps what it compiles for an engine on this machine."""
    key = key_for_this_machine(bundle, precision)
    return _folder() / f"{hashlib.sha256(key.model_dump_json().encode()).hexdigest()[:32]}.jit"


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
        cuda_version=gpu.cuda_version if gpu else "none",
        driver=driver_version() if gpu else "none",
        os=platform.system(),
        architecture=platform.machine(),
    )


def _sizes(config: Config) -> Sizes | None:
    """Return the windows that a bundle's network is built for; None for patches."""
    if config.has_patches:
        return None
    px, step = config.windows.px, config.windows.step_px
    if config.input.resize_px:
        only = (1, *config.input.resize_px)
        return Sizes(only, only, only)
    if px == "whole":
        return Sizes((1, step, step), (1, USUAL_PX, USUAL_PX), (1, LARGEST_SIDE_PX, LARGEST_SIDE_PX))
    most = (at_once(config), px, px)
    return Sizes((1, step, step), most, most)


def _folder() -> Path:
    return state_directory() / "engines"
