"""The patches as an ImageJ/Fiji RoiSet.zip: drop it onto ImageJ, the ROI Manager lists them.

Each entry is one rectangle in ImageJ's binary format, big-endian:

    0    header    magic, version, type, top left bottom right, stroke width and colour, offset of
                   the second header
    64   header 2  offsets and lengths of name and properties, group, stroke width
    128  name      UTF-16
    ...  properties, UTF-16: a line "key: value" each

The version is 227 for a reason. From 228 on ImageJ reads the group, and draws the outline in the
group's own colour instead of the stroke colour (seen in 1.53t): the paper's five colours would
be lost. Readers that take the group whatever the version (roifile does) find the band there,
1 for cyan to 5 for red; in ImageJ it stands among the properties. Where there are no bands, colour and
group are those of the class that a patch votes for, and 0 of a tie.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from zlib import crc32

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import Cell, cells, classes_of
from colvi_edge.outputs.palette import BAND_COLOURS, Colour, class_colours
from colvi_edge.outputs.sidecar import Sidecar

VERSION = 227
_RECTANGLE = 1
_STROKE_PX = 2
_HEADER = struct.Struct(">4shBx4HH16xhiIIhhBBhii")
_HEADER_2 = struct.Struct(">4x5iIhBBifiii12x")
_NAME_AT = _HEADER.size + _HEADER_2.size
LAST_EDGE_PX = 60535  # 16 bits hold -5000 to 60535; ImageJ takes what is above for negative

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION_NEEDED = 20
_MADE_ON_UNIX = 3 << 8 | _VERSION_NEEDED
_MODE = 0o644 << 16  # else unzip makes files that nobody may read
_DATE_1980 = 1 << 5 | 1  # 1 January: no clock in the bytes
_MOST_FILES = 0xFFFF

_GROUPS = {band.name: group for group, band in enumerate(BANDS, 1)}


def render(sidecar: Sidecar, listed: Iterable[Cell] | None = None) -> bytes:
    """Return the zip of a judged image's patches; equal input gives equal bytes.

    Args:
        sidecar: of the image.
        listed: its cells, where they are at hand.

    Raises:
        ValueError: the image was rejected.
    """
    return stored_zip((f"{name}.roi".encode(), roi) for name, roi in imagej_rois(sidecar, listed=listed))


def opaque(rgb: Colour) -> int:
    """Return a colour as ImageJ counts it: 32 bits, opacity in the highest byte."""
    return 0xFF000000 | int.from_bytes(bytes(rgb), "big")


def stored_zip(files: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a zip of uncompressed files (PKWARE's APPNOTE 4.3); `zipfile` takes five times as long, 2 ms.

    It has room for 65,535 files; those after them are left out.
    """
    contents, directory, offset = [], [], 0
    for name, data in islice(files, _MOST_FILES):
        sizes = (crc32(data), len(data), len(data), len(name), 0)
        local = _LOCAL.pack(b"PK\3\4", _VERSION_NEEDED, 0, 0, 0, _DATE_1980, *sizes)
        contents += [local, name, data]
        directory += [
            _CENTRAL.pack(
                b"PK\1\2", _MADE_ON_UNIX, _VERSION_NEEDED, 0, 0, 0, _DATE_1980, *sizes, 0, 0, 0, _MODE, offset
            ),
            name,
        ]
        offset += len(local) + len(name) + len(data)
    count, length = len(contents) // 3, sum(map(len, directory))
    end = _END.pack(b"PK\5\6", 0, 0, count, count, length, offset, 0)
    return b"".join([*contents, *directory, end])


def imagej_rois(
    sidecar: Sidecar, inset_px: int = 0, listed: Iterable[Cell] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each ROI of a judged image, row-major, in ImageJ's format.

    A patch that ends beyond pixel 60535 has no place in the format and is left out.

    Args:
        sidecar: of a judged image.
        inset_px: how far inside its patch each outline lies; 0 for the patch itself.
        listed: its cells, where they are at hand.

    Raises:
        ValueError: the image was rejected.
    """
    classes = classes_of(sidecar)
    colours = class_colours(classes)
    class_groups = {name: group for group, name in enumerate(classes, 1)}
    for cell in listed or cells(sidecar):
        if max(cell.x + cell.width, cell.y + cell.height) <= LAST_EDGE_PX:
            if cell.band:
                yield cell.name, _roi(cell, inset_px, BAND_COLOURS[cell.band], _GROUPS[cell.band])
            else:
                yield cell.name, _roi(cell, inset_px, colours[cell.vote], class_groups.get(cell.vote, 0))


def _roi(cell: Cell, inset_px: int, rgb: Colour, group: int) -> bytes:
    lines = {**{f"p_{name}": p for name, p in cell.probabilities.items()}, "vote": cell.vote}
    lines |= {"band": cell.band} if cell.band else {}
    properties = "".join(f"{key}: {value}\n" for key, value in lines.items())
    edges = (
        cell.y + inset_px,
        cell.x + inset_px,
        cell.y + cell.height - inset_px,
        cell.x + cell.width - inset_px,
    )
    header = _HEADER.pack(
        b"Iout", VERSION, _RECTANGLE, *edges, 0, _STROKE_PX, 0, opaque(rgb),
        0, 0, 0, 0, 0, 0, 0, _HEADER.size,
    )  # fmt: skip
    header_2 = _HEADER_2.pack(
        0, 0 if cell.plane is None else cell.plane + 1, 0, _NAME_AT, len(cell.name), 0, 0, group,
        0, 0, _STROKE_PX, _NAME_AT + 2 * len(cell.name), len(properties), 0,
    )  # fmt: skip
    return header + header_2 + cell.name.encode("utf-16-be") + properties.encode("utf-16-be")
