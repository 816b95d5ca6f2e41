"""What a TIFF file says about its planes: how many, which channels, what size.

Three dialects are understood: OME-XML, ImageJ and the JSON of tifffile; Micro-Manager adds how
many planes were planned. All of it is text that anyone may have written, so every number is
bounded before a reader acts upon it: a reader told of 10^9 planes makes room for them. Names in
it may be those of patients: they serve to find the channels and go no further.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import orjson
from tifffile import TiffFile

from colvi_edge.acquisition.bounds import (
    MAX_CHANNELS,
    MICROMETRES,
    bounded_count,
    plausible_pixel_um,
    plausible_spacing_um,
    positive,
)
from colvi_edge.acquisition.channel_hints import ChannelHint, Colour, colour_of
from colvi_edge.acquisition.refusals import DAMAGED
from colvi_edge.acquisition.tiff.gate import Page
from colvi_edge.acquisition.tiff.ome import MICRO_MANAGER, OmeImage, children, ome_image
from colvi_edge.errors import AxesError, IncompleteFileError, UnsafeFileError

MAX_TEXT_BYTES = {"shaped": 2**16, "imagej": 2**16, "ome": 2**24, "micromanager": 2**22}
MAX_AXES = 16
_MOST_PLANNED = 10**9  # planes; as `bounded_count` reads


@dataclass(frozen=True)
class TiffDescription:
    """What the file says about its image; None or empty where it says nothing.

    Attributes:
        dialect: in which words, as tifffile calls them; "generic" for none of them.
        planes: pages of pixels that it declares.
        channels: one hint for each channel.
        reader_xml: what a reader of OME-XML needs to know of it, in place of what the file says.
        pixel_size_um: edge of a pixel along a row.
        pixel_height_um: along a column.
    """

    dialect: str
    planes: int | None = None
    channels: tuple[ChannelHint, ...] = ()
    pixel_size_um: float | None = None
    pixel_height_um: float | None = None
    plane_spacing_um: float | None = None
    planes_planned: int | None = None
    reader_xml: str | None = None


def describe(tif: TiffFile, pages: Sequence[Page], name: str) -> TiffDescription:
    """Return what the file says; its dialect is chosen as the reader will choose it.

    Raises:
        AcquisitionError: what it says cannot be true, or leads out of the file.
    """
    first = tif.pages.first
    if tif.is_ome:
        description = _ome(ome_image(_bounded(first.description, "ome"), pages, name))
    elif tif.is_shaped:
        description = _shaped(_bounded(first.shaped_description, "shaped"), pages[0])
    elif tif.is_imagej:
        _bounded(first.imagej_description, "imagej")
        description = _imagej(tif.imagej_metadata or {}, pages[0])
    else:
        description = TiffDescription("generic")
    if description.dialect in ("generic", "shaped"):
        unit_um = {2: MICROMETRES["inch"], 3: MICROMETRES["cm"]}.get(pages[0].directory.number(296, 2))
        description = replace(
            description,
            pixel_size_um=_edge_um(pages[0], 282, unit_um),
            pixel_height_um=_edge_um(pages[0], 283, unit_um),
        )
    planned = _planes_planned(pages[0].directory.raw(MICRO_MANAGER))
    return replace(description, planes_planned=description.planes_planned or planned)


def _shaped(text: str, page: Page) -> TiffDescription:
    """Read tifffile's `{"shape": [...], "axes": "..."}`."""
    channels: tuple[ChannelHint, ...] = ()
    if text.startswith("shape="):
        shape = [bounded_count(part) for part in text[7:-1].split(",") if part.strip()]
    else:
        metadata = orjson.loads(text)
        shape = [bounded_count(length) for length in metadata["shape"]]
        channels = _shaped_channels(metadata)
    pixels = math.prod(shape[: MAX_AXES + 1])  # of more the product is a number without end
    planes, rest = divmod(pixels, page.height_px * page.width_px * page.samples)
    if rest or len(shape) > MAX_AXES:
        raise IncompleteFileError(f"declares an image to which its pages do not add up; {DAMAGED}")
    return TiffDescription("shaped", planes, channels)


def _shaped_channels(metadata: Mapping[str, Any]) -> tuple[ChannelHint, ...]:
    """Read tifffile's `"Channel": {"Name": [...]}`, attributes as of OME; or a list, one entry for each."""
    said = metadata.get("Channel", {})
    if isinstance(said, dict):
        columns = {key: values for key, values in said.items() if isinstance(values, list)}
        said = [
            {key: values[i] for key, values in columns.items() if i < len(values)}
            for i in range(min(max(map(len, columns.values()), default=0), MAX_CHANNELS + 1))
        ]
    if not isinstance(said, list) or len(said) > MAX_CHANNELS:
        return ()
    return tuple(_channel_hint(one if isinstance(one, dict) else {"Name": one}) for one in said)


def _imagej(metadata: Mapping[str, Any], page: Page) -> TiffDescription:
    channels, slices, frames, images = (
        bounded_count(metadata.get(key, 1)) for key in ("channels", "slices", "frames", "images")
    )
    planes = channels * slices * frames
    if page.samples > 1 and channels == page.samples and (page.planar or images == slices * frames):
        planes = slices * frames  # Bio-Formats calls the samples of a pixel channels
    if planes == 1:
        planes = images
    elif images not in (1, planes):
        raise AxesError(
            f"declares {images} images, but {channels} channels x {slices} slices x {frames} frames; "
            "save it again as ImageJ hyperstack"
        )
    names = metadata.get("unit", ""), metadata.get("yunit", metadata.get("unit", ""))
    unit, unit_y = (MICROMETRES.get(str(name).strip().lower()) for name in names)
    info = str(metadata.get("Info", ""))
    summary = _json_object(info.encode(errors="replace")) if info.startswith("{") else {}
    return TiffDescription(
        "imagej",
        planes,
        channels=_imagej_channels(metadata, summary, channels),
        pixel_size_um=_edge_um(page, 282, unit),
        pixel_height_um=_edge_um(page, 283, unit_y),
        plane_spacing_um=plausible_spacing_um(positive(metadata.get("spacing"), unit)),
        planes_planned=_planes_planned(info.encode(errors="replace")),
    )


def _imagej_channels(
    metadata: Mapping[str, Any], summary: Mapping[str, Any], channels: int
) -> tuple[ChannelHint, ...]:
    if channels > MAX_CHANNELS:
        return ()
    colours = _lut_colours(metadata.get("LUTs"), channels)
    names: list[Any] = summary["ChNames"] if isinstance(summary.get("ChNames"), list) else []
    named = len(names) == channels
    if not named:
        # A label is as often the title of a file as the name of a channel.
        labels = metadata.get("Labels", ())
        names = [labels] if isinstance(labels, str) else list(labels)[:channels]
        if metadata.get("order", "czt") != "czt" or len(names) < channels:
            names = []
    count = len(names) or len(colours)
    colours = colours or [""] * count
    names = names or [""] * count
    return tuple(
        ChannelHint(str(name), colour=colour, may_be_title=not named)
        for name, colour in zip(names, colours, strict=True)
    )


def _lut_colours(luts: object, channels: int) -> list[Colour]:
    """Return the colour that each of ImageJ's palettes, (3, 256), leads to; none if there are not as many."""
    if not isinstance(luts, list) or len(luts) != channels:
        return []
    return [colour_of(*np.ptp(lut.astype(int), axis=1)) if lut.shape == (3, 256) else "" for lut in luts]


def _ome(image: OmeImage) -> TiffDescription:
    pixels = image.pixels
    channels = children(pixels, "Channel")
    return TiffDescription(
        "ome",
        image.planes,
        channels=tuple(map(_ome_channel, channels if len(channels) <= MAX_CHANNELS else ())),
        pixel_size_um=plausible_pixel_um(_ome_length_um(pixels, "PhysicalSizeX")),
        pixel_height_um=plausible_pixel_um(_ome_length_um(pixels, "PhysicalSizeY")),
        plane_spacing_um=plausible_spacing_um(_ome_length_um(pixels, "PhysicalSizeZ")),
        reader_xml=image.reader_xml,
    )


def _ome_channel(channel: Element) -> ChannelHint:
    said = dict(channel.attrib)
    sources = children(channel, "LightSourceSettings")
    if len(sources) == 1 and "ExcitationWavelength" not in said:
        said |= {f"Excitation{key}": value for key, value in sources[0].attrib.items()}
    return _channel_hint(said)


def _channel_hint(said: Mapping[str, Any]) -> ChannelHint:
    """Return what the attributes of OME's `Channel` say."""
    return ChannelHint(
        # A bar, lest the end of one and the beginning of the other be read as one name.
        f"{said.get('Name', '')} | {said.get('Fluor', '')}",
        _wavelength_nm(said, "Emission"),
        _wavelength_nm(said, "Excitation"),
        _rgba_colour(said.get("Color")),
    )


def _wavelength_nm(said: Mapping[str, Any], light: str) -> float | None:
    unit = MICROMETRES.get(str(said.get(f"{light}WavelengthUnit", "nm")).lower())
    length_um = positive(said.get(f"{light}Wavelength"), unit)
    return None if length_um is None else length_um * 1000


def _rgba_colour(value: object) -> Colour:
    """Return the colour of OME's signed 32-bit integer: red, green, blue, opacity."""
    if not re.fullmatch(r"-?[0-9]{1,10}", str(value)):
        return ""
    red, green, blue, _ = (int(str(value)) % 2**32).to_bytes(4, "big")
    return colour_of(red, green, blue)


def _ome_length_um(pixels: Element, attribute: str) -> float | None:
    return positive(pixels.get(attribute), MICROMETRES.get(pixels.get(f"{attribute}Unit", "µm").lower()))


def _edge_um(page: Page, tag: int, unit_um: float | None) -> float | None:
    """Return the edge of a pixel from the tag that says how many there are in a unit."""
    per_unit = page.directory.ratio(tag)
    return plausible_pixel_um(unit_um / per_unit if unit_um and per_unit else None)


def _planes_planned(text: bytes) -> int | None:
    """Return "Slices" of Micro-Manager's summary: what the acquisition set out to take."""
    metadata = _json_object(text)
    summary = metadata.get("Summary", metadata)
    slices = summary.get("Slices") if isinstance(summary, dict) else None
    return slices if isinstance(slices, int) and 0 < slices <= _MOST_PLANNED else None


def _json_object(text: bytes) -> dict[str, Any]:
    """Return the object, empty where the text is none: what it says is welcome, not needed."""
    if len(text) > MAX_TEXT_BYTES["micromanager"]:
        return {}
    try:
        value = orjson.loads(text.rstrip(b"\0"))
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _bounded(text: str | None, kind: str) -> str:
    if text is None or len(text) > MAX_TEXT_BYTES[kind]:
        raise UnsafeFileError(
            f"its description is longer than {MAX_TEXT_BYTES[kind]:,} characters; export it again"
        )
    return text
