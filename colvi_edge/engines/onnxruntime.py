"""ONNX Runtime engine: the reference on any CPU. Input comes from the oracle itself."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, Keep, PassedOver, check_planes, everything
from colvi_edge.engines.lanes import ThreadLanes
from colvi_edge.engines.windowed import Shape, batch_size, how, windowed_field
from colvi_edge.patches import network_input

_BATCH = 64
"""Patches a call: at 256 the FP32 feature maps of one call take 1.2 GB."""


class OnnxRuntimeEngine:
    """A network of the bundle in an ONNX Runtime session on the CPU."""

    def __init__(
        self, bundle: Bundle, precision: Precision, reason: str, passed_over: Sequence[PassedOver] = ()
    ) -> None:
        """Open the session; `open_engine` is the way here."""
        seen = f"{_BATCH} patches at once" if bundle.config.has_patches else how(bundle.config)
        version, reason = onnxruntime.__version__, f"{reason}; {seen}"
        self.info = EngineInfo("onnxruntime", version, precision, "CPU", reason, tuple(passed_over))
        self._bundle = bundle
        self._thread = ThreadPoolExecutor(1, "network")
        self._session = onnxruntime.InferenceSession(
            bundle.network(precision), providers=["CPUExecutionProvider"]
        )
        given = self._session.get_inputs()[0]
        self._input = given.name
        self._dtype = np.float16 if given.type == "tensor(float16)" else np.float32

    def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
        """See `Engine.field`."""
        rows, cols = check_planes(planes, self._bundle)
        config = self._bundle.config
        if not config.has_patches:
            return windowed_field(planes, config, self._lanes, keep)
        patches = network_input(planes, config.patch_px, config.normalisation)
        return keep(self.network(patches).reshape(rows, cols, -1))

    def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.network`."""
        windows = windows.astype(self._dtype, copy=False)
        batch = _BATCH if self._bundle.config.has_patches else batch_size(*windows.shape[2:])
        found = [
            self._session.run(None, {self._input: windows[start : start + batch]})[0]
            for start in range(0, len(windows), batch)
        ]
        return np.concatenate(found)

    def close(self) -> None:
        """See `Engine.close`."""
        self._thread.shutdown()
        del self._session

    def _lanes(self, shape: Shape, batches: int) -> ThreadLanes:
        return ThreadLanes(self.network, shape, self._thread)
