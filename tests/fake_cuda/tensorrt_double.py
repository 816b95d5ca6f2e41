"""A double of TensorRT's Python module: ONNX Runtime runs the network on the fake device's memory.

TensorRT itself cannot run here: it needs a GPU that works, also TensorRT-RTX, which only builds without one.
So the engine is tested with the real pycuda, the real kernel (on the CPU) and this in TensorRT's place.
It has the names that the engine uses and no others; test_tensorrt_names.py checks that TensorRT has them
too. What it is strict about is what TensorRT's documentation demands: input shapes within the profile,
addresses set before each run and aligned to 256 bytes, a stream that is not the default one.
"""

import ctypes
import io
import math
import sys
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

ALIGNMENT = 256
KEPT_CODE = b"compiled for the fake GPU"

alive: "weakref.WeakSet[Any]" = weakref.WeakSet()
"""Runtimes, engines and contexts."""

refuse: set[str] = set()
"""Calls that fail: "Runtime", "deserialize_cuda_engine", "create_execution_context", "execute_async_v3"."""

profiles: list[Any] = []
"""Those that networks were built for, each with the smallest, the usual and the largest shape."""

given_shapes: list[tuple[int, ...]] = []
"""Of all inputs that a network was run on."""

HostFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class ILogger:
    """What messages go to."""

    ERROR = 1


class IProgressMonitor:
    """What a builder tells of its progress."""


TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
ProfilingVerbosity = SimpleNamespace(DETAILED=1)
NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=0)
BuilderFlag = SimpleNamespace(TF32=0)
float16, float32 = "float16", "float32"


class Builder:
    """Builds by writing the network down as it is."""

    def __init__(self, logger: ILogger) -> None:
        pass

    def create_network(self, flags: int) -> Any:
        """See TensorRT."""
        network = SimpleNamespace()
        network.get_input = lambda number: Engine(network.onnx, None).named_input()
        return network

    def create_builder_config(self) -> Any:
        """See TensorRT."""
        return SimpleNamespace(clear_flag=lambda flag: None, add_optimization_profile=profiles.append)

    def create_optimization_profile(self) -> Any:
        """See TensorRT."""
        profile = SimpleNamespace()
        profile.set_shape = lambda name, *shapes: setattr(profile, "shapes", shapes)
        return profile

    def build_serialized_network(self, network: Any, config: Any) -> bytes:
        """See TensorRT."""
        config.progress_monitor.phase_start("writing down", None, 1)
        config.progress_monitor.step_complete("writing down", 0)
        config.progress_monitor.phase_finish("writing down")
        return bytes(network.onnx)


class OnnxParser:
    """Keeps what it is given."""

    def __init__(self, network: Any, logger: ILogger) -> None:
        self._network = network

    def parse(self, network: bytes) -> bool:
        """See TensorRT."""
        self._network.onnx = network
        return True


class Runtime:
    """Loads engines."""

    def __init__(self, logger: Any) -> None:
        if "Runtime" in refuse:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger
        alive.add(self)

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine | None":
        """See TensorRT."""
        if "deserialize_cuda_engine" in refuse:
            self._logger.log(ILogger.ERROR, "the engine is of another\nversion")
            return None
        return Engine(plan, self._logger)


class Engine:
    """A network of at most 256 patches at once."""

    def __init__(self, plan: bytes, logger: Any) -> None:
        self.session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self.logger = logger
        (given,), (gives,) = self.session.get_inputs(), self.session.get_outputs()
        # Outputs first: the order of tensors is TensorRT's own.
        self._tensors = {gives.name: gives, given.name: given}
        self.input, self.output = given.name, gives.name
        self.num_io_tensors = 2
        alive.add(self)

    def get_tensor_name(self, number: int) -> str:
        """See TensorRT."""
        return [*self._tensors][number]

    def get_tensor_mode(self, name: str) -> str:
        """See TensorRT."""
        return "input" if name == self.input else "output"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """See TensorRT; the free dimension is -1."""
        return tuple(-1 if isinstance(side, str) else side for side in self._tensors[name].shape)

    def named_input(self) -> Any:
        """Return what a network definition says of its input."""
        return SimpleNamespace(name=self.input, shape=self.get_tensor_shape(self.input))

    def get_tensor_dtype(self, name: str) -> str:
        """See TensorRT."""
        return float16 if self._tensors[name].type == "tensor(float16)" else float32

    def create_execution_context(self, settings: Any = None) -> "Context | None":
        """See TensorRT."""
        return None if "create_execution_context" in refuse else Context(self)

    def create_runtime_config(self) -> "RuntimeConfig":
        """See TensorRT-RTX."""
        return RuntimeConfig()


class Context:
    """Runs the network in the order of a stream, with the addresses that were set last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self._kept: list[Any] = []  # a callback must outlive the call
        self._driver = ctypes.CDLL("libcuda.so.1")
        alive.add(self)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """See TensorRT."""
        self._shape = shape
        given_shapes.append(shape)
        expected = self._engine.get_tensor_shape(name)
        return 1 <= shape[0] <= 256 and all(
            side in (-1, found) for side, found in zip(expected, shape, strict=True)
        )

    def set_tensor_address(self, name: str, address: int) -> bool:
        """See TensorRT."""
        self._addresses[name] = address
        return address % ALIGNMENT == 0

    def execute_async_v3(self, stream: int) -> bool:
        """See TensorRT."""
        if "execute_async_v3" in refuse:
            self._engine.logger.log(ILogger.ERROR, "it is\nout of workspace")
            return False
        session, shape, driver = self._engine.session, self._shape, self._driver
        given, gives = self._engine.input, self._engine.output
        dtype = np.dtype(self._engine.get_tensor_dtype(given))
        patches, probabilities = self._addresses[given], self._addresses[gives]

        def work(nothing: Any) -> None:
            (found,) = session.run([gives], {given: memory(driver, patches, shape, dtype)})
            memory(driver, probabilities, found.shape, found.dtype)[:] = found

        callback = HostFunction(work)
        self._kept.append(callback)
        return stream != 0 and driver.cuLaunchHostFunc(ctypes.c_void_p(stream), callback, None) == 0


def memory(driver: Any, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return the array at an address of the device, which must be there."""
    size = math.prod(shape) * dtype.itemsize
    if not driver.fake_holds(ctypes.c_ulonglong(address), ctypes.c_size_t(size)):
        raise MemoryError(f"the network is given {size} bytes at {address:#x}, which are not there")
    there = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    return np.frombuffer(there, dtype).reshape(shape)


class RuntimeConfig:
    """TensorRT-RTX's settings for a context."""

    dynamic_shapes_kernel_specialization_strategy = "LAZY"
    cuda_graph_strategy = "DISABLED"
    last: "RuntimeConfig | None" = None

    def create_runtime_cache(self) -> "RuntimeCache":
        """See TensorRT-RTX."""
        return RuntimeCache()

    def set_runtime_cache(self, cache: "RuntimeCache") -> bool:
        """See TensorRT-RTX."""
        self.cache = cache
        RuntimeConfig.last = self
        return True


class RuntimeCache:
    """What TensorRT-RTX compiled."""

    def __init__(self) -> None:
        self.shown = self.taken = b""

    def deserialize(self, kept: bytes) -> bool:
        """See TensorRT-RTX: what it does not know it refuses."""
        self.shown = kept
        if kept != KEPT_CODE:
            return False
        self.taken = kept
        return True

    def serialize(self) -> io.BytesIO | bytes:
        """See TensorRT-RTX."""
        return KEPT_CODE


def install(name: str) -> None:
    """Let `import tensorrt`, or `import tensorrt_rtx`, find this, and the other one nothing."""
    module = ModuleType(name)
    module.__dict__.update({key: value for key, value in globals().items() if not key.startswith("__")})
    module.__dict__["__version__"] = "0.double"
    if name == "tensorrt":
        module.__dict__["__version__"] = "10.3.0"
    else:
        module.__dict__["IRuntimeCache"] = RuntimeCache
        strategies = {"EAGER": "EAGER", "WHOLE_GRAPH_CAPTURE": "WHOLE_GRAPH_CAPTURE"}
        module.__dict__["DynamicShapesKernelSpecializationStrategy"] = SimpleNamespace(**strategies)
        module.__dict__["CudaGraphStrategy"] = SimpleNamespace(**strategies)
    for package in ("tensorrt", "tensorrt_rtx"):
        sys.modules[package] = module if package == name else None  # type: ignore[assignment]
