"""OpenVINO engine: the default on x86 and Arm CPUs.

Raw pixels go in; the normalisation stands in front of the network in the same graph. The
graph subtracts each group's minimum before it standardises: differences of integers below
2^24 are exact in float32, so a nearly constant patch on a high black level keeps its digits,
and a constant one is exactly zero without a special case.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.engines.base import EngineInfo, Keep, PassedOver, check_planes, everything
from colvi_edge.engines.openvino import unfold
from colvi_edge.engines.openvino.compiled_cache import compiled_network
from colvi_edge.engines.openvino.silent import PrePostProcessor, openvino, ops
from colvi_edge.engines.openvino.windows import CompiledWindows
from colvi_edge.engines.scene import projection
from colvi_edge.engines.windowed import batch_size, how, network_on, windowed_field
from colvi_edge.patches import Normalisation

_BATCH = 16
"""Patches a call: the feature maps stay in cache; 8 to 16 measured fastest, 256 slower by a fifth."""

_REQUESTS = 8
"""Batches under way at once, at most: each holds its own feature maps, 33 MB in FP32."""

_SETTINGS = {
    # One batch after the other on all cores took a tenth more time of the processor.
    "PERFORMANCE_HINT": "THROUGHPUT",
    "PERFORMANCE_HINT_NUM_REQUESTS": _REQUESTS,
    # Left alone, OpenVINO runs an FP32 model in bfloat16 where the CPU has it, which moves the logits by
    # 1.2 % without a word.
    "INFERENCE_PRECISION_HINT": "f32",
}

_CODE = hashlib.sha256(b"".join(Path(file).read_bytes() for file in (__file__, unfold.__file__))).hexdigest()
"""What makes the graph; a change here must not meet a network that was compiled before it."""

_TINY = 1e-30
"""Far below the variance of any patch that is not constant; MVN needs a number above 0."""

Fill = Callable[[NDArray[np.float32], int], None]
"""Puts the patches that begin at a number into a batch, as many as it has room for."""


class OpenVinoEngine:
    """A network of the bundle compiled for this CPU."""

    def __init__(
        self, bundle: Bundle, precision: Precision, reason: str, passed_over: Sequence[PassedOver] = ()
    ) -> None:
        """Compile the network; `open_engine` is the way here."""
        self._core = openvino.Core()
        self._bundle = bundle
        self._precision = precision
        self._windows = CompiledWindows(self._core, bundle, precision)
        seen = how(bundle.config)
        if bundle.config.has_patches:
            normalisation = bundle.config.normalisation
            made_of = {"model": bundle.sha256, "precision": precision, "code": _CODE}
            self._whole = _Compiled(
                compiled_network(self._core, _SETTINGS, made_of, lambda: self._graph(normalisation))
            )
            seen = f"{self._whole.ahead} x {_BATCH} patches at once"
        device = str(self._core.get_property("CPU", "FULL_DEVICE_NAME"))
        version = openvino.__version__.split("-")[0]
        self.info = EngineInfo(
            "openvino", version, precision, device, f"{reason}; {seen}", tuple(passed_over)
        )

    def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
        """See `Engine.field`."""
        rows, cols = check_planes(planes, self._bundle)
        config = self._bundle.config
        if not config.has_patches:
            return windowed_field(planes, config, self._windows.lanes, keep)
        tiles = _tiles(projection(planes), rows, cols, config.patch_px)

        def fill(batch: NDArray[np.float32], start: int) -> None:
            for slot, number in zip(batch, range(start, rows * cols), strict=False):
                slot[...] = tiles[divmod(number, cols)]

        return keep(self._whole.run(rows * cols, fill).reshape(rows, cols, -1))

    def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.network`."""
        if not self._bundle.config.has_patches:
            batches = -(-len(windows) // (size := batch_size(*windows.shape[2:])))
            return network_on(self._windows.lanes((size, *windows.shape[1:]), batches), windows)

        def fill(batch: NDArray[np.float32], start: int) -> None:
            given = windows[start : start + len(batch)]
            batch[: len(given)] = given

        return self._bare.run(len(windows), fill)

    def close(self) -> None:
        """See `Engine.close`."""
        self._windows.close()
        self.__dict__.pop("_whole", None)
        self.__dict__.pop("_bare", None)

    @cached_property
    def _bare(self) -> "_Compiled":
        return _Compiled(self._core.compile_model(self._graph(None), "CPU", _SETTINGS))

    def _graph(self, normalisation: Normalisation | None) -> openvino.Model:
        """Return the network, behind a normalisation of raw patches if one is given."""
        config = self._bundle.config
        model = self._core.read_model(self._bundle.network(self._precision))
        model.reshape([_BATCH, len(config.channels), config.patch_px, config.patch_px])
        unfold.unfold_first_convolution(model)
        graph = PrePostProcessor(model)
        graph.input().tensor().set_element_type(openvino.Type.f32)
        if normalisation is not None:
            graph.input().preprocess().custom(lambda node: _normalised(node, normalisation))
        return graph.build()


class _Compiled:
    """A network on the CPU's cores: each works on a batch of its own, so that none waits for another."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        """Make as many requests as OpenVINO has streams for."""
        self._classes = compiled.output().shape[1]
        self.ahead: int = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = [compiled.create_infer_request() for _ in range(self.ahead)]
        self._batches = [np.zeros(compiled.input().shape, np.float32) for _ in range(self.ahead)]
        for request, batch in zip(self._requests, self._batches, strict=True):
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))

    def run(self, patches: int, fill: Fill) -> NDArray[np.float32]:
        """Return the network's outputs, (patches, K), for the patches that `fill` puts in."""
        found = np.empty((patches, self._classes), np.float32)
        started = [
            (turn % len(self._requests), start) for turn, start in enumerate(range(0, patches, _BATCH))
        ]
        ahead = len(self._requests)
        for turn, (index, start) in enumerate(started):
            if turn >= ahead:
                self._collect(*started[turn - ahead], found)
            fill(self._batches[index], start)
            self._requests[index].start_async()
        for index, start in started[-ahead:]:
            self._collect(index, start, found)
        return found

    def _collect(self, index: int, start: int, found: NDArray[np.float32]) -> None:
        self._requests[index].wait()
        rest = found[start : start + _BATCH]
        rest[...] = self._requests[index].get_output_tensor().data[: len(rest)]


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
