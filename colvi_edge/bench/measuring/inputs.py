"""The image that is diagnosed again and again: as its file is, and saved again in the usual compressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.simulate import image_seed, simulate_projection, write_imagej

AS_IT_IS = "as it is"
COMPRESSIONS = {"uncompressed": None, "LZW": "lzw", "deflate": "zlib", "zstd": "zstd"}

_SEED = 6


@dataclass(frozen=True)
class Inputs:
    """An image, and the files that hold it.

    Attributes:
        acquisition: the image.
        files: by what they are called; the first stands for all where one is enough.
        is_simulated: nobody gave one.
    """

    acquisition: Acquisition
    files: dict[str, Path]
    is_simulated: bool


def prepare(given: Path | None, folder: Path, channels: Sequence[str] | None = None) -> Inputs:
    """Return the image and its files; what is written goes into a folder.

    Args:
        given: the lab's own file, of which the first image is taken; None for a simulated projection.
        folder: that exists.
        channels: role of each channel of the file, where it does not say it itself.

    Raises:
        AcquisitionError: the file cannot be read as an image of the assay.
    """
    raw = given or folder / "simulated.tif"
    if given is None:
        write_imagej(raw, simulate_projection("control", image_seed(_SEED, 0)))
    acquisition = next(acquire(raw, channels=channels))
    files = {
        name: _saved(acquisition, folder / f"{name}.ome.tif", compression)
        for name, compression in COMPRESSIONS.items()
    }
    # A file of several images stands for none: what is done with whole files would do them all.
    if given and not acquisition.image_key:
        files = {AS_IT_IS: given, **files}
    return Inputs(acquisition, files, given is None)


def _saved(acquisition: Acquisition, path: Path, compression: str | None) -> Path:
    """Write the image as an OME-TIFF."""
    names = [
        {"collagen": "Collagen VI", "nuclei": "DAPI"}.get(role, f"other {number}")
        for number, role in enumerate(acquisition.channels)
    ]
    metadata: dict[str, object] = {"axes": "ZCYX", "Channel": {"Name": names}}
    if acquisition.pixel_size_um:
        metadata["PhysicalSizeX"] = acquisition.pixel_size_um
    if acquisition.pixel_height_um:
        metadata["PhysicalSizeY"] = acquisition.pixel_height_um
    if acquisition.plane_spacing_um:
        metadata["PhysicalSizeZ"] = acquisition.plane_spacing_um
    tifffile.imwrite(
        path,
        np.ascontiguousarray(acquisition.planes),
        ome=True,
        photometric="minisblack",
        compression=compression,
        metadata=metadata,
    )
    return path
