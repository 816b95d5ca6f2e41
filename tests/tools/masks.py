"""Small images with masks, for the tests of what learns from them and is held against them."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from colvi_edge.simulate import write_imagej


def blobs(seed: int, shape: tuple[int, int] = (64, 96)) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return an image (2, H, W), nuclei first, of bright blobs in noise, and which pixel is of which blob."""
    rng = np.random.default_rng(seed)
    objects = ndimage.label(ndimage.gaussian_filter(rng.standard_normal(shape), 4) > 0.05)[0]
    light = np.stack([100 + 150 * (objects > 0), np.full(shape, 200)])
    return rng.poisson(light).astype(np.uint16), objects.astype(np.uint16)


def put_blobs(folder: Path, seeds: range) -> Path:
    """Write images below folder/images and their masks below folder/masks; return the folder."""
    (folder / "masks").mkdir(parents=True)
    for seed in seeds:
        image, objects = blobs(seed)
        write_imagej(folder / f"images/{seed:02}.tif", image)
        tifffile.imwrite(folder / f"masks/{seed:02}.tif", objects, photometric="minisblack")
    return folder
