"""Patches of labelled projections, raw as they were acquired.

Patches of one image look alike: a `PatchSet` knows which image each is from, so that images, never
patches, are divided. They are kept raw (256 of two channels: 4 MB an image at uint16), and are
normalised and turned, one of eight ways, when their batch comes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.patches import project, tile
from colvi_edge.tasks.classify import CLASSES

Value = TypeVar("Value", bound=np.generic)

LAYOUT = ("collagen", "nuclei")


@dataclass(frozen=True)
class PatchSet:
    """Raw patches with what is known about them.

    Attributes:
        counts: (N, C, P, P), the projection's own values.
        label: (N,) int64, index into CLASSES.
        image: (N,) int64, which image the patch is from.
    """

    counts: NDArray[Any]
    label: NDArray[np.int64]
    image: NDArray[np.int64]

    def of(self, images: Iterable[int]) -> "PatchSet":
        """Return the patches of some images, copied."""
        rows = np.isin(self.image, list(images))
        return PatchSet(self.counts[rows], self.label[rows], self.image[rows])


def collect_patches(images: Iterable[tuple[NDArray[Any], str]], patch_px: int = PATCH_PX) -> PatchSet:
    """Cut labelled images into patches.

    Args:
        images: planes (Z, C, H, W), channels in the network's order, and a name of CLASSES.
        patch_px: edge of a patch.

    Raises:
        UsageError: there is none.
    """
    counts, labels, sources = [], [], []
    for source, (planes, label) in enumerate(images):
        patches = tile(project(planes), patch_px)
        counts.append(_compact(patches))
        labels.append(np.full(len(patches), CLASSES.index(label), np.int64))
        sources.append(np.full(len(patches), source, np.int64))
    if not counts:
        raise UsageError("no image can be read; give images of the assay")
    return PatchSet(np.concatenate(counts), np.concatenate(labels), np.concatenate(sources))


def turned(patches: NDArray[Value], ways: NDArray[np.int64]) -> NDArray[Value]:
    """Return square (N, C, P, P) patches, each turned by way % 4 quarters, then mirrored if way > 3."""
    result = np.empty_like(patches)
    for way in range(8):
        which = ways == way
        quarter = np.rot90(patches[which], way % 4, axes=(2, 3))
        result[which] = quarter[..., ::-1] if way > 3 else quarter
    return result


def _compact(patches: NDArray[Any]) -> NDArray[Any]:
    """Keep counts in as few bytes as lose nothing: half the memory of int64, or a quarter."""
    if not np.issubdtype(patches.dtype, np.integer):
        return patches.astype(np.float32)
    small = patches.min() >= 0 and patches.max() < 2**16
    return patches.astype(np.uint16 if small else np.int64)


def wide(counts: NDArray[Any]) -> NDArray[Any]:
    """Undo `_compact`: exact sums want 64 bits."""
    return counts.astype(np.int64 if np.issubdtype(counts.dtype, np.integer) else np.float64)
