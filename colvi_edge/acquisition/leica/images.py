"""The images that a Leica container describes: which of them are of the assay, and how their pixels lie.

Strides are added up before anything is read: the axes of an image must fill its block exactly, without
gap or overlap, which is how LAS X lays them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from colvi_edge.acquisition.bounds import listed, plausible_spacing_um, positive
from colvi_edge.acquisition.channel_hints import ChannelHint
from colvi_edge.acquisition.channels import refuse_too_many
from colvi_edge.acquisition.leica.blocks import Block
from colvi_edge.acquisition.leica.channels import channel_hints
from colvi_edge.acquisition.refusals import DAMAGED
from colvi_edge.errors import (
    AxesError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
    ScanModeError,
    TimeSeriesError,
    UnsafeFileError,
)
from colvi_edge.printable import portable_name

MAX_NESTING = 32
"""Of folders of images in a container."""
MAX_AXES = 16
NAME_MAX = 80  # characters of a name in a key

IMAGES = ("Data/Image", "Data/SingleMoleculeDetection[@IsImage='true']")

AXES = {1: "X", 2: "Y", 3: "Z", 4: "T", 5: "λ", 6: "A", 7: "N", 8: "Q", 9: "Λ", 10: "M", 11: "L"}
"""Leica's numbers of dimensions; C, the channels, is not among them."""

OTHER_SCANS = {
    "λ": "a lambda scan of {} emission bands",
    "Λ": "a lambda scan of {} excitation lines",
    "A": "a rotation of {} angles",
    "N": "a line scan of {} lines over time",
    "Q": "a series of {} time slices",
    "M": "a tile scan of {} fields",
    "L": "a loop of {} rounds",
}
REMEDY = "; expected one field in X, Y and Z"
PIXEL_TYPES = {(0, 1): "uint8", (0, 2): "uint16", (1, 4): "float32"}


@dataclass(frozen=True)
class Layout:
    """How the pixels of an image lie in its block; they fill it.

    Attributes:
        axes: letters of the axes longer than 1, slowest first; Y, X and C are among them.
        shape: their lengths.
        dtype: uint8, uint16 or float32, little-endian.
        block: where they are.
        hints: what is said of each channel.
        pixel_size_um, pixel_height_um, plane_spacing_um: along X, Y and Z; None where the file does not say.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: Block
    hints: Sequence[ChannelHint]
    pixel_size_um: float | None
    pixel_height_um: float | None
    plane_spacing_um: float | None

    def length(self, axis: str) -> int:
        """Return the length of an axis; 1 if it is not there."""
        return dict(zip(self.axes, self.shape, strict=True)).get(axis, 1)


@dataclass(frozen=True)
class Dimension:
    """An axis: its length in elements, and the bytes and metres from one to the next (0 if unknown)."""

    axis: str
    length: int
    stride: int
    step_m: float = 0.0


def images(root: Element) -> Iterator[tuple[str, Element]]:
    """Yield the key and the element of every image, in the container's order, whatever it is of."""
    pending = [(element, 1) for element in reversed(root.findall("Element"))]
    index = 0
    while pending:
        element, depth = pending.pop()
        if depth > MAX_NESTING:
            raise UnsafeFileError(f"nests its images more than {MAX_NESTING} deep; export its images as TIFF")
        if any(element.find(path) is not None for path in IMAGES):
            yield f"{index:04d}-{_safe_name(element.get('Name', ''))}", element
            index += 1
        pending += [(child, depth + 1) for child in reversed(element.findall("Children/Element"))]


def uses(elements: Sequence[Element]) -> Counter[str]:
    """Return how many images refer to each block."""
    return Counter(_block_name(element) for element in elements)


def layout_of(element: Element, blocks: Mapping[str, Block], used: Counter[str]) -> Layout:
    """Return how an image lies, or refuse it.

    Args:
        element: from `images`.
        blocks: of the container.
        used: from `uses`.

    Raises:
        AcquisitionError: it is not one field in X, Y and Z, or does not fill its block.
    """
    image = element.find("Data/Image")
    if image is None:
        raise ScanModeError(f"is a measurement of fluorescence lifetimes{REMEDY}")
    described = image.findall("ImageDescription/Dimensions/DimensionDescription")
    if len(described) > MAX_AXES:
        raise AxesError(f"describes {len(described):,} axes{REMEDY}")
    dimensions = {found.axis: found for found in map(_dimension, described)}
    _refuse_other_scans(dimensions, len(described))
    channels = sorted(
        image.findall("ImageDescription/Channels/ChannelDescription"), key=lambda c: _number(c, "BytesInc")
    )
    if not channels:
        raise NotAnImageError("describes no channel; export it as TIFF")
    refuse_too_many(len(channels))
    dtype = _pixel_type(channels)
    if len(channels) > 1:
        strides = np.array([_number(channel, "BytesInc") for channel in channels], dtype=object)
        if strides[0] != 0 or strides[1] == 0 or len(set(np.diff(strides))) != 1:
            raise AxesError("does not lay its channels at equal distances; export it as TIFF")
        dimensions["C"] = Dimension("C", len(channels), int(strides[1]))
    block = _block(element, blocks, used)
    ordered = sorted((d for d in dimensions.values() if d.length > 1), key=lambda d: d.stride)
    if ordered[0].axis == "C":
        raise ScanModeError(f"is a picture of a colour camera{REMEDY}")
    filled = dtype.itemsize
    for dimension in ordered:
        if dimension.stride != filled:
            raise AxesError(
                "does not lay its pixels without gap or overlap, as LAS X does; export it as TIFF"
            )
        filled *= dimension.length
    if filled != block.bytes:
        raise IncompleteFileError(
            f"declares {filled:,} bytes of pixels, but its block holds {block.bytes:,}; {DAMAGED}"
        )
    order = [dimension.axis for dimension in reversed(ordered)]
    if order.index("Y") > order.index("X") or ("Z" in order and order.index("Z") > order.index("Y")):
        raise ScanModeError(f"is an {''.join(d.axis for d in ordered if d.axis != 'C')} scan{REMEDY}")
    return Layout(
        axes="".join(order),
        shape=tuple(dimensions[axis].length for axis in order),
        dtype=dtype,
        block=block,
        hints=channel_hints(image, channels),
        pixel_size_um=_micrometres(dimensions["X"]),
        pixel_height_um=_micrometres(dimensions["Y"]),
        plane_spacing_um=_micrometres(dimensions["Z"]) if "Z" in order else None,
    )


def _refuse_other_scans(dimensions: Mapping[str, Dimension], count: int) -> None:
    long = {axis: found.length for axis, found in dimensions.items() if found.length > 1}
    for axis, words in OTHER_SCANS.items():
        if axis in long:
            raise ScanModeError(f"is {words.format(long[axis])}{REMEDY}")
    if not {"X", "Y"} <= set(long):
        raise ScanModeError(f"is an {''.join(long) or 'empty'} scan{REMEDY}")
    if "T" in long:
        raise TimeSeriesError(f"holds {long['T']} time points{REMEDY}")
    if len(dimensions) != count or not set(long) <= set("XYZ"):
        raise AxesError("has axes that occur twice or are unknown; export it as TIFF")


def _dimension(element: Element) -> Dimension:
    length = _number(element, "NumberOfElements")
    if length < 1:
        raise IncompleteFileError(f"has an axis of no length; {DAMAGED}")
    number = _number(element, "DimID")
    step_m = 0.0
    if element.get("Unit") == "m" and length > 1:
        # From the first to the last element, of which there are one more than steps.
        step_m = (positive(element.get("Length", "").strip().removeprefix("-"), 1.0) or 0.0) / (length - 1)
    return Dimension(AXES.get(number, f"?{number}"), length, _number(element, "BytesInc"), step_m)


def _pixel_type(channels: Sequence[Element]) -> np.dtype[Any]:
    kinds = {(_number(channel, "DataType"), _number(channel, "Resolution")) for channel in channels}
    types = {PIXEL_TYPES.get((kind, -(-bits // 8) if bits else 0)) for kind, bits in kinds}
    name = types.pop()
    if types or name is None:
        found = listed([f"{bits}-bit {'float' if kind else 'integer'}" for kind, bits in sorted(kinds)])
        raise PixelTypeError(
            f"its pixels are {found}; expected integers of up to 16 bits or float32, alike in all channels"
        )
    return np.dtype(name).newbyteorder("<")


def _block(element: Element, blocks: Mapping[str, Block], used: Counter[str]) -> Block:
    name = _block_name(element)
    if used[name] > 1:
        raise UnsafeFileError("shares its pixels with another image; export it as TIFF")
    if name not in blocks:
        raise IncompleteFileError(f"its pixels are not in the file; {DAMAGED}")
    return blocks[name]


def _block_name(element: Element) -> str:
    memory = element.find("Memory")
    return "" if memory is None else memory.get("MemoryBlockID", "")


def _number(element: Element, attribute: str) -> int:
    text = element.get(attribute, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise IncompleteFileError(f"its {attribute} is no whole number; {DAMAGED}")
    return int(text)


def _micrometres(dimension: Dimension) -> float | None:
    return plausible_spacing_um(dimension.step_m * 1e6)


def _safe_name(name: str) -> str:
    return portable_name(name).strip()[:NAME_MAX] or "unnamed"
