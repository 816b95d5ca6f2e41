"""What a raw file becomes: planes, and what is known about them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.bounds import listed
from colvi_edge.errors import AcquisitionError, ChannelError, ImageTooSmallError, PixelTypeError, UsageError

AssayRole = Literal["collagen", "nuclei", "other"]
Role = str
"""What a channel shows: one of the assay's, or a word of a bundle."""

SAME_SIZE = 1e-3
"""Two words for the size of a pixel, unlike by this share or less, say the same."""


@dataclass(frozen=True)
class Limits:
    """What a raw file may ask for, checked before memory is taken.

    Attributes:
        file_bytes: largest raw file.
        pixels: declared pixels of the whole image, all planes and channels.
        decoded_bytes: the same in bytes.
        expansion: decoded bytes per stored byte; a lossless microscope image stays far below.
        pages: image file directories of one TIFF.
        container_bytes: largest Leica container, of which one image is held in memory at a time.
        images: images of one container.
    """

    file_bytes: int = 2**31
    pixels: int = 2**28
    decoded_bytes: int = 2**31
    expansion: int = 1000
    pages: int = 20_000
    container_bytes: int = 2**37
    images: int = 4096

    @classmethod
    def named(cls, numbers: Mapping[str, int]) -> "Limits":
        """Return limits of which some were named, the others as they are.

        Raises:
            UsageError: there is no limit of that name, or it is 0.
        """
        names = [field.name for field in fields(cls)]
        for name, number in numbers.items():
            if name not in names or not number:
                raise UsageError(
                    f"limit {name}={number}: expected one of {', '.join(names)}, and a number above 0"
                )
        return cls(**numbers)


@dataclass(frozen=True)
class Provenance:
    """The raw file as it was read; nothing of it is free text of the file.

    Attributes:
        bytes, sha256: of the whole file.
        axes, shape: as the image is stored.
        mtime_ns: when the file was last changed, since 1970; None if nobody looked.
    """

    bytes: int
    sha256: str
    axes: str
    shape: tuple[int, ...]
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Acquisition:
    """One image of a raw file.

    Attributes:
        name: file name without folders.
        image_key: which image of a file that holds several, such as "0003-Series004"; else "".
        planes: (Z, C, H, W) uint8, uint16 or float32, in the file's channel order.
        channels: role of each of the C channels.
        pixel_size_um: edge of a pixel, along a row; None when the file does not say.
        plane_spacing_um: distance of two planes; None when the file does not say.
        planes_planned: planes that the acquisition software set out to take; None when the
            file does not say.
        provenance: the raw file as it was read.
        channels_assumed: the file names no channel, nor did the operator; nuclei were taken to come
            first, or by one clear colour of two.
        colours_disagree: the channels are shown in each other's colours, against their names.
        pixel_height_um: the other edge, along a column; None when the file does not say.
        last_plane_black: the plane that is stored last holds nothing, in a file that is finished.
        pixel_size_named: the operator named the pixel size, and the file does not say the same.
        pixel_size_overruled_um: what the file says instead; None if it says nothing.
        channels_overruled: the roles that the file tells, where the operator named others; else empty.
    """

    name: str
    image_key: str
    planes: NDArray[Any]
    channels: tuple[Role, ...]
    pixel_size_um: float | None
    plane_spacing_um: float | None
    planes_planned: int | None
    provenance: Provenance
    channels_assumed: bool = False
    colours_disagree: bool = False
    pixel_height_um: float | None = None
    last_plane_black: bool = False
    pixel_size_named: bool = False
    pixel_size_overruled_um: float | None = None
    channels_overruled: tuple[Role, ...] = ()

    @property
    def square_pixel_um(self) -> float | None:
        """Edge of a square as large as a pixel, which may be no square; None when the file does not say."""
        if self.pixel_size_um is None:
            return None
        return math.sqrt(self.pixel_size_um * (self.pixel_height_um or self.pixel_size_um))

    def channel(self, role: Role) -> NDArray[Any]:
        """Return the planes (Z, H, W) of a channel that is in the file; a view."""
        return self.planes[:, self.channels.index(role)]

    def with_pixel_size(self, edge_um: float) -> "Acquisition":
        """Return the same with pixels of another size, by the word of the operator.

        Args:
            edge_um: of a pixel, along a row. Pixels that are not square keep their shape. Where the file says
                the same to a thousandth, which is as exact as some programs write it, its word stays.
        """
        told_um, height_um = self.pixel_size_um, self.pixel_height_um
        if told_um is not None and math.isclose(told_um, edge_um, rel_tol=SAME_SIZE):
            return self
        return replace(
            self,
            pixel_size_um=edge_um,
            pixel_height_um=edge_um * height_um / told_um if told_um and height_um else None,
            pixel_size_named=True,
            pixel_size_overruled_um=told_um,
        )

    def check_holds_patch(self, patch_px: int) -> None:
        """Raise if no patch of a bundle fits in.

        Args:
            patch_px: edge of the bundle's patches.

        Raises:
            ImageTooSmallError: it is smaller than one.
        """
        height, width = self.planes.shape[2:]
        if min(height, width) < patch_px:
            raise ImageTooSmallError(
                f"is {width} x {height} pixels, smaller than one patch of {patch_px} x {patch_px}; "
                "export the whole field of view",
                subject=self.name,
            )

    def laid_out(self, layout: Sequence[str]) -> NDArray[Any]:
        """Return the planes as a bundle asks for them.

        Args:
            layout: one of "collagen", "nuclei", "empty" for each channel of the result.

        Returns:
            (Z, len(layout), H, W) of the same dtype; a view of the planes, not a copy, where they
            lie in this order or the reverse. An "empty" channel holds zeros.

        Raises:
            ChannelError: a channel that the bundle needs is not in the file.
        """
        missing = [role for role in layout if role != "empty" and role not in self.channels]
        if missing:
            raise ChannelError(
                f"no {' and no '.join(missing)} channel among {len(self.channels)} "
                f"({listed(self.channels)}); name them with --channels, e.g. --channels nuclei,collagen",
                subject=self.name,
            )
        return in_layout(self.planes, self.channels, layout)


def in_layout(planes: NDArray[Any], channels: Sequence[str], layout: Sequence[str]) -> NDArray[Any]:
    """Return planes (Z, C, H, W) in another layout; see `Acquisition.laid_out`.

    Args:
        planes: to lay out.
        channels: the role of each of their channels.
        layout: a role of these, or "empty", for each channel of the result.
    """
    if tuple(layout) == tuple(channels):
        return planes
    if tuple(layout) == tuple(channels)[::-1]:  # nuclei, collagen, the usual order of files
        return planes[:, ::-1]
    z, _, height, width = planes.shape
    found = np.zeros((z, len(layout), height, width), planes.dtype)
    for target, role in enumerate(layout):
        if role != "empty":
            found[:, target] = planes[:, channels.index(role)]
    return found


def exact_pixels(planes: NDArray[Any]) -> NDArray[Any]:
    """Return pixels in a type that holds them exactly: uint8, uint16 or finite float32.

    Args:
        planes: of one of these, or signed or 32-bit counts, in native byte order.

    Raises:
        PixelTypeError: there is none: a value is negative, beyond what float32 tells apart, NaN or infinite.
    """
    if planes.dtype.kind == "i":
        if (lowest := int(planes.min())) < 0:
            raise PixelTypeError(
                f"holds negative pixels (down to {lowest}), which no detector counts; expected 0 and more; "
                "undo the subtraction of the background, or add a constant"
            )
        planes = planes.view(f"u{planes.dtype.itemsize}")
    if planes.dtype == np.uint32:
        highest = int(planes.max())
        if highest > 2**24:
            raise PixelTypeError(
                f"holds pixels up to {highest:,}; whole numbers are read up to {2**24:,}; convert them to "
                "16 bits"
            )
        return planes.astype(np.uint16 if highest < 2**16 else np.float32)
    if planes.dtype.kind == "f" and not np.isfinite(planes).all():
        raise PixelTypeError(
            "holds pixels that are NaN or infinite; expected finite numbers; export it again"
        )
    return planes


@dataclass(frozen=True)
class Refused:
    """An image of a file that holds several, which cannot be read as one of the assay; the others can.

    Attributes:
        name, image_key: as of an Acquisition.
        error: why; its subject is the file's name with the key.
        provenance: of the raw file; axes and shape are empty.
    """

    name: str
    image_key: str
    error: AcquisitionError
    provenance: Provenance
