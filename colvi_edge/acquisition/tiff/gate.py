"""The gate in front of the TIFF reader: only pixels that will come back exactly pass.

What passes is whole, of one kind, stored without loss in a way that every reader understands
alike, and small enough: the limits are held against what the file declares, before memory is
taken for it.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.bounds import listed
from colvi_edge.acquisition.model import Limits
from colvi_edge.acquisition.refusals import DAMAGED, refuse_too_large
from colvi_edge.acquisition.tiff.directories import Directory, walk
from colvi_edge.errors import (
    AxesError,
    ImageTooLargeError,
    ImageTooSmallError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
)

LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "Zstandard"}
PIXEL_TYPES = {
    (8, 1): "uint8", (16, 1): "uint16", (32, 1): "uint32",
    (8, 2): "int8", (16, 2): "int16", (32, 3): "float32",
}  # fmt: skip
SAMPLE_FORMATS = {1: "unsigned integer", 2: "signed integer", 3: "floating point"}
PHOTOMETRIC_RGB = 2
DIALECTS = {
    33628: "MetaMorph", 33629: "MetaMorph", 34361: "FluoView", 34362: "FluoView", 34412: "Zeiss LSM",
    43314: "NIH Image", 65420: "NDPI",
}  # fmt: skip
"""Tags of TIFF dialects whose axes are told in ways that are not read here."""

EACH_SERIES = (
    "export each to its own file, e.g. in Fiji with File > Import > Bio-Formats, series by series, and "
    "File > Save As > Tiff"
)

MAX_SEGMENTS = 2**17
"""Strips or tiles that are decoded one by one, which takes some 30 us each."""

_NAMED = 9  # one more than a sentence lists


@dataclass(frozen=True)
class Page:
    """How the pixels of one directory lie in the file: checked, none of them decoded.

    Attributes:
        samples: values per pixel; `planar` tells whether each has its own plane.
        segment_px: (height, width) of a strip or tile.
        tile_px: the same for tiles; None for strips.
        coding: compression and predictor, as TIFF numbers them.
        offsets: of every strip or tile; all of them lie inside the file.
        contiguous: uncompressed rows, one right behind the other.
        decoded_bytes: of all of them, the padding of tiles included.
    """

    directory: Directory
    height_px: int
    width_px: int
    samples: int
    dtype: np.dtype[Any]
    photometric: int
    planar: bool
    coding: tuple[int, int]
    segment_px: tuple[int, int]
    tile_px: tuple[int, int] | None
    offsets: NDArray[Any]
    contiguous: bool
    decoded_bytes: int

    @property
    def plane_bytes(self) -> int:
        """Bytes of the page's pixels."""
        return self.height_px * self.width_px * self.samples * self.dtype.itemsize

    @property
    def kind(self) -> tuple[Any, ...]:
        """What must be equal for pages to be planes of one image.

        How they are stored belongs to it: the reader decodes all pages as it does the first.
        """
        shape = (self.height_px, self.width_px, self.samples, self.dtype, self.photometric)
        return (*shape, self.planar, self.coding, self.segment_px, self.tile_px)


def inspect(data: bytes, limits: Limits) -> list[Page]:
    """Return the full-resolution pages of a TIFF file, in the file's order.

    Raises:
        AcquisitionError: which of its kinds, and with which sentence, depends on the cause.
    """
    directories = list(walk(data, limits))
    full = sum(not directory.number(254, 0) & 1 for directory in directories)
    pages: list[Page] = []
    decoded_bytes = segments = 0
    for index, directory in enumerate(directories):
        if directory.number(254, 0) & 1:  # a reduced copy, by the file's own word
            if index == 0:
                raise AxesError(
                    "does not begin with a full-resolution image; save it as ImageJ hyperstack or OME-TIFF"
                )
            continue
        page = _page(directory, limits, full)
        decoded_bytes += page.decoded_bytes
        refuse_too_large(decoded_bytes, page.dtype.itemsize, len(data), limits)
        segments += 0 if page.contiguous else len(page.offsets)
        if segments > MAX_SEGMENTS:
            raise ImageTooLargeError(
                f"is stored in more than {MAX_SEGMENTS:,} strips or tiles; save it with larger ones"
            )
        pages.append(page)
    kinds = {page.kind for page in pages}
    if len(kinds) > 1:
        raise AxesError(f"holds {len(kinds)} kinds of images, unlike in shape or storage; {EACH_SERIES}")
    return pages


def _page(directory: Directory, limits: Limits, pages: int) -> Page:
    """Return the layout of a full-resolution page, one of so many, or refuse what cannot be read exactly."""
    number = directory.number
    dialect = next((DIALECTS[code] for code in directory.tags if code in DIALECTS), None)
    if dialect:
        raise AxesError(
            f"is a {dialect} file, whose axes are not read; save it as ImageJ hyperstack or OME-TIFF"
        )
    height, width, samples = number(257, 0), number(256, 0), number(277, 1)
    if not (height and width and samples):
        raise ImageTooSmallError(f"its image is {width} x {height} pixels of {samples} samples; {DAMAGED}")
    dtype = _pixel_type(directory)
    _refuse_inexact(directory, dtype)

    tiled = 322 in directory.tags
    segment_height = number(323, 0) if tiled else min(number(278, height), height)
    segment_width = number(322, 0) if tiled else width
    if not (segment_height and segment_width):
        raise IncompleteFileError(f"its strips or tiles are of no size; {DAMAGED}")
    down, across = -(-height // segment_height), -(-width // segment_width)
    stored_height, stored_width = (
        (down * segment_height, across * segment_width) if tiled else (height, width)
    )
    decoded_bytes = stored_height * stored_width * samples * dtype.itemsize
    refuse_too_large(decoded_bytes * pages, dtype.itemsize, len(directory.data), limits)

    planar = number(284, 1) == 2
    expected = down * across * (samples if planar else 1)
    in_rows = not tiled or (width == segment_width and height == stored_height)
    # Some programs say where the tiles are under the tags of strips; the reader looks there, too.
    misplaced = tiled and not {324, 325} & directory.tags.keys()
    if misplaced and not in_rows and 278 in directory.tags:
        strips = -(-height // max(number(278, height), 1)) * (samples if planar else 1)
        if strips == expected:
            raise PixelTypeError(
                f"declares both tiles and strips, and its {expected:,} pieces of pixel data may be either; "
                "save it as ImageJ hyperstack or OME-TIFF"
            )
    codes = (324, 325) if tiled and not misplaced else (273, 279)
    offsets, counts = map(directory.numbers, codes)
    found = 0 if offsets is None or counts is None else len(offsets)
    if offsets is None or counts is None or found != expected:
        raise IncompleteFileError(
            f"holds {found:,} strips or tiles of pixel data where {expected:,} are declared; {DAMAGED}"
        )
    compressed = number(259, 1) != 1
    needed = np.ones(expected, np.int64)
    if not compressed:
        row_bytes = segment_width * dtype.itemsize * (1 if planar else samples)
        needed[:] = segment_height * row_bytes
        needed[down * across - 1 :: down * across] -= (down * segment_height - stored_height) * row_bytes
    if (offsets < 8).any() or (counts < needed).any():
        raise IncompleteFileError(f"some of its pixel data were never written; {DAMAGED}")
    return Page(
        directory=directory,
        height_px=height,
        width_px=width,
        samples=samples,
        dtype=dtype,
        photometric=number(262, -1),
        planar=planar,
        coding=(number(259, 1), number(317, 1)),
        segment_px=(segment_height, segment_width),
        tile_px=(segment_height, segment_width) if tiled else None,
        offsets=offsets,
        contiguous=not compressed
        and in_rows
        and bool((np.diff(offsets.astype(np.int64)) == needed[:-1]).all()),
        decoded_bytes=decoded_bytes,
    )


def _pixel_type(directory: Directory) -> np.dtype[Any]:
    bits, formats = directory.numbers(258), directory.numbers(339)
    depths, forms = ([1] if numbers is None else sorted(set(numbers.tolist())) for numbers in (bits, formats))
    name = PIXEL_TYPES.get((depths[0], forms[0])) if len(depths) == len(forms) == 1 else None
    if name is not None:
        return np.dtype(name)
    # Not of all: 65,536 depths and as many formats, in a file of 262 kB, would be paired.
    found = listed(
        [
            f"{depth}-bit {SAMPLE_FORMATS.get(form, 'unknown')}"
            for depth, form in product(depths[:_NAMED], forms[:_NAMED])
        ]
    )
    raise PixelTypeError(
        f"its pixels are {found}; expected whole numbers of 8 or 16 bits or float32; convert them, "
        "e.g. in Fiji with Image > Type"
    )


def _refuse_inexact(directory: Directory, dtype: np.dtype[Any]) -> None:
    """Refuse what loses pixel values, or what readers understand in different ways."""
    number = directory.number
    compression, predictor = number(259, 1), number(317, 1)
    if compression not in LOSSLESS:
        raise NotAnImageError(
            f"is compressed with method {compression}, which is lossy or unknown; "
            "save it uncompressed or with LZW, deflate or Zstandard"
        )
    if predictor not in {1, 2} | ({3} if dtype.kind == "f" else set()) or (
        predictor != 1 and LOSSLESS[compression] in ("none", "PackBits")
    ):
        raise NotAnImageError(
            f"uses predictor {predictor} with {LOSSLESS[compression]} compression of {dtype}, "
            "which no reader agrees upon; save it without predictor"
        )
    # Without the tag, one value a pixel can only be an intensity; three may be anything.
    if number(262, 1 if number(277, 1) == 1 else -1) not in (1, PHOTOMETRIC_RGB, 3):
        raise PixelTypeError(
            f"its photometric interpretation is {number(262, -1)}; expected intensities (BlackIsZero), "
            "a colour table or RGB; convert it, e.g. in Fiji with Image > Type"
        )
    if number(266, 1) != 1 or number(32997, 1) != 1 or number(284, 1) not in (1, 2):
        raise PixelTypeError(
            "its pixels are laid out in a way that is not read (fill order, depth or planes); "
            "save it as ImageJ hyperstack or OME-TIFF"
        )
