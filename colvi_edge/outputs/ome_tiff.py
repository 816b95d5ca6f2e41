"""The overlay as OME-TIFF: both channels as they were measured, the frames as objects above them.

Where the PNG is a picture, this is data: contrast and colours are the viewer's to choose, the
frames can be switched off, picked and measured. It says the same to two kinds of readers:

- OME-XML (schema 2016-06): channels, pixel size, the result as key-value pairs, a rectangle for the
  field and one for each patch, or polygons for each object; OME's have no holes, so that the line of one
  goes over to each of them and back on the same way. Bio-Formats reads it, and with it Fiji's importer,
  OMERO and QuPath from 0.6 on. Fiji and OMERO show a shape's text, not its ROI's name: it tells place and
  value.
- ImageJ's own overlay (tag 50839): ImageJ and Fiji open a TIFF that is dropped onto them without
  Bio-Formats, and read no OME-XML then.

The planes lie uncompressed one behind the other: ImageJ (1.53t) shows its overlay on no others, and
deflate would save a quarter. Of the raw file no text is copied but its name.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import uuid5
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffWriter, imagej_metadata_tag

from colvi_edge.outputs.cells import cells, classes_of, counts_of, headline
from colvi_edge.outputs.names import series_name
from colvi_edge.outputs.palette import BAND_COLOURS, FIELD, Colour, channel_colours, class_colours
from colvi_edge.outputs.patches.rois import imagej_rois
from colvi_edge.outputs.regions import rois as region_rois
from colvi_edge.outputs.regions.outlined import Outlined, Rings, Shape
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.printable import printable_name

CHANNELS: dict[str, Colour] = {"nuclei": (0, 0, 255), "collagen": (0, 255, 0)}
"""The file's planes, in order, and the colours that the PNG shows them in."""

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PIXEL_TYPES = {"float32": "float", "float64": "double"}
_STROKE_PX = 2
_FRAME_INSET_PX = 2  # at 0 neighbours are drawn on the same pixels, and the later one covers the earlier

_MOST_PAIRS = 2**22  # of a hole and a corner, looked at for a short way over
_BIG_BYTES = 2**31  # a TIFF's own offsets end at 2**32


class _Roi(NamedTuple):
    """A ROI of the file; corners at whole pixels, origin top left.

    Attributes:
        name, text, description: of it.
        rgb: of its lines.
        shapes: kind and attributes of each of its shapes.
    """

    name: str
    text: str
    description: str
    rgb: Colour
    shapes: Sequence[tuple[str, Mapping[str, str | float]]]


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
    pixels = np.stack([{"nuclei": nuclei, "collagen": collagen}[channel] for channel in CHANNELS])
    return _file(sidecar, pixels, CHANNELS, pixel_height_um, list(_patches(sidecar)), _imagej_frames(sidecar))


def render_shown(sidecar: Sidecar, shown: Shown, outlined: Outlined | None) -> bytes:
    """Return the file likewise of any channels, with a ROI for each object, or for each class.

    Args:
        sidecar: what is shown.
        shown: the image; its channels are all that the bundle asks for.
        outlined: what was found; None of a rejected image, and where not regions were asked for.
    """
    colours = channel_colours(shown.roles)
    pixels = np.stack([shown.channel(role) for role in colours])
    rois, imagej = list(_patches(sidecar)), _imagej_frames(sidecar)
    if outlined is not None:
        rois = [_polygons(shape) for shape in outlined.objects or outlined.regions]
        imagej = [roi for _, roi in region_rois.imagej_rois(outlined, on_slices=False)]
    return _file(sidecar, pixels, colours, shown.pixel_height_um, rois, imagej)


def _imagej_frames(sidecar: Sidecar) -> list[bytes]:
    if sidecar.patches is None or not sidecar.patches.size_px:
        return []
    return [roi for _, roi in imagej_rois(sidecar, _FRAME_INSET_PX)]


def _file(
    sidecar: Sidecar,
    pixels: NDArray[Any],
    channels: Mapping[str, Colour],
    pixel_height_um: float | None,
    rois: list[_Roi],
    imagej: list[bytes],
) -> bytes:
    """Return the file of channels (C, H, W), with ROIs as OME has them and as ImageJ does."""
    pixels = _compact(pixels)
    overlay: dict[str, Any] = {"Labels": [f"{channel}: {headline(sidecar)}" for channel in channels]}
    if imagej:
        overlay["Overlays"] = imagej
    width_um = sidecar.image.pixel_size_um
    size_um = (width_um, pixel_height_um or width_um) if width_um else None
    file = io.BytesIO()
    with TiffWriter(file, bigtiff=pixels.nbytes >= _BIG_BYTES, byteorder="<") as tiff:
        tiff.write(
            pixels,
            photometric="minisblack",
            resolution=(1e4 / size_um[0], 1e4 / size_um[1]) if size_um else None,
            resolutionunit="CENTIMETER" if size_um else None,
            description=_ome_xml(sidecar, pixels, channels, size_um, rois),
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


def _ome_xml(
    sidecar: Sidecar,
    pixels: NDArray[Any],
    channels: Mapping[str, Colour],
    size_um: tuple[float, float] | None,
    rois: list[_Roi],
) -> bytes:
    """Return the metadata, in ASCII: other characters as references, so that any TIFF reader takes it."""
    ome = ElementTree.Element("OME", {"xmlns": _SCHEMA, "xmlns:xsi": _XSI})
    ome.set("xsi:schemaLocation", f"{_SCHEMA} {_SCHEMA}/ome.xsd")
    ome.set("UUID", f"urn:uuid:{uuid5(sidecar.result_id, 'ome-tiff')}")
    ome.set("Creator", sidecar.software.label)
    rois = [_field(sidecar, pixels), *rois]
    image = _add(ome, "Image", ID="Image:0", Name=series_name(sidecar.image.name, sidecar.image.key))
    _add(image, "Description", f"{headline(sidecar)}. {sidecar.intended_use}")
    _add_pixels(image, pixels, channels, size_um)
    for number in range(len(rois)):
        _add(image, "ROIRef", ID=f"ROI:{number}")
    _add(image, "AnnotationRef", ID="Annotation:0")
    annotations = _add(ome, "StructuredAnnotations")
    pairs = _add(annotations, "MapAnnotation", ID="Annotation:0", Namespace=sidecar.schema_)
    value = _add(pairs, "Value")
    for key, words in _facts(sidecar).items():
        _add(value, "M", words, K=key)
    for number, roi in enumerate(rois):
        _add_roi(ome, number, roi)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(ome, "us-ascii")


def _add_pixels(
    image: ElementTree.Element,
    pixels: NDArray[Any],
    channels: Mapping[str, Colour],
    size_um: tuple[float, float] | None,
) -> None:
    count, height, width = pixels.shape
    sizes = {"SizeX": width, "SizeY": height, "SizeZ": 1, "SizeC": count, "SizeT": 1}
    if size_um:  # the schema's own unit is um
        sizes |= {"PhysicalSizeX": size_um[0], "PhysicalSizeY": size_um[1]}
    kind = _PIXEL_TYPES.get(pixels.dtype.name, pixels.dtype.name)
    element = _add(image, "Pixels", ID="Pixels:0", DimensionOrder="XYCZT", Type=kind, **sizes)
    for number, (name, rgb) in enumerate(channels.items()):
        _add(element, "Channel", ID=f"Channel:0:{number}", Name=name, SamplesPerPixel=1, Color=_rgba(rgb))
    _add(element, "TiffData", IFD=0, PlaneCount=count)


def _field(sidecar: Sidecar, pixels: NDArray[Any]) -> _Roi:
    height, width = pixels.shape[1:]
    return _Roi("field", headline(sidecar), sidecar.intended_use, FIELD, [_rectangle(0, 0, width, height)])


def _patches(sidecar: Sidecar) -> Iterator[_Roi]:
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
        place = _rectangle(cell.x, cell.y, cell.width, cell.height)
        yield _Roi(cell.name, text, ", ".join(said), rgb, [place])


def _rectangle(x: int, y: int, width: int, height: int) -> tuple[str, Mapping[str, str | float]]:
    return "Rectangle", {"X": x, "Y": y, "Width": width, "Height": height}


def _polygons(shape: Shape) -> _Roi:
    words, text = shape.class_name, shape.name
    if (row := shape.measures) is not None:
        text = f"{shape.name} {row.area_px} px"
        words += f", area {row.area_px} px, diameter {row.diameter_px:.1f} px, roundness {row.roundness:.2f}"
        words += ", touches the border" if row.touches_border else ""
    points = [" ".join(f"{x},{y}" for x, y in _line(rings)) for rings in shape.pieces]
    return _Roi(shape.name, text, words, shape.colour, [("Polygon", {"Points": each}) for each in points])


def _line(rings: Rings) -> list[list[int]]:
    """Return a polygon with holes as one line: over to each hole from near it, round it, and back.

    The way over runs along edges of pixels, too: straight on, it could meet their centres. Where it crosses
    another hole it encloses nothing of it, as it comes back the same way.
    """
    outer, *holes = rings
    step = 1 + len(outer) * len(holes) // _MOST_PAIRS
    looked_at = outer[::step]
    ways = []
    for hole in holes:
        at = step * int(np.argmin(np.abs(looked_at - hole[0]).sum(axis=1)))
        begin = int(np.argmin(np.abs(hole - outer[at]).sum(axis=1)))
        ways.append((at, begin, hole))
    ways.sort(key=itemgetter(0))
    parts, done = [], 0
    for at, begin, hole in ways:
        turn = np.array([[hole[begin, 0], outer[at, 1]]], np.int32)
        parts += [outer[done : at + 1], turn, hole[begin:], hole[: begin + 1], turn]
        done = at
    return np.concatenate([*parts, outer[done:]]).tolist()


def _add_roi(ome: ElementTree.Element, number: int, roi: _Roi) -> None:
    element = _add(ome, "ROI", ID=f"ROI:{number}", Name=roi.name)
    union = _add(element, "Union")
    for index, (kind, place) in enumerate(roi.shapes):
        attributes: dict[str, str | float] = {
            "ID": f"Shape:{number}:{index}",
            **place,
            "StrokeColor": _rgba(roi.rgb),
            "StrokeWidth": _STROKE_PX,
            "StrokeWidthUnit": "pixel",
            "Text": roi.text,
            "TheZ": 0,
            "TheT": 0,
        }
        _add(union, kind, None, **attributes)
    _add(element, "Description", roi.description)


def _facts(sidecar: Sidecar) -> dict[str, str]:
    """Return the result as the key-value pairs that OMERO shows beside the image."""
    facts = {"intended_use": sidecar.intended_use, "status": sidecar.status}
    if sidecar.votes is not None:
        facts |= {"diagnosis": str(sidecar.diagnosis), "score": str(sidecar.score)}
        facts |= {f"votes_{vote}": str(count) for vote, count in counts_of(sidecar).items()}
    if sidecar.regions is not None:
        facts["task"] = "segment"
        facts |= {f"{region.name}_share": str(region.share) for region in sidecar.regions}
    if sidecar.objects is not None:
        facts |= {f"{name}_objects": str(count) for name, count in sidecar.objects.by_class.items()}
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
