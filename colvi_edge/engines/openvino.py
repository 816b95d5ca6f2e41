"""OpenVINO engine: the default on x86 and Arm CPUs.

Raw pixels go in; the normalisation stands in front of the network in the same graph. The
graph subtracts each group's minimum before it standardises: differences of integers below
2^24 are exact in float32, so a nearly constant patch on a high black level keeps its digits,
and a constant one is exactly zero without a special case.
"""

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, check_planes
from colvi_edge.patches import Normalisation

_BATCH = 16
"""Patches a call: the feature maps stay in cache; 8 to 16 measured fastest, 256 slower by a fifth."""

_TINY = 1e-30
"""Far below the variance of any patch that is not constant; MVN needs a number above 0."""


class OpenVinoEngine:
    """A network of the bundle compiled for this CPU."""

    def __init__(self, bundle: Bundle, precision: Precision, reason: str) -> None:
        """Compile the network; `open_engine` is the way here."""
        core = openvino.Core()
        config = bundle.config
        model = core.read_model(bundle.network(precision))
        channels, patch_px = len(config.channels), config.patch_px
        model.reshape([_BATCH, channels, patch_px, patch_px])
        graph = PrePostProcessor(model)
        graph.input().tensor().set_element_type(openvino.Type.f32)
        graph.input().preprocess().custom(lambda node: _normalised(node, config.normalisation.build()))
        compiled = core.compile_model(
            graph.build(),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                # Left alone, OpenVINO runs an FP32 model in bfloat16 where the CPU has it, which
                # moves the logits by 1.2 % without a word.
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._bundle = bundle
        self._request = compiled.create_infer_request()
        self._batch = np.zeros((_BATCH, channels, patch_px, patch_px), np.float32)
        self._request.set_input_tensor(openvino.Tensor(self._batch, shared_memory=True))
        device = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
        self.info = EngineInfo("openvino", openvino.__version__.split("-")[0], precision, device, reason)

    def probabilities(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """See `Engine.probabilities`."""
        rows, cols = check_planes(planes, self._bundle)
        tiles = _tiles(_projection(planes), rows, cols, self._bundle.config.patch_px)
        found = np.empty((rows * cols, 2), np.float32)
        for start in range(0, rows * cols, _BATCH):
            count = min(_BATCH, rows * cols - start)
            for slot in range(count):
                self._batch[slot] = tiles[divmod(start + slot, cols)]
            self._request.infer()
            found[start : start + count] = self._request.get_output_tensor().data[:count]
        return found.reshape(rows, cols, 2)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._request


def _projection(planes: NDArray[Any]) -> NDArray[Any]:
    """Sum over Z without rounding: one plane is its own sum, 32 bit hold 65,537 planes of 16 bit."""
    if len(planes) == 1:
        return planes[0]
    wide = np.uint32 if np.issubdtype(planes.dtype, np.integer) else np.float64
    summed: NDArray[Any] = planes.sum(axis=0, dtype=wide)
    return summed


def _tiles(projection: NDArray[Any], rows: int, cols: int, patch_px: int) -> NDArray[Any]:
    """Return a (rows, cols, C, P, P) view: nothing is copied until a batch is filled."""
    whole = projection[:, : rows * patch_px, : cols * patch_px]
    return whole.reshape(-1, rows, patch_px, cols, patch_px).transpose(1, 3, 0, 2, 4)


def _normalised(raw: openvino.Output, normalisation: Normalisation) -> openvino.Output:
    """Append the formulas of `patches` to a graph that begins with raw (N, C, P, P) float32."""
    if normalisation.kind == "fixed":
        mean = np.array(normalisation.mean, np.float32).reshape(1, -1, 1, 1)
        std = np.array(normalisation.std, np.float32).reshape(1, -1, 1, 1)
        return ops.divide(ops.subtract(raw, mean), std).output(0)
    if normalisation.kind == "scale":
        return ops.divide(raw, np.float32(normalisation.divisor)).output(0)
    axes = np.array([1, 2, 3] if normalisation.kind == "patch" else [2, 3])
    shifted = ops.subtract(raw, ops.reduce_min(raw, axes, keep_dims=True))
    return ops.mvn(shifted, axes, True, _TINY, "INSIDE_SQRT").output(0)
