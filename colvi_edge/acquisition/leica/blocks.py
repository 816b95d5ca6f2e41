"""An own, bounded walk over a Leica container, before any reader sees it.

    0x70, length, 0x2A, characters, XML in UTF-16         what the images are called, and how they lie
    0x70, length, 0x2A, bytes, 0x2A, characters, name     of a memory block
    ... its bytes; and so on, block after block, to the end of the file

Nothing is decoded, and of the blocks nothing but their heads is read.
"""

import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

from colvi_edge.acquisition.refusals import DAMAGED
from colvi_edge.acquisition.source import Source
from colvi_edge.errors import ImageTooLargeError, IncompleteFileError, NotAnImageError, UnsafeFileError

MAX_XML_BYTES = 2**26
"""Of the description; three images of LAS X took 0.1 MB. What was made to harm took 17 s and 1.3 GB."""

MAX_BLOCKS = 2**16
MAX_NAME = 1024  # characters, of a block

_HEADER = struct.Struct("<IIBI")
_HEADS = {1: struct.Struct("<IIBIBI"), 2: struct.Struct("<IIBQBI")}
_RELATIVES = {
    "LMS_Object_File": "a Leica object (.lof)",
    "<LMSDataContainerEnhancedHeader": "a Leica extension (.lifext)",
}


class Block(NamedTuple):
    """Where the pixels of an image lie; inside the file."""

    offset: int
    bytes: int


class Container(NamedTuple):
    """What a container holds.

    Attributes:
        blocks: by name, those that are whole.
        end: of the last of them.
    """

    blocks: Mapping[str, Block]
    end: int


def walk(source: Source, file_bytes: int) -> Container:
    """Return what a container holds, up to where it ends or makes no sense any more.

    Args:
        source: the file, open.
        file_bytes: its length.

    Raises:
        AcquisitionError: even its description cannot be used.
    """
    xml = _description(source, file_bytes)
    root = re.match(r'<LMSDataContainerHeader\b[^<>]*?\sVersion="(\d{1,9})"', xml)
    version = int(root[1]) if root else 0
    if version not in _HEADS:
        raise NotAnImageError(
            f"is a Leica container of version {version or 'unknown'}, expected 1 or 2; "
            "export its images as TIFF"
        )
    return _blocks(source, file_bytes, _HEADS[version])


def _description(source: Source, file_bytes: int) -> str:
    source.seek(0)
    header = source.read(_HEADER.size) or b""
    if len(header) < _HEADER.size:
        raise IncompleteFileError(f"ends inside its header, after {file_bytes} bytes; {DAMAGED}")
    begin = (source.read(2 * max(map(len, _RELATIVES))) or b"").decode("utf-16-le", "replace")
    for start, words in _RELATIVES.items():  # an object's header says more than a container's
        if begin.startswith(start):
            raise NotAnImageError(
                f"is {words}, which is not read here; export the image as TIFF, or save it in a .lif, "
                "with LAS X"
            )
    source.seek(_HEADER.size)
    tag, length, mark, characters = _HEADER.unpack(header)
    if (tag, mark) != (0x70, 0x2A) or length != 2 * characters + 5:
        raise NotAnImageError(
            "is a Leica container (.lif) whose header makes no sense; export its images as TIFF"
        )
    if 2 * characters > MAX_XML_BYTES:
        raise ImageTooLargeError(
            f"describes its images in {2 * characters:,} bytes, at most {MAX_XML_BYTES:,} are read; "
            "save them to several containers"
        )
    data = source.read(2 * characters) or b""
    if len(data) < 2 * characters:
        raise IncompleteFileError(f"ends inside the description of its images; {DAMAGED}")
    try:
        xml = data.decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise IncompleteFileError(f"the description of its images is not text; {DAMAGED}") from error
    if re.search("<!(DOCTYPE|ENTITY)", xml):
        raise UnsafeFileError(
            "its description defines entities, which no microscope writes; export its images as TIFF"
        )
    return xml


def _blocks(source: Source, file_bytes: int, head: struct.Struct) -> Container:
    blocks: dict[str, Block] = {}
    end = source.tell()
    while source.tell() < file_bytes:
        data = source.read(head.size) or b""
        if len(data) < head.size:
            break
        tag, _, first, size, second, characters = head.unpack(data)
        if (tag, first, second) != (0x70, 0x2A, 0x2A) or characters > MAX_NAME:
            break
        name = (source.read(2 * characters) or b"").decode("utf-16-le", "replace")
        block = Block(source.tell(), size)
        if block.offset + size > file_bytes or "\ufffd" in name:
            break
        if name in blocks or len(blocks) == MAX_BLOCKS:
            raise UnsafeFileError(
                f"holds more than {MAX_BLOCKS:,} blocks of pixels, or two of one name; "
                "export its images as TIFF"
            )
        blocks[name] = block
        end = source.seek(block.offset + size)
    return Container(blocks, end)
