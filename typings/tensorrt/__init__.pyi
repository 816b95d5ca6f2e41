# The part of TensorRT's Python API that colvi_edge/engines uses, for mypy: TensorRT ships no types. It holds
# what classic TensorRT from 10.3 to 11 and TensorRT-RTX have alike; tensorrt_rtx holds what that alone has.
# Signatures are those of the bindings' docstrings, alike in all of these versions as far as they stand here.
# tests/engines/test_tensorrt_names.py looks up each name in every version.

from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import Buffer

__version__: str

float16: DataType

class ILogger(metaclass=ABCMeta):  # the metaclass lets mypy ask a subclass for its methods
    class Severity:
        def __int__(self) -> int: ...

    ERROR: ClassVar[Severity]

    def __init__(self) -> None: ...
    @abstractmethod
    def log(self, severity: Severity, msg: str, /) -> None: ...

class IProgressMonitor(metaclass=ABCMeta):
    def __init__(self) -> None: ...
    @abstractmethod
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int, /) -> None: ...
    @abstractmethod
    def step_complete(self, phase_name: str, step: int, /) -> bool: ...
    @abstractmethod
    def phase_finish(self, phase_name: str, /) -> None: ...

class DataType: ...

class TensorIOMode:
    INPUT: ClassVar[TensorIOMode]

class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED: ClassVar[NetworkDefinitionCreationFlag]  # from 11 on ignored: all networks are

    def __int__(self) -> int: ...

class BuilderFlag:
    TF32: ClassVar[BuilderFlag]

class ProfilingVerbosity:
    DETAILED: ClassVar[ProfilingVerbosity]

class Dims:
    def __iter__(self) -> Iterator[int]: ...  # by __len__ and __getitem__

class IHostMemory:
    def __buffer__(self, flags: int, /) -> memoryview: ...  # below Python 3.12 in C alone

class ITensor:
    name: str
    shape: Dims

class INetworkDefinition:
    def get_input(self, index: int) -> ITensor: ...  # None past the last; a network of ours has one

class IOptimizationProfile:
    def set_shape(
        self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]
    ) -> None: ...

class IBuilderConfig:
    progress_monitor: IProgressMonitor | None
    profiling_verbosity: ProfilingVerbosity

    def clear_flag(self, flag: BuilderFlag) -> None: ...
    def add_optimization_profile(self, profile: IOptimizationProfile) -> int: ...

class Builder:
    def __init__(self, logger: ILogger) -> None: ...
    def create_network(self, flags: int = 0) -> INetworkDefinition: ...
    def create_builder_config(self) -> IBuilderConfig: ...
    def create_optimization_profile(self) -> IOptimizationProfile: ...
    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...

class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None: ...
    def parse(self, model: Buffer) -> bool: ...

class Runtime:
    def __init__(self, logger: ILogger) -> None: ...
    def deserialize_cuda_engine(self, serialized_engine: Buffer) -> ICudaEngine | None: ...

class ICudaEngine:
    num_io_tensors: int

    def create_execution_context(self) -> IExecutionContext | None: ...
    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> TensorIOMode: ...
    def get_tensor_shape(self, name: str) -> Dims: ...
    def get_tensor_dtype(self, name: str) -> DataType: ...

class IExecutionContext:
    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...
