"""ONNX -> TensorRT engine, by one path for classic TensorRT (10.3 to 11) and TensorRT-RTX.

Importing this without TensorRT is the error that says what to install.

The network is strongly typed: FP16 and INT8 come from the ONNX file alone, without calibrators
or precision flags, which TensorRT 11 no longer has.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from colvi_edge.engines.base import Progress
from colvi_edge.engines.tensorrt.engine_cache import BuiltEngine
from colvi_edge.engines.tensorrt.installed import WITHOUT
from colvi_edge.engines.tensorrt.logger import LOG, RUNTIME, VERSION, trt
from colvi_edge.errors import BundleError, EngineUnavailableError

MAX_BATCH = 256
"""Patches of a 1024 x 1024 image. Memory of an engine grows with it: FP16 takes 1.3 MB a patch."""


class Sizes(NamedTuple):
    """Batches (N, h, w) that an engine takes, and those that it is tuned for.

    Attributes:
        smallest: least of each.
        usual: what comes most.
        largest: most of each.
    """

    smallest: tuple[int, int, int]
    usual: tuple[int, int, int]
    largest: tuple[int, int, int]


def build_engine(
    onnx: bytes, *, max_batch: int, progress: Progress, sizes: Sizes | None = None
) -> BuiltEngine:
    """Build an engine for this machine's GPU; TensorRT-RTX needs none to build.

    Takes a second on TensorRT-RTX, minutes on a Jetson. Ctrl-C, or an exception that progress
    raises, stops the build and is raised here.

    Args:
        onnx: (N, C, P, P) float32 -> (N, K) float32, N free; or (N, C, h, w) -> (N, K, h, w).
        max_batch: largest N that the engine takes and the one it is tuned for, 1..256.
        progress: called from other threads, one call at a time; it may raise to cancel.
        sizes: of the windows; None for patches.

    Raises:
        BundleError: TensorRT does not understand the network.
        EngineUnavailableError: there is no GPU, driver or memory to build with.
    """
    if not 1 <= max_batch <= MAX_BATCH:
        raise ValueError(f"expected max_batch 1..{MAX_BATCH}, got {max_batch}")
    monitor = _Monitor(progress)
    with ThreadPoolExecutor(1) as pool:
        # Python raises Ctrl-C in the main thread. Were that inside the C++ builder, the exception
        # would land in one of the callbacks below, and TensorRT swallows what they raise.
        building = pool.submit(_build, onnx, sizes or max_batch, monitor)
        try:
            return building.result()
        except BaseException:
            monitor.stop.set()
            raise


class _Monitor(trt.IProgressMonitor):
    """Makes one rising number of TensorRT's nested phases, and stops the build when it is told to."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._progress = progress
        self._lock = threading.Lock()
        self._phases: dict[str, tuple[int, int]] = {}  # name -> steps done, steps; outermost first
        self._done = 0.0

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """See TensorRT's IProgressMonitor."""
        with self._lock:
            self._phases[phase_name] = (0, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """See TensorRT's IProgressMonitor; False cancels the build."""
        with self._lock:
            # Two subgraphs may be in a phase of one name; the first that ends takes it away.
            _, steps = self._phases.get(phase_name, (0, step + 1))
            self._phases[phase_name] = (step + 1, steps)
            self._done = max(self._done, self._fraction())
            try:
                self._progress(phase_name, self._done)
            except BaseException as error:  # noqa: BLE001 - raised again where no C++ lies between
                self.error = self.error or error
            return self.error is None and not self.stop.is_set()

    def phase_finish(self, phase_name: str) -> None:
        """See TensorRT's IProgressMonitor."""
        with self._lock:
            self._phases.pop(phase_name, None)

    def _fraction(self) -> float:
        done_inside = 0.0
        for done, steps in reversed(self._phases.values()):
            done_inside = min(1.0, (done + done_inside) / steps)
        return done_inside


def _build(onnx: bytes, sizes: Sizes | int, monitor: _Monitor) -> BuiltEngine:
    LOG.forget()
    try:
        builder = trt.Builder(LOG)
    except TypeError as error:  # how the bindings say that the constructor gave a null pointer
        raise _cannot_build() from error
    # TensorRT 11 and TensorRT-RTX know no other networks and ignore the flag.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOG)
    config = builder.create_builder_config()
    try:
        if not parser.parse(onnx):
            raise BundleError(
                f"{RUNTIME} {VERSION} cannot read the network: {LOG.last_error}; export it again"
            )
        config.progress_monitor = monitor
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or no layers are listed
        config.clear_flag(trt.BuilderFlag.TF32)  # left alone, FP32 layers would keep 10 bits of mantissa
        _add_profile(builder, network, config, sizes)
        plan = _serialise(builder, network, config)
        if monitor.error:
            raise monitor.error
        if plan is None:
            raise _cannot_build()
        return BuiltEngine(plan, LOG.layers)
    finally:
        del config, parser, network  # before their builder: freed together with it they have crashed


def _add_profile(
    builder: "trt.Builder",
    network: "trt.INetworkDefinition",
    config: "trt.IBuilderConfig",
    sizes: Sizes | int,
) -> None:
    tensor = network.get_input(0)
    _, channels, *patch = tensor.shape
    if isinstance(sizes, int):
        most = (sizes, channels, *patch)
        shapes = [(1, channels, *patch), most, most]
    else:
        shapes = [(count, channels, height, width) for count, height, width in sizes]
    profile = builder.create_optimization_profile()
    profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)


def _serialise(
    builder: "trt.Builder", network: "trt.INetworkDefinition", config: "trt.IBuilderConfig"
) -> bytes | None:
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else bytes(plan)


def _cannot_build() -> EngineUnavailableError:
    return EngineUnavailableError(
        f"{RUNTIME} {VERSION} cannot build an engine on this machine: {LOG.last_error}; "
        f"see that its GPU driver works and GPU memory is free, or {WITHOUT}"
    )
