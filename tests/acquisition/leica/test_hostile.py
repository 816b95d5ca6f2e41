"""Containers that are damaged, half written or made to harm: refused by a sentence, before it is too late."""

import os
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colvi_edge.acquisition import Acquisition, Limits, Refused, acquire_opened
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ImageTooLargeError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
    ScanModeError,
    TimeSeriesError,
    UnsafeFileError,
)
from tests.tools.leica import Series, assembled, block_head, container, description_of, xml_of

PIXELS = np.random.default_rng(3).integers(1, 250, (3, 2, 64, 64)).astype("u2")
GOOD = Series(PIXELS)
TRUE = description_of(GOOD)
WHOLE = container(GOOD)
XML = WHOLE.data[13:].decode("utf-16-le", "replace").partition("</LMSDataContainerHeader>")[0]
XML += "</LMSDataContainerHeader>"
OBJECT = (  # as LAS X writes it: the first length spans the name, two versions and the length of the pixels
    struct.pack("<IIBI", 0x70, 54, 0x2A, 15)
    + "LMS_Object_File".encode("utf-16-le")
    + struct.pack("<BIBIBQ", 0x2A, 2, 0x2A, 0, 0x2A, PIXELS.nbytes)
    + PIXELS.tobytes()
)


def read_all(data: bytes, folder: Path, limits: Limits | None = None) -> list[Acquisition | Refused]:
    """Every image of a container."""
    path = folder / "x.lif"
    path.write_bytes(data)
    return list(acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif", limits=limits or Limits()))


def header(xml: str) -> bytes:
    """A container without blocks."""
    return assembled(xml, []).data


def nested(depth: int) -> str:
    """An image below many folders."""
    inner = XML[XML.index('<Element Name="Series001"') : XML.index("</Children></Element></LMS")]
    above = "".join(f'<Element Name="{i}"><Children>' for i in range(depth))
    return xml_of(above + inner + "</Children></Element>" * depth)


FILES: dict[str, tuple[bytes, type[AcquisitionError], str]] = {
    "header cut": (WHOLE.data[:9], IncompleteFileError, "ends inside its header"),
    "description cut": (WHOLE.data[:999], IncompleteFileError, "ends inside the description"),
    "lengths differ": (
        WHOLE.data[:4] + b"\1" + WHOLE.data[5:],
        NotAnImageError,
        "header makes no sense",
    ),
    "endless description": (
        struct.pack("<IIBI", 0x70, (2 * 2**30 + 5) % 2**32, 0x2A, 2**30),
        ImageTooLargeError,
        "describes its images in 2,147,483,648 bytes",
    ),
    "not text": (
        WHOLE.data[:13] + b"\x00\xd8" + WHOLE.data[15:],
        IncompleteFileError,
        "is not text",
    ),
    "not XML": (header('<LMSDataContainerHeader Version="2"><Element>'), IncompleteFileError, "be decoded"),
    "other XML": (header("<html></html>"), NotAnImageError, "version unknown"),
    "version 3": (header(XML.replace('Version="2"', 'Version="3"', 1)), NotAnImageError, "of version 3"),
    "no image": (header(xml_of("")), NotAnImageError, "holds no image"),
    "object": (OBJECT, NotAnImageError, r"is a Leica object \(\.lof\).*with LAS X"),
    "object of another kind": (header("LMS_Object_File"), NotAnImageError, r"\.lof"),
    "extension": (header("<LMSDataContainerEnhancedHeader/>"), NotAnImageError, r"\.lifext"),
    "link": ("\ufeff<LMSDataContainerHeader/>".encode("utf-16-le"), NotAnImageError, r"\.xlif"),
    "laughs": (
        header('<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + XML),
        UnsafeFileError,
        "defines entities",
    ),
    "entity inside": (
        header(XML.replace("<Memory", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Memory', 1)),
        UnsafeFileError,
        "defines entities",
    ),
    "deep": (assembled(nested(60), [PIXELS]).data, UnsafeFileError, "nests its images"),
    "very deep": (assembled(nested(100_000), [PIXELS]).data, UnsafeFileError, "nests its images"),
    "blocks of one name": (
        WHOLE.data + block_head("MemBlock_0", 2) + b"xx",
        UnsafeFileError,
        "two of one name",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_a_container_that_cannot_be_used(what: str, tmp_path: Path) -> None:
    """It is refused as a whole, by a sentence that begins with its name."""
    data, error, words = FILES[what]

    with pytest.raises(AcquisitionError, match=rf"^x\.lif: .*{words}") as refused:
        read_all(data, tmp_path)
    assert type(refused.value) is error


def declared(pattern: str, replacement: str) -> str:
    """The true description but for one thing."""
    changed, count = re.subn(pattern, replacement, TRUE, count=1)
    assert count == 1
    return changed


PLANES = r'"3" NumberOfElements="3"'


def of_planes(count: object) -> str:
    """The true description but for the number of planes."""
    return declared(PLANES, f'"3" NumberOfElements="{count}"')


DESCRIPTIONS: dict[str, tuple[str, type[AcquisitionError]]] = {
    "more planes than there are": (of_planes("4"), IncompleteFileError),
    "fewer planes": (of_planes("2"), IncompleteFileError),
    "planes beyond 64 bits": (of_planes(2**59), IncompleteFileError),
    "a number of a thousand digits": (of_planes("9" * 5000), IncompleteFileError),
    "no planes": (of_planes("0"), IncompleteFileError),
    "planes in words": (of_planes("1_0"), IncompleteFileError),
    "a negative stride": (declared(r'BytesInc="128"', 'BytesInc="-128"'), IncompleteFileError),
    "rows that overlap": (declared(r'BytesInc="128"', 'BytesInc="64"'), AxesError),
    "rows far apart": (declared(r'BytesInc="128"', 'BytesInc="130"'), AxesError),
    "pixels far apart": (declared(r'BytesInc="2"', 'BytesInc="4"'), AxesError),
    "channels beyond the block": (declared(r'BytesInc="8192"', f'BytesInc="{2**40}"'), AxesError),
    "channels upon each other": (declared(r'BytesInc="8192"', 'BytesInc="0"'), AxesError),
    "channels of two types": (declared(r'Resolution="16"', 'Resolution="8"'), PixelTypeError),
    "channels of no type": (TRUE.replace('DataType="0"', 'DataType="7"'), PixelTypeError),
    "an axis twice": (declared(r'DimID="3"', 'DimID="2"'), AxesError),
    "the same axis twice": (re.sub(r'(<Dim[^>]*DimID="3"[^>]*>)', r"\1\1", TRUE), AxesError),
    "an unknown axis": (declared(r'DimID="3"', 'DimID="12"'), AxesError),
    "time for depth": (declared(r'DimID="3"', 'DimID="4"'), TimeSeriesError),
    "no axes": (re.sub("<Dimension.*", "<Dimensions/>", TRUE), ScanModeError),
    "no channels": (re.sub("<Channels>.*</Channels>", "<Channels/>", TRUE), NotAnImageError),
    "nothing": (" ", ScanModeError),
}  # fmt: skip


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_description_that_lies(what: str, tmp_path: Path) -> None:
    """It is refused before memory is taken, and alone."""
    xml, error = DESCRIPTIONS[what]
    refused, good = read_all(container(Series(PIXELS, xml=xml), GOOD).data, tmp_path)

    assert isinstance(refused, Refused)
    assert type(refused.error) is error
    assert "be decoded" not in str(refused.error)  # it was not tried
    assert isinstance(good, Acquisition)
    np.testing.assert_array_equal(good.planes, PIXELS)


def test_two_images_of_one_block(tmp_path: Path) -> None:
    """Neither is read: thousands of images may refer to one block of gigabytes."""
    data = container(GOOD, GOOD, GOOD).data
    shared = data.replace("MemBlock_1".encode("utf-16-le"), "MemBlock_0".encode("utf-16-le"), 1)
    first, second, third = read_all(shared, tmp_path)

    for refused in (first, second):
        assert isinstance(refused, Refused)
        assert isinstance(refused.error, UnsafeFileError)
    assert isinstance(third, Acquisition)


@pytest.mark.parametrize("name", ["MemBlock_7", ""])
def test_pixels_that_are_nowhere(name: str, tmp_path: Path) -> None:
    """An image whose block is not in the file is not whole."""
    xml = XML.replace('"MemBlock_0"', f'"{name}"')
    (refused,) = read_all(assembled(xml, [PIXELS]).data, tmp_path)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, IncompleteFileError)


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, len(WHOLE.data), 24577])
def test_a_block_that_reaches_beyond_the_end(size: int, tmp_path: Path) -> None:
    """It is not there, however long it claims to be, and what follows it is not looked for."""
    data = bytearray(container(GOOD, GOOD).data)
    at = data.rindex(struct.pack("<Q", PIXELS.nbytes))
    struct.pack_into("<Q", data, at, size)
    first, second = read_all(bytes(data), tmp_path)

    assert isinstance(first, Acquisition)
    assert isinstance(second, Refused)
    assert isinstance(second.error, IncompleteFileError)


def test_a_name_of_gigabytes_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the walk nor the reader behind it takes memory for a name, even if it is there."""
    path = tmp_path / "x.lif"
    path.write_bytes(WHOLE.data + struct.pack("<IIBQBI", 0x70, 0, 0x2A, 0, 0x2A, 2**29))
    os.truncate(path, 2**31)  # sparse
    monkeypatch.setattr("colvi_edge.acquisition.leica.container.sha256_of", lambda _: "0" * 64)
    tracemalloc.start()
    (image,) = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert isinstance(image, Acquisition)
    assert peak < 2**24


def test_what_follows_the_last_block_does_not_matter(tmp_path: Path) -> None:
    """Bytes that are no block end the walk; the images before them are whole."""
    for tail in (b"\0", bytes(100), b"\x70\0\0\0" * 30, os.urandom(500)):
        (image,) = read_all(WHOLE.data + tail, tmp_path)

        assert isinstance(image, Acquisition)
        np.testing.assert_array_equal(image.planes, PIXELS)


@pytest.mark.parametrize(
    ("limit", "least"),
    [("pixels", PIXELS.size), ("decoded_bytes", PIXELS.nbytes), ("images", 2), ("container_bytes", None)],
)
def test_limits_are_exact(limit: str, least: int | None, tmp_path: Path) -> None:
    """What is just allowed is read, and one more is refused, by the name of the limit."""
    data = container(GOOD, GOOD).data
    allowed = least or len(data)

    def errors(limits: Limits) -> list[AcquisitionError]:
        try:
            return [image.error for image in read_all(data, tmp_path, limits) if isinstance(image, Refused)]
        except AcquisitionError as error:
            return [error]

    assert errors(Limits(**{limit: allowed})) == []
    refused = errors(Limits(**{limit: allowed - 1}))
    assert {type(error) for error in refused} == {ImageTooLargeError}
    assert f"limit '{limit}'" in str(refused[0])
    assert f"allow it with --limit {limit}={allowed}" in str(refused[0])


def test_a_container_may_be_longer_than_a_file_that_is_read_whole(tmp_path: Path) -> None:
    """`file_bytes` is for files that go into memory as a whole."""
    assert len(read_all(WHOLE.data, tmp_path, Limits(file_bytes=1))) == 1


def test_declared_gigabytes_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that the file holds, but the limits forbid, is refused unread."""
    path = tmp_path / "x.lif"
    head, _, _ = WHOLE.data.partition(PIXELS.tobytes())
    xml = XML.replace('"3" NumberOfElements="3"', f'"3" NumberOfElements="{2**18}"')
    size = PIXELS[0].nbytes * 2**18
    head = header(xml) + block_head("MemBlock_0", size)
    path.write_bytes(head)
    os.truncate(path, len(head) + size)  # sparse: 4 GiB of zeros that take no disk
    monkeypatch.setattr("colvi_edge.acquisition.leica.container.sha256_of", lambda _: "0" * 64)
    (refused,) = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ImageTooLargeError)


def test_an_unreadable_sector_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk says against reading is told as such, for the whole file: it may be read later."""
    path = tmp_path / "x.lif"
    path.write_bytes(WHOLE.data)
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")
    fail_from: list[int] = []
    preadv: Callable[..., int] = os.preadv

    def failing(fd: int, buffers: Any, offset: int) -> int:
        fail_from.append(offset)
        if offset == WHOLE.spans[0][0]:
            raise OSError(5, "Input/output error")
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(AcquisitionError, match=r"^x\.lif: cannot be read: Input/output error"):
        list(images)
    assert fail_from
