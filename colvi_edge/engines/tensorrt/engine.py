"""TensorRT engine: the CUDA kernel and the network of a bundle on an NVIDIA GPU.

Importing this without TensorRT or pycuda is the error that says what to install.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, Keep, PassedOver, Progress, check_planes, everything
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.engines.cuda.thread import CudaError, CudaThread
from colvi_edge.engines.lanes import ThreadLanes
from colvi_edge.engines.tensorrt.for_this_machine import build_for_this_machine, jit_file
from colvi_edge.engines.tensorrt.inference import GpuInference
from colvi_edge.engines.tensorrt.logger import RUNTIME, VERSION
from colvi_edge.engines.tensorrt.windows import GpuWindows
from colvi_edge.engines.windowed import Shape, windowed_field
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.patches import PIXEL_TYPES


class TensorRtEngine:
    """A network of the bundle on the first GPU. May be closed, or dropped, in any thread."""

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision,
        reason: str,
        passed_over: Sequence[PassedOver] = (),
        *,
        progress: Progress,
    ) -> None:
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
            self._thread = ThreadPoolExecutor(1, "network")
            inference = GpuInference if bundle.config.has_patches else GpuWindows
            self._cuda: CudaThread[GpuInference | GpuWindows] = CudaThread(
                lambda: inference(bundle, built.read_bytes(), jit)
            )
            self._launched = self._warm_up()
        except CudaError as error:
            raise EngineUnavailableError(
                f"CUDA cannot prepare the engine ({error}); update the GPU's driver, or use --engine openvino"
            ) from error
        self._opened = EngineInfo(RUNTIME, VERSION, precision, gpu.name, reason, tuple(passed_over))

    @property
    def info(self) -> EngineInfo:
        """See `Engine.info`."""
        return replace(self._opened, reason=f"{self._opened.reason}; {self._launched}")

    def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
        """See `Engine.field`."""
        rows, cols = check_planes(planes, self._bundle)
        if planes.dtype.name not in PIXEL_TYPES:
            raise ValueError(f"expected planes of {', '.join(PIXEL_TYPES)}, got {planes.dtype}")
        if not self._bundle.config.has_patches:
            return windowed_field(planes, self._bundle.config, self._lanes, keep)

        def judge(inference: GpuInference | GpuWindows) -> tuple[NDArray[np.float32], str]:
            of_patches = cast("GpuInference", inference)
            return of_patches.field(planes, rows, cols), of_patches.launched

        found, self._launched = self._cuda.run(judge)
        return keep(found)

    def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.network`; the transfers to and from the GPU are part of it."""
        return self._cuda.run(lambda inference: inference.network(windows))

    def close(self) -> None:
        """See `Engine.close`; a second time does nothing."""
        self._thread.shutdown()
        self._cuda.close()

    def _lanes(self, shape: Shape, batches: int) -> ThreadLanes:
        return ThreadLanes(self.network, shape, self._thread)

    def _warm_up(self) -> str:
        try:
            self._cuda.run(lambda inference: inference.warm_up())
            return self._cuda.run(lambda inference: inference.launched)
        except BaseException:
            self._cuda.close()
            raise
