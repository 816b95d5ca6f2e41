"""Inference of an image on the GPU: pixels up, kernel, network, probabilities down.

    planes ──▶ staging (page-locked) ──▶ raw ──▶ patches ──▶ probabilities ──▶ found (page-locked)
           copy                     upload   kernel     TensorRT          download

A GPU that shares the host's memory (a Jetson) reads the pixels out of the staging: the kernel reads each
of them once, so that a copy could only cost.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycuda import driver

from colvi_edge.bundle import Bundle
from colvi_edge.engines.base import USUAL_PATCHES, blank_planes
from colvi_edge.engines.cuda.graph import CudaGraph, CudaGraphError
from colvi_edge.engines.cuda.kernel_choice import best_kernel, variant_for
from colvi_edge.engines.cuda.memory import DeviceMemory, HostMemory
from colvi_edge.engines.tensorrt.builder import MAX_BATCH
from colvi_edge.engines.tensorrt.jit_cache import COMPILES_WHEN_OPENED
from colvi_edge.engines.tensorrt.network import TensorRtNetwork
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.launch import Kernel

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: TensorRT's own work on the default stream does not wait for it
_WARM_UP_PATCHES = USUAL_PATCHES


class GpuInference:
    """One bundle on one GPU. Lives in the current context, and is closed in it.

    Attributes:
        launched: how the last image's steps were started, in words.
    """

    def __init__(self, bundle: Bundle, plan: bytes, jit: Path) -> None:
        """Load network and kernel.

        Args:
            bundle: whose network and kernels these are.
            plan: the network as it was built for this GPU.
            jit: file for what TensorRT-RTX compiles now.

        Raises:
            EngineUnavailableError: the GPU runs none of the bundle's kernels, or not the network.
        """
        config = self._config = bundle.config
        used = [number for number, role in enumerate(config.channels) if role != "empty"]
        self._used = used
        self._source = [used.index(n) if n in used else -1 for n in range(len(config.channels))]
        self._patch_px = config.patch_px
        self._normalisation = config.normalisation
        self._staging, self._found = HostMemory(), HostMemory()
        self._raw, self._patches, self._probabilities = DeviceMemory(), DeviceMemory(), DeviceMemory()
        self._stream = driver.Stream(_NON_BLOCKING)
        self._kernel = _load_kernel(bundle)
        self._network = TensorRtNetwork(plan, jit)
        self._patch_bytes = math.prod(self._network.patch) * (2 if self._network.input_type == "f16" else 4)
        self._classes = len(config.task.classes)
        integrated = driver.device_attribute.INTEGRATED
        self._shares_memory = bool(driver.Context.get_device().get_attribute(integrated))
        self._recorded: CudaGraph | None = None
        self._recorded_for: object = None
        self._last: object = None
        self._refusal = "TensorRT-RTX records its own graph" if COMPILES_WHEN_OPENED else ""

    @property
    def launched(self) -> str:
        """See the class."""
        how = f"launched step by step ({self._refusal})" if self._refusal else "launched as a CUDA graph"
        copies = "pixels read where the host has them" if self._shares_memory else "pixels copied to the GPU"
        return f"{how}, up to {MAX_BATCH} patches at once, {copies}"

    def warm_up(self) -> None:
        """Judge blank images of the usual size until nothing is done for the first time."""
        blank = blank_planes(self._config, _WARM_UP_PATCHES)
        for _ in range(3):  # plain, recorded, and as it was recorded
            self.field(blank, _WARM_UP_PATCHES, _WARM_UP_PATCHES)
        self._network.keep_compiled()

    def field(self, planes: NDArray[Any], rows: int, cols: int) -> NDArray[np.float32]:
        """Return (rows, cols, K) float32 for planes (Z, C, H, W) that fit the bundle."""
        image = self._staged(planes, rows, cols)
        count = rows * cols
        found = self._found.array((count, self._classes), np.dtype(np.float32))
        raw = self._staging.device_address() if self._shares_memory else self._raw.at_least(image.nbytes)
        patches = self._patches.at_least(count * self._patch_bytes)
        probabilities = self._probabilities.at_least(found.nbytes)
        work = partial(self._enqueue, image, raw, patches, probabilities, found)
        places = (image.ctypes.data, raw, patches, probabilities, found.ctypes.data)
        self._do(work, (image.shape, image.dtype, *places), count)
        self._stream.synchronize()
        return found.reshape(rows, cols, -1).copy()

    def network(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K) float32 for normalised patches (N, C, P, P): no kernel, and step by step."""
        self._last = None  # another use of the same memory; what was recorded for it stays valid
        half = self._network.input_type == "f16"
        given = self._staging.array(patches.shape, np.dtype(np.float16 if half else np.float32))
        given[...] = patches
        found = self._found.array((len(given), self._classes), np.dtype(np.float32))
        at, to = self._patches.at_least(given.nbytes), self._probabilities.at_least(found.nbytes)
        driver.memcpy_htod_async(at, given, self._stream)
        self._run_network(at, to, found)
        self._stream.synchronize()
        return found.copy()

    def close(self) -> None:
        """Free it all; nothing of it is used afterwards."""
        self._network.keep_compiled()
        if self._recorded:
            self._recorded.close()
        self._network.close()
        for memory in (self._staging, self._found, self._raw, self._patches, self._probabilities):
            memory.close()
        del self._kernel, self._stream

    def _staged(self, planes: NDArray[Any], rows: int, cols: int) -> NDArray[Any]:
        """Return (1, Z, used channels, H, W) in the staging: what lies in a patch, without empty channels."""
        height, width = rows * self._patch_px, cols * self._patch_px
        shape = (1, len(planes), len(self._used), height, width)
        image = self._staging.array(shape, planes.dtype.newbyteorder("="))
        for channel, number in enumerate(self._used):
            image[0, :, channel] = planes[:, number, :height, :width]
        return image

    def _enqueue(
        self, image: NDArray[Any], raw: int, patches: int, probabilities: int, found: NDArray[np.float32]
    ) -> None:
        """Put all steps on the stream."""
        stream = self._stream
        if not self._shares_memory:
            driver.memcpy_htod_async(raw, image, stream)
        self._kernel.launch(
            image, raw, self._network.input_type, patches, self._source, self._normalisation, stream
        )
        self._run_network(patches, probabilities, found)

    def _run_network(self, patches: int, probabilities: int, found: NDArray[np.float32]) -> None:
        """Put the network on the stream, batch by batch, and the download of what it finds."""
        for first in range(0, len(found), MAX_BATCH):
            self._network.enqueue(
                (min(MAX_BATCH, len(found) - first), *self._network.patch),
                patches + first * self._patch_bytes,
                probabilities + first * found.strides[0],
                self._stream.handle,
            )
        driver.memcpy_dtoh_async(found, probabilities, self._stream)

    def _do(self, work: "partial[None]", places: object, count: int) -> None:
        """Do work: as it was recorded, if that was at the same places; record it when they come again."""
        if self._recorded and places == self._recorded_for:
            self._recorded.launch()
            return
        # At a size that it has not had, TensorRT prepares what cannot be recorded: the first time at any
        # place, and from batch to batch of a large image, for which one call instead of some is nothing.
        again, self._last = places == self._last, places
        if not (again and count <= MAX_BATCH and not self._refusal and self._record(work, places)):
            work()

    def _record(self, work: "partial[None]", places: object) -> bool:
        try:
            recorded = CudaGraph(self._stream.handle, work)
        except (CudaGraphError, driver.Error, EngineUnavailableError) as error:
            self._refusal = str(error)
            return False
        if self._recorded:
            self._recorded.close()
        self._recorded, self._recorded_for = recorded, places
        recorded.launch()
        return True


def _load_kernel(bundle: Bundle) -> Kernel:
    """Load the bundle's best kernel for this GPU that its driver takes."""
    left = list(bundle.config.kernels)
    capability = driver.Context.get_device().compute_capability()
    while True:
        file = best_kernel(left, capability)
        try:
            return Kernel(bundle.kernel(file), variant_for(bundle.config))
        except driver.Error:  # as an older driver does with a cubin of a newer toolkit
            left.remove(file)
