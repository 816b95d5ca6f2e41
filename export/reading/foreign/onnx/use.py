"""A node of a graph in its place, with all that is known of its tensors before anything runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colvi_edge.onnx.arrays import Array
from colvi_edge.onnx.reading import NetworkError, Node

Step = Callable[..., Any]
"""(number of patches, a tensor for each input that there is) -> a tensor, or one for each output."""


@dataclass(frozen=True)
class Use:
    """A node in its place.

    Attributes:
        node: what is asked for.
        given: what is known of its inputs for one patch; None where one is left out.
        made: the same of its outputs.
        more: of its outputs for many patches.
    """

    node: Node
    given: Sequence[Array | None]
    made: Sequence[Array]
    more: Sequence[Array]

    def known(self, number: int) -> list[int]:
        """Return the whole numbers of an input."""
        array = self.given[number]
        assert array is not None  # noqa: S101 - the rules have asked for it
        assert array.values is not None  # noqa: S101 - likewise
        return [int(value) for value in np.ravel(array.values)]

    def number(self, number: int, default: float) -> float:
        """Return the one number of an input."""
        array = self.given[number] if number < len(self.given) else None
        if array is None:
            return default
        if array.values is None:
            raise self.refused("takes a number that depends on the pixels")
        return float(np.ravel(array.values)[0])

    def float(self, name: str, default: float) -> "float":
        """Return an attribute that is a number."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise self.refused(f"has no number in {name}")
        return value

    def shape(self, output: int = 0) -> tuple[int, ...]:
        """Return the shape of an output, with -1 for the one length that follows the number of patches."""
        pairs = list(zip(self.made[output].shape, self.more[output].shape, strict=True))
        free = [place for place, (one, many) in enumerate(pairs) if one != many]
        if len(free) > 1:
            raise self.refused("makes two lengths of the number of patches")
        return tuple(-1 if place in free else one for place, (one, _) in enumerate(pairs))

    def refused(self, why: str) -> NetworkError:
        """Return the error that says why this node is not run."""
        return NetworkError(f"has a node {self.node.operator} that {why}, which is not run here")
