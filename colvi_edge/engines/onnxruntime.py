"""ONNX Runtime engine: the reference on any CPU. Input comes from the oracle itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, PassedOver, check_planes
from colvi_edge.patches import network_input

_BATCH = 64
"""Patches a call: at 256 the FP32 feature maps of one call take 1.2 GB."""


class OnnxRuntimeEngine:
    """A network of the bundle in an ONNX Runtime session on the CPU."""

    def __init__(
        self, bundle: Bundle, precision: Precision, reason: str, passed_over: Sequence[PassedOver] = ()
    ) -> None:
        """Open the session; `open_engine` is the way here."""
        version, how = onnxruntime.__version__, f"{reason}; {_BATCH} patches at once"
        self.info = EngineInfo("onnxruntime", version, precision, "CPU", how, tuple(passed_over))
        self._bundle = bundle
        self._session = onnxruntime.InferenceSession(
            bundle.network(precision), providers=["CPUExecutionProvider"]
        )
        given = self._session.get_inputs()[0]
        self._input = given.name
        self._dtype = np.float16 if given.type == "tensor(float16)" else np.float32

    def field(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.field`."""
        rows, cols = check_planes(planes, self._bundle)
        config = self._bundle.config
        patches = network_input(planes, config.patch_px, config.normalisation)
        return self.network(patches).reshape(rows, cols, 2)

    def network(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.network`."""
        patches = patches.astype(self._dtype, copy=False)
        found = [
            self._session.run(None, {self._input: patches[start : start + _BATCH]})[0]
            for start in range(0, len(patches), _BATCH)
        ]
        return np.concatenate(found)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._session
