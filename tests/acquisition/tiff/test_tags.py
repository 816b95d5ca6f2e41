"""Tags that are missing, or stand twice: read where only one reading is possible."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile

from colvi_edge.acquisition import Acquisition
from colvi_edge.errors import AcquisitionError, IncompleteFileError, PixelTypeError, UnsafeFileError

PHOTOMETRIC, THRESHOLDING, ORIENTATION, WIDTH, STRIPS = 262, 263, 274, 256, 273

PIXELS = np.random.default_rng(0).integers(1, 4000, (2, 64, 80)).astype(np.uint16)


def stored(pixels: Any = PIXELS, **options: Any) -> bytes:
    """A little-endian TIFF of one directory."""
    file = io.BytesIO()
    options = {"imagej": True, "metadata": {"axes": "CYX"}, **options}
    tifffile.imwrite(file, pixels, byteorder="<", **options)
    return file.getvalue()


def entries_of(data: bytes) -> list[bytes]:
    """The twelve bytes of each tag of the first directory."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    return [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]


def second_of(data: bytes) -> int:
    """Where the second directory is; 0 when there is none."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    return int(struct.unpack_from("<I", data, at + 2 + 12 * count)[0])


def with_entries(data: bytes, entries: list[bytes], following: int = 0) -> bytes:
    """The file with another first directory, at its end; that of the others' chain begins at `following`."""
    data += bytes(len(data) % 2)
    entries = sorted(entries, key=lambda entry: struct.unpack("<H", entry[:2]))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory


def short(code: int, value: int) -> bytes:
    """A tag that holds one number of 16 bits."""
    return struct.pack("<HHIHH", code, 3, 1, value, 0)


@pytest.mark.parametrize("code", [ORIENTATION, PHOTOMETRIC, WIDTH, STRIPS])
def test_a_tag_that_says_the_same_twice_is_read(code: int, read: Callable[..., Acquisition]) -> None:
    """Harmless ones and those that decide about pixels."""
    data = stored()
    entries = entries_of(data)
    twice = [entry for entry in entries if entry[:2] == struct.pack("<H", code)] or [short(code, 1)] * 2

    planes = read(with_entries(data, entries + twice)).planes

    assert (planes[0] == PIXELS).all()


@pytest.mark.parametrize(("code", "value"), [(WIDTH, 40), (PHOTOMETRIC, 0), (STRIPS, 8)])
def test_a_tag_that_says_two_things_is_refused(
    code: int, value: int, read: Callable[..., Acquisition]
) -> None:
    """Readers take the first or the last; the sentence names the tag."""
    data = stored()
    entries = entries_of(data)

    for changed in ([*entries, short(code, value)], [short(code, value), *entries]):
        with pytest.raises(
            UnsafeFileError, match=f"tag {code} occurs twice .* with different values; export"
        ):
            read(with_entries(data, changed))


def test_equal_values_elsewhere_in_the_file_are_equal(read: Callable[..., Acquisition]) -> None:
    """What counts is what is said, not where it lies; a difference in its last byte is one."""
    data = stored()
    (resolution,) = (entry for entry in entries_of(data) if entry[:2] == struct.pack("<H", 282))
    (at,) = struct.unpack("<I", resolution[8:])
    copy, other = data[at : at + 8], data[at : at + 7] + bytes([data[at + 7] ^ 1])
    for value, same in ((copy, True), (other, False)):
        longer = data + bytes(len(data) % 2)
        again = resolution[:8] + struct.pack("<I", len(longer))
        file = with_entries(longer + value, [*entries_of(data), again])
        if same:
            assert (read(file).planes[0] == PIXELS).all()
        else:
            with pytest.raises(UnsafeFileError, match="tag 282 occurs twice"):
                read(file)


def test_one_value_a_pixel_needs_no_photometric_tag(read: Callable[..., Acquisition]) -> None:
    """It can only be an intensity."""
    data = stored()
    entries = [entry for entry in entries_of(data) if entry[:2] != struct.pack("<H", PHOTOMETRIC)]

    assert (read(with_entries(data, entries)).planes[0] == PIXELS).all()


def test_three_values_a_pixel_need_it(read: Callable[..., Acquisition]) -> None:
    """They may be RGB, YCbCr, Lab or three channels."""
    data = stored(np.ones((64, 80, 3), np.uint8), imagej=False, metadata=None, photometric="rgb")
    entries = [entry for entry in entries_of(data) if entry[:2] != struct.pack("<H", PHOTOMETRIC)]

    with pytest.raises(PixelTypeError, match="photometric interpretation is -1; expected"):
        read(with_entries(data, entries))


def text(code: int, words: str, data: bytes) -> tuple[bytes, bytes]:
    """The file with words at its end, and the tag that holds them."""
    value = words.encode() + b"\0\0\0\0\0"  # too long for the tag itself
    data += bytes(len(data) % 2)
    return data + value, struct.pack("<HHII", code, 2, len(value), len(data))


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels DimensionOrder="XYZCT" '
    'Type="uint16" SizeX="80" SizeY="64" SizeZ="1" SizeC="2" SizeT="1" PhysicalSizeX="0.3">{}</Pixels>'
    "</Image></OME>"
)
JSON = '{"shape": [2, 64, 80], "axes": "ZYX"}'
IMAGEJ = "ImageJ=1.53t\nimages=2\nslices=2\nunit=nm\n"


@pytest.mark.parametrize(
    "beside",
    [
        [(270, JSON)],
        [(270, JSON.replace("2", "7"))],
        [(270, '{"shape": "none"}')],
        [(270, "shape=(2,64,80)")],
        [(270, IMAGEJ)],
        [(270, IMAGEJ.replace("2", "9"))],
        [(51123, '{"Summary": {"Slices": 7, "Positions": 3}}')],
        [(51123, "neither JSON nor long")],
        [(50838, "a count"), (50839, "IJIJinfo and what is no metadata")],
        [(50839, "IJIJinfo without counts")],
        [(50838, "counts without metadata")],
        [
            (270, JSON),
            (270, IMAGEJ),
            (50839, "IJIJ"),
            (51123, "{}"),
            (34735, "GeoTIFF"),
            (700, "<x:xmpmeta/>"),
        ],
    ],
)
@pytest.mark.parametrize(
    "table", ["<TiffData/>", '<TiffData IFD="1" FirstC="0"/><TiffData IFD="0" FirstC="1"/>']
)
def test_what_stands_beside_ome_xml_does_not_count(
    beside: list[tuple[int, str]], table: str, read: Callable[..., Acquisition]
) -> None:
    """Other programs' descriptions came along from an earlier file: the first one says what the file is."""
    data, description = text(270, OME.format(table), stored(metadata=None, imagej=False, contiguous=False))
    entries = [entry for entry in entries_of(data) if entry[:2] != struct.pack("<H", 270)]
    tags = [description]
    for code, words in beside:
        data, tag = text(code, words, data)
        tags.append(tag)

    acquisition = read(with_entries(data, [*entries, *tags], following=second_of(data)))

    assert (acquisition.planes[0] == (PIXELS if table == "<TiffData/>" else PIXELS[::-1])).all()
    assert acquisition.pixel_size_um == 0.3


def test_what_the_reader_doubts_is_not_hidden_by_words_of_imagej(read: Callable[..., Acquisition]) -> None:
    """A warning that quotes the one that is let pass is another one."""
    data, description = text(270, OME.format("<TiffData/>"), stored(metadata=None, imagej=False))
    entries = [entry for entry in entries_of(data) if entry[:2] != struct.pack("<H", 270)]
    quote = "<tifffile.TiffPage 0 @8> <tifffile.imagej_metadata> raised it"
    data, tag = text(42113, quote, data)  # GDAL's value of missing pixels, which is to be a number

    with pytest.raises(IncompleteFileError, match="the reader finds it inconsistent"):
        read(with_entries(data, [*entries, description, tag], following=second_of(data)))


def test_broken_words_of_imagej_count_where_it_speaks(read: Callable[..., Acquisition]) -> None:
    """They describe an image of ImageJ, and no other."""
    for words, told in (({"imagej": False}, True), ({"imagej": True}, False)):
        data, tag = text(50839, "IJIJinfo without counts", stored(**words))
        file = with_entries(data, [*entries_of(data), tag], following=second_of(data))
        if told:
            assert (read(file).planes[0] == PIXELS).all()
        else:
            with pytest.raises(IncompleteFileError, match="the reader finds it inconsistent"):
                read(file)


@pytest.mark.parametrize("options", [{"metadata": {"axes": "CYX", "unit": "um"}}, {"imagej": False}])
@pytest.mark.parametrize(("code", "edges_um"), [(282, (None, 0.5)), (283, (0.25, None))])
def test_a_resolution_may_be_missing(
    code: int, edges_um: tuple[float | None, float | None], options: Any, read: Callable[..., Acquisition]
) -> None:
    """The other axis is not asked for it."""
    unit_px = 1 if "metadata" in options else 10_000  # of um, of cm
    data = stored(resolution=(4 * unit_px, 2 * unit_px), resolutionunit="CENTIMETER", **options)
    entries = [entry for entry in entries_of(data) if entry[:2] != struct.pack("<H", code)]
    acquisition = read(with_entries(data, entries))

    found = acquisition.pixel_size_um, acquisition.pixel_height_um
    assert found == tuple(edge and pytest.approx(edge) for edge in edges_um)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\xda\xce\xbe\x0a", "a Nikon container"),
        (b"\x00\x00\x00\x0cjP  ", "an old Nikon container"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE container such as Olympus' .oib"),
        (b"OLYMPUSRAWFORMAT", "an Olympus image"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a file compressed with gzip"),
        (b"%PDF-1.7", "a PDF document"),
        (b"GIF89a", "a GIF picture"),
        (b"ZISRAWFILE", "a Zeiss container"),
        (
            b"II*\0\x20\x4e\0\0\x18\0IS\xd1\x07\0\0",
            "the index of an Olympus or Evident image .* in .ets files",
        ),
        (b"SIS\0\x40\0\0\0\x03\0\0\0", "the pixels of an Olympus or Evident image .* their .vsi"),
        (bytes(128) + b"DICM\x02\0\0\0UL", "a DICOM file"),
        (b"a preamble of its own".ljust(128) + b"DICM\x02\0\0\0UL", "a DICOM file"),
        (struct.pack("<i", 348) + bytes(340) + b"n+1\0", "a NIfTI image"),
        (struct.pack(">i", 348) + bytes(340) + b"n+1\0", "a NIfTI image"),
        (b"BM" + struct.pack("<IHHI", 262_198, 0, 0, 54), "a BMP picture"),
        (b"RIFF" + struct.pack("<I", 7000) + b"WEBPVP8 ", "a WebP picture"),
        (b"SIMPLE  =                    T / conforms to FITS standard", "a FITS image"),
        (struct.pack("<4i", 64, 64, 10, 2).ljust(208, b"\0") + b"MAP DD\0\0", "an MRC volume"),
        (
            struct.pack("<4i", 64, 64, 10, 6).ljust(96, b"\0") + struct.pack("<h", -16224),
            "a DeltaVision image",
        ),
    ],
)
def test_other_formats_are_called_by_their_name(
    start: bytes, words: str, read: Callable[..., Acquisition]
) -> None:
    """Whatever the file's own name says."""
    with pytest.raises(
        AcquisitionError, match=f"is .*{words}.*, which is not read here; export the image as TIFF"
    ):
        read(start + bytes(200))


@pytest.mark.parametrize(
    ("start", "with_fiji"), [(bytes(128) + b"DICM", True), (b"ZISRAWFILE", True), (b"\x89PNG\r\n", False)]
)
def test_the_remedy_is_one_that_works(
    start: bytes, with_fiji: bool, read: Callable[..., Acquisition]
) -> None:
    """Fiji reads other microscopes; no program gives back what a picture has lost."""
    with pytest.raises(AcquisitionError) as refused:
        read(start + bytes(200))

    way = "Fiji (File > Import > Bio-Formats, then File > Save As > Tiff)"
    assert (way in str(refused.value)) is with_fiji


@pytest.mark.parametrize(("place", "magic"), [(96, b"\xa0\xc0"), (128, b"DICM"), (344, b"n+1\0")])
def test_in_a_tiff_file_a_magic_is_chance(place: int, magic: bytes, read: Callable[..., Acquisition]) -> None:
    """There may be anything at these places, and a file may be of DICOM and TIFF at once."""
    plain = stored(software="." * 600)
    data = bytearray(with_entries(plain, entries_of(plain)))  # the first directory is not needed any more
    assert place < 10 + 12 * len(entries_of(plain)) or plain[place : place + 4] == b"...."
    data[place : place + len(magic)] = magic

    assert (read(bytes(data)).planes[0] == PIXELS).all()


@pytest.mark.parametrize(
    ("unit", "length_um"),
    [
        *((f"micromet{ending}", 1.0) for ending in ("er", "ers", "re", "res")),
        *((f"nanomet{ending}", 1e-3) for ending in ("er", "ers", "re", "res")),
        *((f"millimet{ending}", 1e3) for ending in ("er", "ers", "re", "res")),
        ("Micrometer", 1.0), (" micron ", 1.0), ("MICRONS", 1.0), ("um", 1.0), ("\\u00B5m", 1.0),
    ],
)  # fmt: skip
def test_units_of_imagej_however_they_are_spelt(
    unit: str, length_um: float, read: Callable[..., Acquisition]
) -> None:
    """0.3 um in each of them."""
    data = stored(metadata={"axes": "CYX", "unit": unit}, resolution=(length_um / 0.3, length_um / 0.3))

    assert read(data).pixel_size_um == pytest.approx(0.3, rel=1e-4)
