# What colvi_edge/engines uses of TensorRT-RTX and classic TensorRT does not have, or not in 10.3: from 10.13
# on there is an IRuntimeConfig, but without a cache. By its IRuntimeCache TensorRT-RTX is known.

from typing import ClassVar

import tensorrt
from typing_extensions import Buffer

class DynamicShapesKernelSpecializationStrategy:
    EAGER: ClassVar[DynamicShapesKernelSpecializationStrategy]

class CudaGraphStrategy:
    WHOLE_GRAPH_CAPTURE: ClassVar[CudaGraphStrategy]

class IRuntimeCache:
    def deserialize(self, blob: Buffer) -> bool: ...
    def serialize(self) -> tensorrt.IHostMemory | None: ...

class IRuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy: DynamicShapesKernelSpecializationStrategy
    cuda_graph_strategy: CudaGraphStrategy

    def create_runtime_cache(self) -> IRuntimeCache: ...
    def set_runtime_cache(self, cache: IRuntimeCache | None = None) -> bool: ...

class ICudaEngine(tensorrt.ICudaEngine):
    def create_execution_context(
        self, runtime_config: IRuntimeConfig | None = None
    ) -> tensorrt.IExecutionContext | None: ...
    def create_runtime_config(self) -> IRuntimeConfig: ...
