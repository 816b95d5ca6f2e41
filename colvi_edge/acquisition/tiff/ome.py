"""The one image of an OME-XML that this file holds whole, and its plane table without a word of other files.

OME-XML may tell of many images, and of planes in other files. An image is this file's by the
UUID that both have, by the name of the file, or because it is the only one, names a single file
and has as many planes as there are pages here: then the file was renamed. What a reader needs of
it is written anew from the numbers that were checked: where no file is named, none is opened.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree import ElementTree

from colvi_edge.acquisition.bounds import bounded_count
from colvi_edge.acquisition.refusals import DAMAGED
from colvi_edge.acquisition.tiff.gate import EACH_SERIES, Page
from colvi_edge.errors import AxesError, IncompleteFileError, UnsafeFileError

MICRO_MANAGER = 51123
POSITION = re.compile(r"(?<![a-z])pos(ition)?[ _-]?[0-9]", re.IGNORECASE)
"""How the images of an acquisition at several positions of the stage are called."""

LEADS_AWAY = re.compile(r"[/\\]|^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""Folders, drives and addresses: no part of the plain name that a file has had."""

MAX_TAGS = 2**20
"""Of OME-XML, opening and closing ones: 20,000 planes take some 100,000. 4 million took 3.8 s and 600 MB."""

ELSEWHERE = "keeps planes in other files; export it as one OME-TIFF"


@dataclass(frozen=True)
class OmeImage:
    """An image of OME-XML, all of it in this file.

    Attributes:
        pixels: its element.
        planes: pages that it declares.
        reader_xml: its axes and its plane table as OME-XML, and nothing else.
    """

    pixels: ElementTree.Element
    planes: int
    reader_xml: str


class PlaneFile(NamedTuple):
    """The file that an entry of the plane table names."""

    uuid: str
    name: str


def ome_image(text: str, pages: Sequence[Page], name: str) -> OmeImage:
    """Return the image that the file is; every number that a reader would act upon is in bounds.

    Args:
        text: OME-XML.
        pages: what the file holds.
        name: its name; the plane table may refer to it.

    Raises:
        AcquisitionError: there is none or more than one, it is not all here, or it cannot be true.
    """
    root = _parsed(text)
    pixels, renamed = _own_pixels(root, pages[0], name)
    order = pixels.get("DimensionOrder", "")
    if sorted(order) != sorted("XYZCT") or not order.startswith("XY"):
        raise AxesError(
            "declares axes other than X and Y first, then Z, C and T in any order; export it again"
        )
    sizes = {axis: bounded_count(pixels.get(f"Size{axis}")) for axis in "XYZCT"}
    samples = {
        bounded_count(channel.get("SamplesPerPixel", 1)) for channel in children(pixels, "Channel")
    } or {1}
    if len(samples) > 1:
        raise AxesError("mixes channels of one and of several samples; export each to its own file")
    (per_pixel,) = samples
    planes, rest = divmod(sizes["Z"] * sizes["C"] * sizes["T"], per_pixel)
    if rest or (sizes["X"], sizes["Y"]) != (pages[0].width_px, pages[0].height_px):
        raise IncompleteFileError(
            f"declares {sizes['X']} x {sizes['Y']} pixels of {sizes['C']} channels, but its pages hold "
            f"{pages[0].width_px} x {pages[0].height_px} of {pages[0].samples} samples; export it again"
        )
    if renamed and planes != len(pages):
        raise UnsafeFileError(ELSEWHERE)
    table = _plane_table(pixels, planes, len(pages))
    return OmeImage(pixels, planes, _reader_xml(order, sizes, per_pixel, table))


def children(parent: ElementTree.Element, ending: str) -> list[ElementTree.Element]:
    """Return the elements in another that are called so, in whatever namespace."""
    return [child for child in parent if child.tag.endswith(ending)]


def _parsed(text: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnsafeFileError("its OME-XML defines entities, which no microscope writes; export it again")
    if text.count("<") > MAX_TAGS:
        raise UnsafeFileError(f"its OME-XML holds more than {MAX_TAGS:,} tags; export it again")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without entities it is linear in the text
    except ElementTree.ParseError as error:
        raise IncompleteFileError("its OME-XML is not well formed; export it again") from error
    if children(root, "BinaryOnly"):
        raise UnsafeFileError("keeps its description in another file; export it as one OME-TIFF")
    if any(element.get("Namespace", "").endswith("modulo") for element in root.iter()):
        raise AxesError(
            "has an axis within an axis (modulo annotation); export one image of Z planes and channels"
        )
    return root


def _own_pixels(root: ElementTree.Element, page: Page, name: str) -> tuple[ElementTree.Element, bool]:
    """Return the image that is in this file, and whether that holds only if all of its planes are here."""
    images = [(image, pixels) for image in children(root, "Image") for pixels in children(image, "Pixels")]
    files = [_plane_files(pixels) for _, pixels in images]
    named = {file for of_image in files for file in of_image if file is not None}
    uuid = root.get("UUID")
    this = {file for file in named if file.uuid == uuid}
    if not this and (uuid is None or len(images) > 1):
        this = {file for file in named if file.name.lower() == name.lower()}
    if len(images) == 1:
        renamed = not named <= this
        if renamed and (uuid is not None or len(files[0]) > 1 or any(LEADS_AWAY.search(n) for _, n in named)):
            raise UnsafeFileError(ELSEWHERE)
        return images[0][1], renamed
    own = [
        pixels for (_, pixels), of_image in zip(images, files, strict=True) if of_image and of_image <= this
    ]
    if len(own) == 1:
        return own[0], False
    what = _called([image for image, _ in images], page)
    if not images:
        raise AxesError("holds 0 images; export it again")
    if own or not named:
        raise AxesError(f"holds {len(own) or len(images)} {what}; {EACH_SERIES}")
    raise AxesError(
        f"describes {len(images)} {what}, none of them as whole in a file of this name; give it back the "
        f"name that it was saved under, or put it beside the other files and {EACH_SERIES}"
    )


def _called(images: Sequence[ElementTree.Element], page: Page) -> str:
    """Return what several images are: positions where the file says so."""
    if MICRO_MANAGER in page.directory.tags or all(
        children(image, "StageLabel") or POSITION.search(image.get("Name", "")) for image in images
    ):
        return "positions"
    return "images"


def _plane_files(pixels: ElementTree.Element) -> set[PlaneFile | None]:
    """Return the files that the plane table of an image names; None is among them where it names none."""
    files: set[PlaneFile | None] = set()
    for entry in children(pixels, "TiffData"):
        uuids = children(entry, "UUID")
        files |= {PlaneFile((uuid.text or "").strip(), uuid.get("FileName", "")) for uuid in uuids} or {None}
    return files


def _plane_table(pixels: ElementTree.Element, planes: int, present: int) -> str:
    """Return the plane table in numbers alone; refuse one that leads out of the file or not to every plane.

    Without a table the pages are the planes, in the order that the image declares.
    """
    entries = children(pixels, "TiffData")
    if not entries:
        if present < planes:
            raise IncompleteFileError(f"declares {planes:,} planes, but holds {present:,}; {DAMAGED}")
        return f'<TiffData IFD="0" PlaneCount="{planes}"/>'
    listed = 0
    table = []
    for entry in entries:
        said = entry.attrib
        page = bounded_count(said.get("IFD", 0), least=0)
        number = bounded_count(said.get("PlaneCount", said.get("NumPlanes", int("IFD" in said))), least=0)
        number = number or present
        z, c, t = (bounded_count(said.get(f"First{axis}", 0), least=0) for axis in "ZCT")
        if page + number > present:
            raise IncompleteFileError(f"lists page {page + number} of {present}; {DAMAGED}")
        listed += number
        table.append(f'<TiffData IFD="{page}" PlaneCount="{number}" FirstZ="{z}" FirstC="{c}" FirstT="{t}"/>')
    if listed != planes:
        raise IncompleteFileError(f"declares {planes:,} planes, but lists {listed:,}; {DAMAGED}")
    return "".join(table)


def _reader_xml(order: str, sizes: Mapping[str, int], samples: int, table: str) -> str:
    lengths = " ".join(f'Size{axis}="{size}"' for axis, size in sizes.items())
    return (
        f'<OME><Image><Pixels DimensionOrder="{order}" {lengths}>'
        f'<Channel SamplesPerPixel="{samples}"/>{table}</Pixels></Image></OME>'
    )
