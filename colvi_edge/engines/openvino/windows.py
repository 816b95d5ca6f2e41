"""A network whose windows are of the image's size or the bundle's: compiled for each size that comes."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.openvino.compiled_cache import compiled_network
from colvi_edge.engines.openvino.silent import PrePostProcessor, openvino
from colvi_edge.engines.windowed import Shape
from colvi_edge.windows import MOST_WHOLE_PX

_MOST_SIZES = 4
"""Compiled networks that are kept, each with its weights and feature maps."""

_AT_ONCE_PX = 2**20
"""Of all windows under way: a U-Net of depth 3 and base 16 holds 310 to 460 bytes for each."""

_STREAMS = 8
"""At most. A core on a window of its own takes less time of the processor than two on one: 8 % at 544 x 544
pixels, 17 % at 256 x 256. An image that is one window has all cores on it."""

_CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""What makes the graph; a change here must not meet a network that was compiled before it."""


class OpenVinoLanes:
    """Lanes of one compiled network."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        """Make a request for each stream, and one more where that would leave it idle between two."""
        lanes = max(2, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [compiled.create_infer_request() for _ in range(lanes)]
        self.inputs = [np.zeros(compiled.input().shape, np.float32) for _ in range(lanes)]
        for request, given in zip(self._requests, self.inputs, strict=True):
            request.set_input_tensor(openvino.Tensor(given, shared_memory=True))

    def start(self, lane: int) -> None:
        """See `Lanes.start`."""
        self._requests[lane].start_async()

    def answers(self, lane: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """See `Lanes.answers`."""
        self._requests[lane].wait()
        found: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
        found = self._requests[lane].get_output_tensor().data
        return found


class CompiledWindows:
    """The networks compiled so far, of which the last few are kept."""

    def __init__(self, core: openvino.Core, bundle: Bundle, precision: Precision) -> None:
        """Compile nothing yet."""
        self._core, self._bundle, self._precision = core, bundle, precision
        self._kept: OrderedDict[tuple[Shape, int], OpenVinoLanes] = OrderedDict()

    def lanes(self, shape: Shape, batches: int) -> OpenVinoLanes:
        """Return lanes for batches (N, C, h, w), of which there will be so many."""
        streams = min(_STREAMS, max(1, _AT_ONCE_PX // _pixels(shape))) if batches > 1 else 1
        found = self._kept.pop((shape, streams), None)
        if found is None:
            self._make_room(shape)
            found = OpenVinoLanes(self._compiled(shape, streams))
        self._kept[shape, streams] = found
        return found

    def close(self) -> None:
        """Free what was compiled."""
        self._kept.clear()

    def _make_room(self, shape: Shape) -> None:
        """Forget what was used longest ago, until there are few, and together no larger than one may be."""
        while self._kept and (
            len(self._kept) >= _MOST_SIZES
            or sum(_pixels(kept) for kept, _ in (*self._kept, (shape, 1))) > MOST_WHOLE_PX
        ):
            self._kept.popitem(last=False)

    def _compiled(self, shape: Shape, streams: int) -> openvino.CompiledModel:
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "PERFORMANCE_HINT_NUM_REQUESTS": streams,
            # Left alone, OpenVINO runs an FP32 model in bfloat16 where the CPU has it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        made_of = {
            "model": self._bundle.sha256,
            "precision": self._precision,
            "windows": "x".join(map(str, shape)),
            "code": _CODE,
        }

        def graph() -> openvino.Model:
            model = self._core.read_model(self._bundle.network(self._precision))
            model.reshape(list(shape))
            made = PrePostProcessor(model)
            made.input().tensor().set_element_type(openvino.Type.f32)
            return made.build()

        return compiled_network(self._core, settings, made_of, graph)


def _pixels(shape: Shape) -> int:
    return shape[0] * shape[2] * shape[3]
