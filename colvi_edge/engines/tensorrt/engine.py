"""TensorRT engine: the CUDA kernel and the network of a bundle on an NVIDIA GPU.

Importing this without TensorRT or pycuda is the error that says what to install.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, Progress, check_planes
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.engines.cuda.thread import CudaError, CudaThread
from colvi_edge.engines.tensorrt.for_this_machine import build_for_this_machine, jit_file
from colvi_edge.engines.tensorrt.inference import GpuInference
from colvi_edge.engines.tensorrt.logger import RUNTIME, VERSION
from colvi_edge.errors import EngineUnavailableError

_DTYPES = ("uint8", "uint16", "float32")


class TensorRtEngine:
    """A network of the bundle on the first GPU. May be closed, or dropped, in any thread."""

    def __init__(self, bundle: Bundle, precision: Precision, reason: str, progress: Progress) -> None:
        """Build the engine if need be, load it and warm it up; `open_engine` is the way here."""
        gpu = find_gpu()
        if gpu is None:
            raise EngineUnavailableError(
                "TensorRT finds no NVIDIA GPU; see that nvidia-smi lists one, or use --engine openvino"
            )
        built = build_for_this_machine(bundle, precision, progress)
        jit = jit_file(bundle, precision)
        self._bundle = bundle
        try:
            self._cuda = CudaThread(lambda: GpuInference(bundle, built.read_bytes(), jit))
            launched = self._warm_up()
        except CudaError as error:
            raise EngineUnavailableError(
                f"CUDA cannot prepare the engine ({error}); update the GPU's driver, or use --engine openvino"
            ) from error
        self._reason = reason
        self.info = EngineInfo(RUNTIME, VERSION, precision, gpu.name, f"{reason}; {launched}")

    def probabilities(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.probabilities`."""
        rows, cols = check_planes(planes, self._bundle)
        if planes.dtype.name not in _DTYPES:
            raise ValueError(f"expected planes of {', '.join(_DTYPES)}, got {planes.dtype}")
        found, launched = self._cuda.run(
            lambda inference: (inference.probabilities(planes, rows, cols), inference.launched)
        )
        self.info = replace(self.info, reason=f"{self._reason}; {launched}")
        return found

    def network(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.network`; the transfers to and from the GPU are part of it."""
        return self._cuda.run(lambda inference: inference.network(patches))

    def close(self) -> None:
        """See `Engine.close`; a second time does nothing."""
        self._cuda.close()

    def _warm_up(self) -> str:
        try:
            self._cuda.run(lambda inference: inference.warm_up())
            return self._cuda.run(lambda inference: inference.launched)
        except BaseException:
            self._cuda.close()
            raise
