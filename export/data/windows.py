"""Windows of images with masks, as a dense network learns from them.

Each is drawn from a random place and turned one of eight ways. What one object has in common with another
that it touches is background here, so that a network learns to keep them apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.patches import Normalisation, normalise_image

from .masks import NOT_ANNOTATED, Masked
from .patch_set import turned

KEPT = 64
"""Normalised images that are kept: 4 MB each of 1024 x 1024 and one channel."""


class Batch(NamedTuple):
    """Windows to learn from.

    Attributes:
        inputs: (N, C, px, px) float32, normalised.
        target: (N, px, px) int64, class of each pixel, NOT_ANNOTATED where nobody said.
        share: of the pass over all images that is done with them, 0..1.
    """

    inputs: NDArray[np.float32]
    target: NDArray[np.int64]
    share: float


class WindowSource:
    """Images that windows are drawn from."""

    def __init__(self, masked: Sequence[Masked], normalisation: Normalisation, px: int) -> None:
        """Keep the images.

        Args:
            masked: to draw from.
            normalisation: of whole images.
            px: edge of a window; an image that is smaller is padded with what nobody annotated.
        """
        self._masked, self._px = masked, px
        self._target = [_padded(target_of(one), px, NOT_ANNOTATED) for one in masked]
        self._normalised: Callable[[int], NDArray[np.float32]] = lru_cache(KEPT)(
            lambda k: _padded(normalise_image(masked[k].counts, normalisation), px, 0)
        )

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield as many windows as cover all images once, so many at a time, in random order."""
        each = [self._covering(k) for k in range(len(self._masked))]
        order = rng.permutation(np.repeat(np.arange(len(each)), each))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            drawn = [self._draw(int(k), rng) for k in chosen]
            ways = rng.integers(8, size=len(chosen))
            yield Batch(
                turned(np.stack([window for window, _ in drawn]), ways),
                turned(np.stack([target for _, target in drawn])[:, np.newaxis], ways)[:, 0].astype(np.int64),
                (start + len(chosen)) / len(order),
            )

    def _covering(self, image: int) -> int:
        rows, cols = (-(-length // self._px) for length in self._target[image].shape)
        return rows * cols

    def _draw(self, image: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        target = self._target[image]
        row, col = (int(rng.integers(length - self._px + 1)) for length in target.shape)
        here = slice(row, row + self._px), slice(col, col + self._px)
        return self._normalised(image)[:, here[0], here[1]], target[here]


def target_of(one: Masked) -> NDArray[np.uint8]:
    """Return (H, W) uint8, what is learnt: the classes, but background between objects that touch."""
    if one.objects is None:
        return one.target
    target = one.target.copy()
    for here, there in _neighbours():
        other = one.objects[here] != one.objects[there]
        meet = other & (one.objects[here] > 0) & (one.objects[there] > 0)
        target[here][meet] = target[there][meet] = 0
    return target


def _neighbours() -> Iterable[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield pairs of views of an array whose equal places are neighbours, each of the eight once."""
    every, but_last, but_first = slice(None), slice(None, -1), slice(1, None)
    yield (but_last, every), (but_first, every)
    yield (every, but_last), (every, but_first)
    yield (but_last, but_last), (but_first, but_first)
    yield (but_last, but_first), (but_first, but_last)


def _padded(array: NDArray[Any], px: int, value: float) -> NDArray[Any]:
    """Return an array whose last two axes have the length of a window at least, padded at their ends."""
    missing = [max(0, px - length) for length in array.shape[-2:]]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, more) for more in missing], constant_values=value)
