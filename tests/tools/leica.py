"""Writes Leica containers (.lif) as LAS X lays them out; knows nothing of how they are read here."""

import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5, "A": 6, "N": 7, "Q": 8, "Λ": 9, "M": 10, "L": 11}


class Detector(NamedTuple):
    """An active detector of a confocal: the dye that it was set for, "" for none, and its band in nm."""

    dye: str
    band_nm: tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One image of a container.

    Attributes:
        pixels: with one axis for each letter of `axes`, in this order on the disk.
        axes: letters of `DIMENSIONS`, and C for the channels.
        pixel_height_um: None if pixels are square.
        bits: of a detector; None for those of the dtype.
        luts: of each channel; "Gray" where there are too few.
        dyes: as LAS X 3.7 and later write them with the channels.
        sequences: detectors of an older confocal, of each sequence.
        xml: put into the image's `ImageDescription` instead of what is true.
        children: images below this one.
    """

    pixels: NDArray[Any]
    axes: str = "ZCYX"
    name: str = "Series001"
    pixel_size_um: float = 0.38
    pixel_height_um: float | None = None
    plane_spacing_um: float = 1.5
    bits: int | None = None
    luts: tuple[str, ...] = ()
    dyes: tuple[str, ...] = ()
    sequences: tuple[tuple[Detector, ...], ...] = ()
    xml: str = ""
    children: tuple["Series", ...] = ()


class Written(NamedTuple):
    """A container's bytes, and where the pixels of each series lie in them."""

    data: bytes
    spans: list[tuple[int, int]]


def container(*series: Series, version: int = 2) -> Written:
    """Return a container of some series."""
    every = [one for top in series for one in _flat(top)]
    numbers = itertools.count()
    elements = "".join(_element(one, numbers) for one in series)
    return assembled(xml_of(elements, version), [one.pixels for one in every], version)


def xml_of(elements: str, version: int = 2) -> str:
    """Return the description of a container that holds some elements."""
    return (
        f'<LMSDataContainerHeader Version="{version}"><Element Name="project" UniqueID="1">'
        f'<Memory Size="0" MemoryBlockID="MemBlock_root"/><Children>{elements}</Children>'
        "</Element></LMSDataContainerHeader>"
    )


def assembled(xml: str, blocks: Sequence[NDArray[Any]], version: int = 2) -> Written:
    """Return a container of a description and its blocks, MemBlock_0 and so on."""
    text = xml.encode("utf-16-le")
    data = struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(text) // 2) + text
    data += block_head("MemBlock_root", 0, version)
    spans = []
    for number, pixels in enumerate(blocks):
        stored = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
        data += block_head(f"MemBlock_{number}", len(stored), version)
        spans.append((len(data), len(stored)))
        data += stored
    return Written(data, spans)


def block_head(name: str, size: int, version: int = 2) -> bytes:
    """Return what stands in front of the bytes of a block."""
    text = name.encode("utf-16-le")
    length = struct.pack("<Q" if version == 2 else "<I", size)
    inner = b"\x2a" + length + b"\x2a" + struct.pack("<I", len(name)) + text
    return struct.pack("<II", 0x70, len(inner)) + inner


def _flat(series: Series) -> list[Series]:
    return [series, *(below for child in series.children for below in _flat(child))]


def _element(series: Series, numbers: Iterator[int]) -> str:
    number = next(numbers)
    description = series.xml or description_of(series)
    children = "".join(_element(child, numbers) for child in series.children)
    return (
        f'<Element Name={quoteattr(series.name)} Visibility="1" UniqueID="u{number}"><Data>'
        f'<Image TextDescription=""><ImageDescription>{description}</ImageDescription>'
        f'<Attachment Name="PreviewMarker"/>{_hardware(series)}</Image></Data>'
        f'<Memory Size="{series.pixels.nbytes}" MemoryBlockID="MemBlock_{number}"/>'
        f"<Children>{children}</Children></Element>"
    )


def description_of(series: Series) -> str:
    """Return the channels and dimensions of a series as they truly lie."""
    strides = dict(zip(series.axes, _strides(series.pixels), strict=True))
    lengths = dict(zip(series.axes, series.pixels.shape, strict=True))
    height_um = series.pixel_height_um or series.pixel_size_um
    steps_um = {"X": series.pixel_size_um, "Y": height_um, "Z": series.plane_spacing_um}
    channels = "".join(
        _channel(series, index, strides.get("C", 0) * index) for index in range(lengths.get("C", 1))
    )
    dimensions = "".join(
        f'<DimensionDescription DimID="{DIMENSIONS[axis]}" NumberOfElements="{lengths[axis]}" '
        f'Origin="0.000000e+000" Length="{steps_um.get(axis, 1.0) * 1e-6 * (lengths[axis] - 1):e}" '
        f'Unit="{"m" if axis in steps_um else ""}" BitInc="0" BytesInc="{strides[axis]}"/>'
        for axis in reversed(series.axes)
        if axis != "C"
    )
    return f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions>"


def _strides(pixels: NDArray[Any]) -> list[int]:
    return [pixels.itemsize * math.prod(pixels.shape[axis + 1 :]) for axis in range(pixels.ndim)]


def _channel(series: Series, index: int, stride: int) -> str:
    bits = series.bits or 8 * series.pixels.dtype.itemsize
    lut = series.luts[index] if index < len(series.luts) else "Gray"
    properties = {"ChannelGroup": "0", "DetectorName": "HyD S 1"}
    if index < len(series.dyes):
        properties["DyeName"] = series.dyes[index]
    listed = "".join(
        f"<ChannelProperty><Key>{key}</Key><Value>{value}</Value></ChannelProperty>"
        for key, value in properties.items()
    )
    is_float = int(series.pixels.dtype.kind == "f")
    return (
        f'<ChannelDescription DataType="{is_float}" ChannelTag="0" Resolution="{bits}" '
        f'NameOfMeasuredQuantity="" Min="0.000000e+000" Max="{2.0**bits - 1:e}" Unit="" '
        f'LUTName={quoteattr(lut)} IsLUTInverted="0" BytesInc="{stride}" BitInc="0">'
        f"{listed if series.dyes else ''}</ChannelDescription>"
    )


def _hardware(series: Series) -> str:
    if not series.sequences:
        return ""
    settings = "".join(_setting(detectors) for detectors in series.sequences)
    master = _setting(series.sequences[0])
    if len(series.sequences) > 1:
        settings = (
            f"<LDM_Block_Sequential><LDM_Block_Sequential_Master>{master}</LDM_Block_Sequential_Master>"
            f"<LDM_Block_Sequential_List>{settings}</LDM_Block_Sequential_List></LDM_Block_Sequential>"
        )
    return f'<Attachment Name="HardwareSetting" Application="LAS AF">{settings}</Attachment>'


def _setting(detectors: tuple[Detector, ...]) -> str:
    numbers = [1 + 2 * index for index in range(len(detectors))]  # with an idle one behind each
    bands = "".join(
        f'<MultiBand Channel="{number}" LeftWorld="{detector.band_nm[0]}" RightWorld="{detector.band_nm[1]}" '
        f"DyeName={quoteattr(detector.dye)}/>"
        f'<MultiBand Channel="{number + 1}" LeftWorld="600" RightWorld="700" DyeName="Leica/TRITC"/>'
        for number, detector in zip(numbers, detectors, strict=True)
    )
    listed = "".join(
        f'<Detector Name="HyD {number}" Channel="{number}" IsActive="1"/>'
        f'<Detector Name="PMT {number + 1}" Channel="{number + 1}" IsActive="0"/>'
        for number in numbers
    )
    return (
        f"<ATLConfocalSettingDefinition><Spectro>{bands}</Spectro><DetectorList>{listed}</DetectorList>"
        "</ATLConfocalSettingDefinition>"
    )
