"""Windows on the GPU: normalised by the host, up, network, answers down.

    windows ──▶ staging (page-locked) ──▶ given ──▶ answers ──▶ found (page-locked)
           copy                      upload    TensorRT    download

The kernel that normalises patches is not used here: it works on the patch that it normalises.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycuda import driver

from colvi_edge.bundle import Bundle
from colvi_edge.engines.base import blank_planes
from colvi_edge.engines.cuda.memory import DeviceMemory, HostMemory
from colvi_edge.engines.tensorrt.for_this_machine import LARGEST_SIDE_PX
from colvi_edge.engines.tensorrt.network import TensorRtNetwork
from colvi_edge.engines.windowed import at_once, how
from colvi_edge.errors import ImageTooLargeError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: TensorRT's own work on the default stream does not wait for it


class GpuWindows:
    """A bundle without patches on one GPU. Lives in the current context, and is closed in it.

    Attributes:
        launched: how an image's windows are worked on, in words.
    """

    def __init__(self, bundle: Bundle, plan: bytes, jit: Path) -> None:
        """Load the network.

        Args:
            bundle: whose network it is.
            plan: the network as it was built for this GPU.
            jit: file for what TensorRT-RTX compiles now.

        Raises:
            EngineUnavailableError: the GPU does not run the network.
        """
        self.launched = f"{how(bundle.config)}, normalised by the host"
        self._config = bundle.config
        self._staging, self._found = HostMemory(), HostMemory()
        self._given, self._answers = DeviceMemory(), DeviceMemory()
        self._stream = driver.Stream(_NON_BLOCKING)
        self._network = TensorRtNetwork(plan, jit)

    def warm_up(self) -> None:
        """Judge a batch of blank windows."""
        _, *window = blank_planes(self._config).shape
        self.network(np.zeros((at_once(self._config), *window), np.float32))
        self._network.keep_compiled()

    def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K, h, w) or (N, K) float32 for normalised windows (N, C, h, w).

        Raises:
            ImageTooLargeError: an image as a whole is longer than the engine was built for.
        """
        count, _, height, width = windows.shape
        if self._config.windows.px == "whole" and max(height, width) > LARGEST_SIDE_PX:
            raise ImageTooLargeError(
                f"found {width} x {height} pixels, expected at most {LARGEST_SIDE_PX} each way, for which "
                "TensorRT was built; crop the image, or use --engine openvino"
            )
        pixels = (height, width) if self._config.is_dense else ()
        answers = np.empty((count, len(self._config.task.classes), *pixels), np.float32)
        size = at_once(self._config)
        for first in range(0, count, size):
            self._batch(windows[first : first + size], answers[first : first + size])
        return answers

    def close(self) -> None:
        """Free it all; nothing of it is used afterwards."""
        self._network.keep_compiled()
        self._network.close()
        for memory in (self._staging, self._found, self._given, self._answers):
            memory.close()
        del self._stream

    def _batch(self, windows: NDArray[np.float32], answers: NDArray[np.float32]) -> None:
        half = self._network.input_type == "f16"
        given = self._staging.array(windows.shape, np.dtype(np.float16 if half else np.float32))
        given[...] = windows
        found = self._found.array(answers.shape, np.dtype(np.float32))
        at, to = self._given.at_least(given.nbytes), self._answers.at_least(found.nbytes)
        driver.memcpy_htod_async(at, given, self._stream)
        self._network.enqueue(given.shape, at, to, self._stream.handle)
        driver.memcpy_dtoh_async(found, to, self._stream)
        self._stream.synchronize()
        answers[...] = found
