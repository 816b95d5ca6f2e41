"""The engines that every machine can open, for tests that mean all of them."""

from colvi_edge.choices import EngineName

ENGINES = [engine.value for engine in EngineName if engine not in (EngineName.AUTO, EngineName.TENSORRT)]
"""TensorRT needs a GPU: `fake_cuda`, `cuda_on_cpu` and `gpu` hold it to the same oracle."""
