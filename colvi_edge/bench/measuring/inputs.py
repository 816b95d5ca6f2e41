"""The image that is diagnosed again and again: as its file is, and saved again in the usual compressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.acquisition.wanted import ASSAY, Wanted
from colvi_edge.bundle import Config
from colvi_edge.engines.windowed import network_windows
from colvi_edge.errors import UsageError
from colvi_edge.patches import network_input
from colvi_edge.simulate import image_seed, simulate_projection, write_imagej
from colvi_edge.simulate.images import CHANNELS

AS_IT_IS = "as it is"
COMPRESSIONS = {"uncompressed": None, "LZW": "lzw", "deflate": "zlib", "zstd": "zstd"}

_STAINS = {"collagen": "Collagen VI", "nuclei": "DAPI"}
"""What the roles of the assay are called in a file."""

_SEED = 6


@dataclass(frozen=True)
class Inputs:
    """An image, and the files that hold it.

    Attributes:
        acquisition: the image.
        files: by what they are called; the first stands for all where one is enough.
        channels: role of each channel of every file; None where each file says it.
        is_simulated: nobody gave one.
    """

    acquisition: Acquisition
    files: dict[str, Path]
    channels: Sequence[str] | None
    is_simulated: bool


def prepare(
    given: Path | None,
    folder: Path,
    channels: Sequence[str] | None = None,
    wanted: Sequence[Wanted] = ASSAY,
) -> Inputs:
    """Return the image and its files; what is written goes into a folder.

    Args:
        given: the lab's own file, of which the first image is taken; None for a simulated projection.
        folder: that exists.
        channels: role of each channel of the file, where it does not say it itself.
        wanted: what the bundle asks for.

    Raises:
        AcquisitionError: the file cannot be read as an image that the bundle judges.
        UsageError: no file is given, and what the bundle judges is not simulated.
    """
    raw = given or folder / "simulated.tif"
    if given is None:
        refuse_unsimulated([one.role for one in wanted])
        write_imagej(raw, simulate_projection("control", image_seed(_SEED, 0)))
    acquisition = next(acquire(raw, channels=channels, wanted=wanted))
    roles = {one.role: one.names[0] if one.names else one.role for one in wanted} | _STAINS
    names = [roles.get(role, f"other {number}") for number, role in enumerate(acquisition.channels)]
    files = {
        name: _saved(acquisition, names, folder / f"{name}.ome.tif", compression)
        for name, compression in COMPRESSIONS.items()
    }
    # A file of several images stands for none: what is done with whole files would do them all.
    if given and not acquisition.image_key:
        files = {AS_IT_IS: given, **files}
    # A name may be a stain's that shows something else in the assay: other roles are said, not guessed.
    is_assay = {one.role for one in wanted} <= {*_STAINS}
    return Inputs(acquisition, files, channels if is_assay else acquisition.channels, given is None)


def refuse_unsimulated(roles: Sequence[str]) -> None:
    """Refuse what no simulated image shows.

    Raises:
        UsageError: a role is none of a simulated culture's channels.
    """
    if missing := [role for role in roles if role not in CHANNELS]:
        raise UsageError(
            f"the bundle judges {', '.join(missing)}, and simulated images show {' and '.join(CHANNELS)}; "
            "give an image of the lab: colvi-edge bench IMAGE"
        )


def given_to_network(config: Config, planes: NDArray[Any]) -> NDArray[np.float32]:
    """Return what the network is given of an image, (N, C, h, w), normalised.

    Args:
        config: of the bundle.
        planes: (Z, C, H, W) as its engine is given them; where planes are judged one by one, the first stands
            for all.
    """
    judged = planes[:1] if config.input.planes == "each" else planes
    if config.has_patches:
        return network_input(judged, config.patch_px, config.normalisation)
    return network_windows(judged, config)


def _saved(acquisition: Acquisition, names: Sequence[str], path: Path, compression: str | None) -> Path:
    """Write the image as an OME-TIFF, its channels by these names."""
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
