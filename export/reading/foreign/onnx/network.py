"""A checked ONNX graph as a network of torch, so that it is exported, quantised and explained as any other.

Nothing of shapes is left to be computed: `colvi_edge.onnx` has worked out every tensor for one patch and for
many. What is the same for both is a number; what differs follows the number of patches.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from colvi_edge.onnx.arrays import Array
from colvi_edge.onnx.network import MOST_IMAGES, follow
from colvi_edge.onnx.reading import Graph, NetworkError, Node, shown
from colvi_edge.onnx.reading import Tensor as Numbers

from .steps import STEPS
from .use import Step, Use

_PLANNED: Mapping[str, int] = {
    **dict.fromkeys(("Expand", "Gather", "Pad", "Reshape", "Resize", "Slice", "Split"), 1),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "Clip"), 1),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), 1),
    "ConstantOfShape": 0,
}
"""The first of the inputs that a step knows beforehand, and is not given."""


FIXED_BATCH = "its batch is fixed"
"""Stands in the error on a graph that takes its own number of patches and no other."""


class OnnxNetwork(nn.Module):
    """(N, channels, h, w) float32 -> (N, K) or (N, K, h, w), as a graph of ONNX says.

    Attributes:
        channels: of a patch.
        channels_last: whether the graph takes (N, P, P, channels).
    """

    def __init__(
        self,
        graph: Graph,
        channels: int,
        size: tuple[int, int],
        *,
        channels_last: bool,
        answer: tuple[int, ...] = (2,),
    ) -> None:
        """Make a network of a graph in its known form.

        Args:
            graph: whose shapes are worked out for inputs of one size.
            channels: of its input.
            size: height and width of it. Where no step depends on them it takes others, too.
            channels_last: whether they come last.
            answer: what it gives for each input.

        Raises:
            NetworkError: its shapes do not fit, or something is not run here.
        """
        super().__init__()
        self.channels, self.channels_last = channels, channels_last
        self._input, self._output = graph.inputs[0].name, graph.outputs[0].name
        sides = (*size, channels) if channels_last else (channels, *size)
        batch = graph.inputs[0].dims[0]
        graph = graph if batch is None else _of_any_batch(graph, sides, batch, answer)
        try:
            self._few, self._many = (_followed(graph, sides, images, answer) for images in (1, MOST_IMAGES))
        except NetworkError as error:
            if batch is None:
                raise
            raise NetworkError(f"is made for {batch} at a time ({FIXED_BATCH}; it {error})") from error
        self._numbers = {name: tensor.array() for name, tensor in graph.initializers.items()}
        self._buffers_of: dict[str, str] = {}
        self._run = {self._input}
        self._steps: list[tuple[Step | nn.Module, list[str], tuple[str, ...]]] = []
        for node in graph.nodes:
            self._take(node)
        last = {name: k for k, (_, names, _) in enumerate(self._steps) for name in names}
        self._done = [
            [name for name in set(names) if last[name] == k and name != self._output]
            for k, (_, names, _) in enumerate(self._steps)
        ]
        del self._few, self._many, self._numbers, self._run

    def forward(self, patches: Tensor) -> Tensor:
        """Return the graph's output for patches."""
        is_traced = torch._C._get_tracing_state() is not None
        if not is_traced and patches.shape[1] != self.channels:
            raise ValueError(f"takes {self.channels} channels")
        batch = patches.shape[0]
        held = {self._input: patches.permute(0, 2, 3, 1) if self.channels_last else patches}
        for (step, names, made), done in zip(self._steps, self._done, strict=True):
            given = [self._held(held, name) for name in names]
            result: Any = step(*given) if isinstance(step, nn.Module) else step(batch, *given)
            held.update(zip(made, result if isinstance(result, tuple) else (result,), strict=True))
            for name in done:
                held.pop(name, None)
        return held[self._output]

    def _held(self, held: Mapping[str, Tensor], name: str) -> Tensor | None:
        if not name:
            return None
        return held[name] if name in held else cast(Tensor, getattr(self, self._buffers_of[name]))

    def _take(self, node: Node) -> None:
        """Plan a node, or keep what it gives as numbers where no pixel is in it."""
        pairs = [(name, self._few[name], self._many[name]) for name in node.outputs if name]
        if all(few.values is not None and many.values is not None for _, few, many in pairs):
            for name, few, many in pairs:
                if np.array_equal(few.values, many.values):  # type: ignore[arg-type] # known
                    self._numbers[name] = few.values  # type: ignore[assignment]
            return
        given = [self._few[name] if name else None for name in node.inputs]
        use = Use(node, given, [few for _, few, _ in pairs], [many for _, _, many in pairs])
        names = list(node.inputs[: _PLANNED.get(node.operator)])
        for name in names:
            self._keep(name, use)
        if node.operator == "Relu":  # whose maps `explain` finds by it
            relu = nn.ReLU()
            self.add_module(f"relu_{len(self._steps)}", relu)
            step: Step | nn.Module = relu
        else:
            step = STEPS[node.operator](use)
        self._run.update(node.outputs)
        self._steps.append((step, names, tuple(name for name, _, _ in pairs)))

    def _keep(self, name: str, use: Use) -> None:
        """Hold numbers that a step needs; those that follow the number of patches are none."""
        if name in self._numbers and name not in self._buffers_of:
            array = np.array(self._numbers[name])
            buffer = f"numbers_{len(self._buffers_of)}"
            floats = array.dtype.kind == "f"
            self.register_buffer(buffer, torch.from_numpy(array.astype(np.float32) if floats else array))
            self._buffers_of[name] = buffer
        elif name and name not in self._numbers and name not in self._run:
            raise use.refused("computes with the number of patches")


def _of_any_batch(graph: Graph, sides: tuple[int, ...], batch: int, answer: tuple[int, ...]) -> Graph:
    """Return a graph whose Reshapes keep the number of patches that was written down in them.

    Of its own batch it does the same: 0 keeps a length that is the very number. That it judges each patch for
    itself in any other batch is tried out later, as of every network.

    Args:
        graph: in its known form.
        sides: of a patch, as the graph takes it.
        batch: which number of patches the graph says it takes.
        answer: what it gives for each.

    Raises:
        NetworkError: even of that number it does not fit.
    """
    if not 1 <= batch <= MOST_IMAGES:
        raise NetworkError(f"takes {batch} patches at a time, expected 1 to {MOST_IMAGES}")
    arrays, numbers, nodes = _followed(graph, sides, batch, answer), dict(graph.initializers), []
    for number, node in enumerate(graph.nodes):
        if node.operator == "Reshape" and arrays[node.inputs[0]].shape[:1] == (batch,):
            target = np.ravel(np.asarray(arrays[node.inputs[1]].values))
            if target[0] == batch and 0 not in target:
                name = f"any batch {number}"
                numbers[name] = Numbers.of(np.array([0, *target[1:]], np.int64))
                node = Node("Reshape", (node.inputs[0], name), node.outputs)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), initializers=numbers)


def _followed(graph: Graph, sides: tuple[int, ...], images: int, answer: tuple[int, ...]) -> dict[str, Array]:
    arrays = {name: Array.of(tensor) for name, tensor in graph.initializers.items()}
    arrays[graph.inputs[0].name] = Array((images, *sides), np.dtype(np.float32))
    follow(graph, arrays, images, answer)
    unknown = [
        node.operator for node in graph.nodes if node.operator not in STEPS and node.operator != "Relu"
    ]
    if left := sorted({*unknown} - {"Constant", "Shape"}):
        raise NetworkError(f"has the operator {shown(left[0])}, which is not run here")
    return arrays
