"""The overlay as OME-TIFF: both channels as they were measured, the frames as objects above them.

Where the PNG is a picture, this is data: contrast and colours are the viewer's to choose, the
frames can be switched off, picked and measured. It says the same to two kinds of readers:

- OME-XML (schema 2016-06): channels, pixel size, the result as key-value pairs, a rectangle for the
  field and one for each patch. Bio-Formats reads it, and with it Fiji's importer, OMERO and
  QuPath from 0.6 on. Fiji and OMERO show a shape's text, not its ROI's name: it tells place and value.
- ImageJ's own overlay (tag 50839): ImageJ and Fiji open a TIFF that is dropped onto them without
  Bio-Formats, and read no OME-XML then.

The planes lie uncompressed one behind the other: ImageJ (1.53t) shows its overlay on no others, and
deflate would save a quarter. Of the raw file no text is copied but its name.
"""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid5
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffWriter, imagej_metadata_tag

from colvi_edge.outputs.cells import cells, classes_of, counts_of, headline
from colvi_edge.outputs.names import series_name
from colvi_edge.outputs.palette import BAND_COLOURS, FIELD, class_colours
from colvi_edge.outputs.rois import imagej_rois
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.printable import printable_name

CHANNELS = {"nuclei": (0, 0, 255), "collagen": (0, 255, 0)}
"""The file's planes, in order, and the colours that the PNG shows them in."""

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PIXEL_TYPES = {"float32": "float", "float64": "double"}
_STROKE_PX = 2
_FRAME_INSET_PX = 2  # at 0 neighbours are drawn on the same pixels, and the later one covers the earlier

_BIG_BYTES = 2**31  # a TIFF's own offsets end at 2**32


class _Rectangle(NamedTuple):
    """A ROI of the file; corners at whole pixels, origin top left."""

    name: str
    text: str
    description: str
    x: int
    y: int
    width: int
    height: int
    rgb: tuple[int, int, int]


def render(
    sidecar: Sidecar, collagen: NDArray[Any], nuclei: NDArray[Any], pixel_height_um: float | None = None
) -> bytes:
    """Return the file; equal input gives equal bytes.

    Its pixels are the projections', in their own type; only summed integers, which come in 64 bits,
    get the 16 or 32 that hold them all.

    Args:
        sidecar: what is shown; a rejected image gets the field and why, but no patches.
        collagen: (H, W) projection: uint8, uint16, float32, or sums of such: int64, float64.
        nuclei: the same of the other channel.
        pixel_height_um: where it is not the width, which the sidecar has.
    """
    projections = {"nuclei": nuclei, "collagen": collagen}
    pixels = _compact(np.stack([projections[channel] for channel in CHANNELS]))
    overlay: dict[str, Any] = {"Labels": [f"{channel}: {headline(sidecar)}" for channel in CHANNELS]}
    if sidecar.patches and sidecar.patches.size_px:
        overlay["Overlays"] = [roi for _, roi in imagej_rois(sidecar, _FRAME_INSET_PX)]
    width_um = sidecar.image.pixel_size_um
    size_um = (width_um, pixel_height_um or width_um) if width_um else None
    file = io.BytesIO()
    with TiffWriter(file, bigtiff=pixels.nbytes >= _BIG_BYTES, byteorder="<") as tiff:
        tiff.write(
            pixels,
            photometric="minisblack",
            resolution=(1e4 / size_um[0], 1e4 / size_um[1]) if size_um else None,
            resolutionunit="CENTIMETER" if size_um else None,
            description=_ome_xml(sidecar, pixels, size_um),
            software=sidecar.software.label,
            metadata=None,
            extratags=imagej_metadata_tag(overlay, "<"),
        )
    return file.getvalue()


def _compact(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return sums of integers in a type that OME knows; those of 20,000 planes fit 32 bits."""
    if pixels.dtype != np.int64:
        return pixels
    return pixels.astype(np.uint16 if pixels.max() <= np.iinfo(np.uint16).max else np.uint32)


def _ome_xml(sidecar: Sidecar, pixels: NDArray[Any], size_um: tuple[float, float] | None) -> bytes:
    """Return the metadata, in ASCII: other characters as references, so that any TIFF reader takes it."""
    ome = ElementTree.Element("OME", {"xmlns": _SCHEMA, "xmlns:xsi": _XSI})
    ome.set("xsi:schemaLocation", f"{_SCHEMA} {_SCHEMA}/ome.xsd")
    ome.set("UUID", f"urn:uuid:{uuid5(sidecar.result_id, 'ome-tiff')}")
    ome.set("Creator", sidecar.software.label)
    rectangles = [_field(sidecar, pixels), *_patches(sidecar)]
    image = _add(ome, "Image", ID="Image:0", Name=series_name(sidecar.image.name, sidecar.image.key))
    _add(image, "Description", f"{headline(sidecar)}. {sidecar.intended_use}")
    _add_pixels(image, pixels, size_um)
    for number in range(len(rectangles)):
        _add(image, "ROIRef", ID=f"ROI:{number}")
    _add(image, "AnnotationRef", ID="Annotation:0")
    annotations = _add(ome, "StructuredAnnotations")
    pairs = _add(annotations, "MapAnnotation", ID="Annotation:0", Namespace=sidecar.schema_)
    value = _add(pairs, "Value")
    for key, words in _facts(sidecar).items():
        _add(value, "M", words, K=key)
    for number, rectangle in enumerate(rectangles):
        _add_roi(ome, number, rectangle)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(ome, "us-ascii")


def _add_pixels(
    image: ElementTree.Element, pixels: NDArray[Any], size_um: tuple[float, float] | None
) -> None:
    channels, height, width = pixels.shape
    sizes = {"SizeX": width, "SizeY": height, "SizeZ": 1, "SizeC": channels, "SizeT": 1}
    if size_um:  # the schema's own unit is um
        sizes |= {"PhysicalSizeX": size_um[0], "PhysicalSizeY": size_um[1]}
    kind = _PIXEL_TYPES.get(pixels.dtype.name, pixels.dtype.name)
    element = _add(image, "Pixels", ID="Pixels:0", DimensionOrder="XYCZT", Type=kind, **sizes)
    for number, (name, rgb) in enumerate(CHANNELS.items()):
        _add(element, "Channel", ID=f"Channel:0:{number}", Name=name, SamplesPerPixel=1, Color=_rgba(rgb))
    _add(element, "TiffData", IFD=0, PlaneCount=channels)


def _field(sidecar: Sidecar, pixels: NDArray[Any]) -> _Rectangle:
    height, width = pixels.shape[1:]
    return _Rectangle("field", headline(sidecar), sidecar.intended_use, 0, 0, width, height, FIELD)


def _patches(sidecar: Sidecar) -> Iterator[_Rectangle]:
    if sidecar.patches is None or not sidecar.patches.size_px:
        return  # slices have no place in a projection, and a whole image is the field
    colours = class_colours(classes_of(sidecar))
    for cell in cells(sidecar):
        said = [*(f"p_{name} {p}" for name, p in cell.probabilities.items()), f"vote {cell.vote}"]
        if cell.band:
            said.append(f"band {cell.band}")
            text, rgb = f"{cell.name} {cell.probabilities['control']:.3f}", BAND_COLOURS[cell.band]
        else:
            text, rgb = f"{cell.name} {cell.vote}", colours[cell.vote]
        yield _Rectangle(cell.name, text, ", ".join(said), cell.x, cell.y, cell.width, cell.height, rgb)


def _add_roi(ome: ElementTree.Element, number: int, roi: _Rectangle) -> None:
    element = _add(ome, "ROI", ID=f"ROI:{number}", Name=roi.name)
    _add(
        _add(element, "Union"),
        "Rectangle",
        ID=f"Shape:{number}:0",
        X=roi.x,
        Y=roi.y,
        Width=roi.width,
        Height=roi.height,
        StrokeColor=_rgba(roi.rgb),
        StrokeWidth=_STROKE_PX,
        StrokeWidthUnit="pixel",
        Text=roi.text,
        TheZ=0,
        TheT=0,
    )
    _add(element, "Description", roi.description)


def _facts(sidecar: Sidecar) -> dict[str, str]:
    """Return the result as the key-value pairs that OMERO shows beside the image."""
    facts = {"intended_use": sidecar.intended_use, "status": sidecar.status}
    if sidecar.votes is not None:
        facts |= {"diagnosis": str(sidecar.diagnosis), "score": str(sidecar.score)}
        facts |= {f"votes_{vote}": str(count) for vote, count in counts_of(sidecar).items()}
    if sidecar.quality:
        facts["quality"] = " ".join(flag.words for flag in sidecar.quality)
    return facts | {
        "model": sidecar.model.label,
        "model_sha256": sidecar.model.sha256,
        "result_id": str(sidecar.result_id),
        "software": sidecar.software.label,
    }


def _rgba(rgb: tuple[int, int, int]) -> int:
    """Return an opaque colour as OME counts it: a signed 32-bit integer, red in the highest byte."""
    return int.from_bytes(bytes((*rgb, 255)), "big", signed=True)


def _add(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str | float
) -> ElementTree.Element:
    element = ElementTree.SubElement(
        parent, tag, {key: printable_name(str(value)) for key, value in attributes.items()}
    )
    element.text = text and printable_name(text)
    return element
