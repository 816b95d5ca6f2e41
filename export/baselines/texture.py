"""Texture of collagen in numbers: what the baselines see instead of pixels.

Two sets of features, those of the paper's section 4: local binary patterns (LBP), and first-order
statistics (FOS) with properties of grey level co-occurrence matrices (GLCM). Which of each the paper took is
not known here. These are the textbook's, and know no direction, as a culture has no up: Ojala's uniform
patterns invariant to rotation, and Haralick's mean over four angles, of neighbouring pixels.

All see one channel, collagen, as a grey picture: the range of a patch, its darkest to its brightest pixel,
becomes 0..255. A gain or an offset of the exposure therefore changes nothing, as it changes nothing for the
network.

On synthetic cultures directions tell much: kept apart (59 patterns), a forest is right for 97.3 % of the
demo model's test patches in place of 93.8 %, and beats the network's 96.2 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from colvi_edge.export.data.patch_set import LAYOUT, PatchSet, wide

LBP_POINTS, LBP_RADIUS_PX = 8, 1
LBP_BINS = LBP_POINTS + 2
"""How many points are as bright, if they are neighbours: 0 to 8; and one bin for all other patterns."""

LEVELS = 32
GLCM_DISTANCE_PX = 1
GLCM_ANGLES = tuple(np.pi / 4 * np.arange(4))
GLCM_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
FOS = ("mean", "standard deviation", "skewness", "excess kurtosis", "energy", "entropy")

Grey = NDArray[np.uint8]
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Textures:
    """Features of the patches of a `PatchSet`, in its order.

    Attributes:
        lbp: (N, 10) float32.
        fos_glcm: (N, 12) float32: 6 statistics, then 6 properties.
        label: (N,) int64, index into CLASSES.
        image: (N,) int64, which image the patch is from.
    """

    lbp: Features
    fos_glcm: Features
    label: NDArray[np.int64]
    image: NDArray[np.int64]

    def of(self, images: Iterable[int]) -> "Textures":
        """Return the features of some images, copied."""
        rows = np.isin(self.image, list(images))
        return Textures(self.lbp[rows], self.fos_glcm[rows], self.label[rows], self.image[rows])


def textures(patches: PatchSet) -> Textures:
    """Measure all patches; on one core, as scikit-image holds the interpreter lock, 1.2 ms each.

    Args:
        patches: channels as in LAYOUT.
    """
    collagen = patches.counts[:, LAYOUT.index("collagen")]
    lbp = np.empty((len(collagen), LBP_BINS), np.float32)
    fos_glcm = np.empty((len(collagen), len(FOS) + len(GLCM_PROPERTIES)), np.float32)
    for k, counts in enumerate(collagen):
        picture = grey(counts)
        lbp[k] = local_binary_patterns(picture)
        fos_glcm[k] = np.concatenate([first_order_statistics(picture), co_occurrence(picture)])
    return Textures(lbp, fos_glcm, patches.label, patches.image)


def grey(counts: NDArray[Any]) -> Grey:
    """Return (H, W) counts with their range as 0..255; zeros where all are equal."""
    above = (wide(counts) - counts.min()).astype(np.float64)
    return np.rint(255 * above / (above.max() or 1)).astype(np.uint8)


def local_binary_patterns(picture: Grey) -> NDArray[np.float64]:
    """Return the (10,) shares of each pattern, that sum to 1."""
    pattern = local_binary_pattern(picture, LBP_POINTS, LBP_RADIUS_PX, "uniform").astype(np.intp)
    return np.bincount(pattern.ravel(), minlength=LBP_BINS) / pattern.size


def first_order_statistics(picture: Grey) -> NDArray[np.float64]:
    """Return the (6,) FOS: mean and standard deviation of 0..1; energy and entropy (bits) of 32 levels.

    Skewness and kurtosis are 0 where all pixels are equal.
    """
    value = picture / 255
    mean, deviation = value.mean(), value.std()
    standard = (value - mean) / (deviation or 1)
    square = standard**2  # a power of 3 or 4 takes NumPy 50 times as long as a product
    kurtosis = (square**2).mean() - 3 if deviation else 0.0
    share = np.bincount(_levels(picture).ravel(), minlength=LEVELS) / picture.size
    found = share[share > 0]
    energy, entropy = (found**2).sum(), -(found * np.log2(found)).sum()
    return np.array([mean, deviation, (square * standard).mean(), kurtosis, energy, entropy])


def co_occurrence(picture: Grey) -> NDArray[np.float64]:
    """Return the (6,) GLCM properties, each the mean over the angles.

    More levels take longer and tell no more: with 16, 32 and 64, and directions apart, a random forest was
    right for 0.962, 0.965 and 0.964 of patches.
    """
    matrices = graycomatrix(
        _levels(picture), [GLCM_DISTANCE_PX], GLCM_ANGLES, levels=LEVELS, symmetric=True, normed=True
    )
    return np.array([graycoprops(matrices, name).mean() for name in GLCM_PROPERTIES])


def _levels(picture: Grey) -> Grey:
    return picture // (256 // LEVELS)
