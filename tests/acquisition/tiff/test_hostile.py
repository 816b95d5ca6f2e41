"""Files that no microscope writes are refused: quickly, by the right name, before memory is taken.

They are built byte by byte here, from the TIFF 6.0 and BigTIFF specifications, by no library.
"""

import io
import logging
import re
import struct
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from colvi_edge.acquisition import Acquisition, Limits
from colvi_edge.acquisition.tiff import reader as tiff
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ImageTooLargeError,
    ImageTooSmallError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
    UnsafeFileError,
)

Tags = Mapping[int, tuple[int, Sequence[int] | bytes]]

FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q"}
PIXELS = np.random.default_rng(5).integers(1, 255, (64, 64, 3), np.uint8)
PICTURE: Tags = {
    256: (4, [64]), 257: (4, [64]), 258: (3, [8, 8, 8]), 259: (3, [1]), 262: (3, [2]), 273: (4, [16]),
    277: (3, [3]), 278: (4, [64]), 279: (4, [PIXELS.nbytes]),
}  # fmt: skip
GREY: Tags = {**PICTURE, 258: (3, [8]), 262: (3, [1]), 277: (3, [1]), 279: (4, [4096])}


def build(
    *pages: Tags,
    pixels: bytes = PIXELS.tobytes(),
    order: str = "<",
    big: bool = False,
    loop_to: int | None = None,
) -> bytes:
    """Lay out a file: header, pixels at byte 16, then each page's long values and directory.

    The last directory points to page `loop_to`; None for the end of the chain.
    """
    count, size, entry, inline = ("Q", "Q", "HHQ", 8) if big else ("H", "I", "HHI", 4)
    data = bytearray(16) + pixels
    links = [8 if big else 4]  # where the offset of each directory is written down
    places = []
    for page in pages:
        directory = struct.pack(order + count, len(page))
        for code, (kind, values) in sorted(page.items()):
            packed = (
                bytes(values)
                if kind in (2, 7)
                else struct.pack(f"{order}{len(values)}{FORMATS[kind]}", *values)
            )
            if len(packed) > inline:
                place = len(data)
                data += packed
                packed = struct.pack(order + size, place)
            directory += struct.pack(order + entry, code, kind, len(values)) + packed.ljust(inline, b"\0")
        places.append(len(data))
        links.append(len(data) + len(directory))
        data += directory + bytes(inline)
    ends = [*places, 0 if loop_to is None else places[loop_to]]
    for link, place in zip(links, ends, strict=True):
        struct.pack_into(order + size, data, link, place)
    data[: 8 if big else 4] = struct.pack(order + "2sHHH" if big else order + "2sH", *header(order, big))
    return bytes(data)


def header(order: str, big: bool) -> list[Any]:
    """The fields in front of the offset of the first directory."""
    return [b"II" if order == "<" else b"MM", 43, 8, 0] if big else [b"II" if order == "<" else b"MM", 42]


def text(words: str) -> dict[int, tuple[int, bytes]]:
    """The tag that describes an image."""
    return {270: (2, words.encode() + b"\0")}


def ome(planes: str = "", **sizes: int) -> dict[int, tuple[int, bytes]]:
    """OME-XML of the picture, with some sizes replaced."""
    sizes = {"X": 64, "Y": 64, "C": 3, "Z": 1, "T": 1, **sizes}
    declared = " ".join(f'Size{axis}="{size}"' for axis, size in sizes.items())
    return text(
        f'<OME><Image><Pixels DimensionOrder="XYCZT" Type="uint8" {declared}>'
        f'<Channel SamplesPerPixel="3"/>{planes or "<TiffData/>"}</Pixels></Image></OME>'
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_what_is_built_here_is_tiff(order: str, big: bool, read: Callable[..., Acquisition]) -> None:
    """Unspoilt, the file is read as it was built: what follows is refused for its own cause."""
    data = build(PICTURE, order=order, big=big)

    assert np.array_equal(read(data).planes[0], PIXELS.transpose(2, 0, 1))
    assert np.array_equal(tifffile.imread(io.BytesIO(data)), PIXELS)


def endless() -> bytes:
    """A directory without tags whose next one is itself: 900 bytes that hang tifffile for ever."""
    data = bytearray(build(GREY, pixels=bytes(700)))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, first + 2 + 12 * len(GREY), len(data))
    return bytes(data) + struct.pack("<HI", 0, len(data)) + bytes(50)


DIRECTORIES: dict[str, tuple[bytes, type[AcquisitionError], str]] = {
    "itself without tags": (endless(), IncompleteFileError, "is empty|reach beyond"),
    "itself": (build(PICTURE, loop_to=0), UnsafeFileError, "form a loop"),
    "in a circle": (build(PICTURE, GREY, GREY, loop_to=1), UnsafeFileError, "form a loop"),
    "parent of itself": (
        build({**PICTURE, 330: (4, [16 + PIXELS.nbytes + 6])}),
        UnsafeFileError,
        "form a loop",
    ),
    "too many": (build(*[{256: (4, [64])}] * 20_001), ImageTooLargeError, "20,000 pages"),
    "of 65,535 tags": (build(PICTURE)[:-200] + b"\xff\xff" * 100, UnsafeFileError, "tags"),
    "beyond the end": (b"II*\0\xf0\xff\xff\xff" + bytes(99), IncompleteFileError, "directory should be at"),
    "at byte 0": (b"II*\0" + bytes(4) + b"x" * 99, IncompleteFileError, "directory should be at"),
    "at byte 4": (b"II*\0\x04\0\0\0" + b"x" * 99, IncompleteFileError, "directory should be at"),
    "at 2**63": (
        b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + b"x" * 99,
        IncompleteFileError,
        "should be at",
    ),
    "with a tag twice": (
        build({**PICTURE, 280: (3, [1])}).replace(
            struct.pack("<HHI", 280, 3, 1), struct.pack("<HHI", 279, 3, 1)
        ),
        UnsafeFileError,
        "tag 279 occurs twice",
    ),
    "with a tag of no type": (
        build({**PICTURE, 305: (7, b"abc")}).replace(struct.pack("<HH", 305, 7), struct.pack("<HH", 305, 99)),
        IncompleteFileError,
        "tag 305",
    ),
    "with a tag beyond the end": (
        build(PICTURE).replace(struct.pack("<HHI", 258, 3, 3), struct.pack("<HHI", 258, 3, 2**31)),
        IncompleteFileError,
        "tag 258 needs",
    ),
    "with a width that is text": (build({**PICTURE, 256: (2, b"64")}), IncompleteFileError, "tag 256"),
    "with too many numbers": (
        build({**PICTURE, 320: (3, [0] * 2**21), 301: (3, [0] * 2**21)}),
        UnsafeFileError,
        "4,194,304 numbers",
    ),
}

LAYOUTS: dict[str, tuple[Tags, type[AcquisitionError], str]] = {
    "2**31 x 2**31": ({256: (4, [2**31]), 257: (4, [2**31])}, ImageTooLargeError, r"\(limit 'pixels'\)"),
    "200,000 x 200,000": ({256: (4, [200_000]), 257: (4, [200_000])}, ImageTooLargeError, "120,000,000,000"),
    "2**64 - 1 rows": ({257: (16, [2**64 - 1])}, ImageTooLargeError, r"\(limit 'pixels'\)"),
    "0 columns": ({256: (4, [0])}, ImageTooSmallError, "is 0 x 64 pixels"),
    "0 samples": ({277: (3, [0])}, ImageTooSmallError, "of 0 samples"),
    "no height": ({257: (4, [0])}, ImageTooSmallError, "is 64 x 0 pixels"),
    "tiles of 2**20": ({322: (4, [2**20]), 323: (4, [2**20])}, ImageTooLargeError, r"\(limit 'pixels'\)"),
    "tiles of 0": ({322: (4, [0]), 323: (4, [16])}, IncompleteFileError, "of no size"),
    "strips of 0 rows": ({278: (4, [0])}, IncompleteFileError, "of no size"),
    "a strip too few": ({278: (4, [32])}, IncompleteFileError, "holds 1 strips .* where 2"),
    "a strip too many": (
        {273: (4, [16] * 2), 279: (4, [6144] * 2)},
        IncompleteFileError,
        "holds 2 .* where 1",
    ),
    "places without sizes": ({273: (4, [16] * 2)}, IncompleteFileError, "2 places but 1 sizes"),
    "a strip at byte 0": ({273: (4, [0])}, IncompleteFileError, "never written"),
    "a strip of 0 bytes": ({279: (4, [0])}, IncompleteFileError, "never written"),
    "a strip a byte short": ({279: (4, [PIXELS.nbytes - 1])}, IncompleteFileError, "never written"),
    "a strip beyond the end": ({273: (4, [2**31])}, IncompleteFileError, "reach beyond its end"),
    "a strip around 2**64": ({273: (16, [2**64 - 8])}, IncompleteFileError, "reach beyond its end"),
    "77 bits": ({258: (3, [77] * 3)}, PixelTypeError, "77-bit unsigned integer"),
    "1 bit": ({258: (3, [1])}, PixelTypeError, "1-bit unsigned integer"),
    "unlike bits": ({258: (3, [8, 16, 8])}, PixelTypeError, "16-bit"),
    "signed": ({258: (3, [32] * 3), 339: (3, [2] * 3)}, PixelTypeError, "32-bit signed integer"),
    "half floats": ({258: (3, [16] * 3), 339: (3, [3] * 3)}, PixelTypeError, "16-bit floating point"),
    "doubles": ({258: (3, [64] * 3), 339: (3, [3] * 3)}, PixelTypeError, "64-bit floating point"),
    "complex": ({258: (3, [64] * 3), 339: (3, [6] * 3)}, PixelTypeError, "64-bit unknown"),
    "no bits": ({258: (3, [])}, IncompleteFileError, "tag 258"),
    "JPEG": ({259: (3, [7])}, NotAnImageError, "method 7, which is lossy"),
    "unknown codec": ({259: (3, [65001])}, NotAnImageError, "method 65001"),
    "unknown predictor": ({259: (3, [5]), 317: (3, [34892])}, NotAnImageError, "predictor 34892"),
    "float predictor of integers": ({259: (3, [5]), 317: (3, [3])}, NotAnImageError, "predictor 3"),
    "predictor of nothing": ({317: (3, [2])}, NotAnImageError, "predictor 2"),
    "inverted": ({262: (3, [0])}, PixelTypeError, "interpretation is 0"),
    "CMYK": ({262: (3, [5])}, PixelTypeError, "interpretation is 5"),
    "bits from the right": ({266: (3, [2])}, PixelTypeError, "laid out"),
    "three-dimensional page": ({32997: (4, [2])}, PixelTypeError, "laid out"),
    "third planar layout": ({284: (3, [3])}, PixelTypeError, "laid out"),
    "Zeiss LSM": ({34412: (7, bytes(99))}, AxesError, "is a Zeiss LSM file"),
    "MetaMorph": ({33628: (4, [1] * 99), 33629: (4, [2**31] * 99)}, AxesError, "is a MetaMorph file"),
    "thumbnail first": ({254: (4, [1])}, AxesError, "full-resolution"),
}

SAYINGS: dict[str, tuple[Tags, type[AcquisitionError], str]] = {
    "10**9 planes by OME": (ome(Z=10**9 - 1), IncompleteFileError, "999,999,999 planes"),
    "10**15 planes by OME": (ome(Z=10**9 - 1, T=10**6), IncompleteFileError, "planes"),
    "10**10 planes by OME": (ome(Z=10**10), IncompleteFileError, "makes no sense"),
    "100,000 planes by OME": (ome(Z=100_000), IncompleteFileError, "declares 100,000 planes"),
    "10**9 columns by OME": (ome(X=10**9 - 1), IncompleteFileError, "declares 999999999 x 64"),
    "a plane count by OME": (
        ome('<TiffData IFD="0" PlaneCount="900000000"/>'),
        IncompleteFileError,
        "lists page",
    ),
    "another file by OME": (
        ome('<TiffData><UUID FileName="secret.tif">urn:uuid:2</UUID></TiffData>', Z=2),
        UnsafeFileError,
        "other files",
    ),
    "a path by OME": (
        ome('<TiffData><UUID FileName="/etc/passwd">urn:uuid:2</UUID></TiffData>'),
        UnsafeFileError,
        "other files",
    ),
    "billion laughs": (
        text('<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><OME>&b;</OME>'),
        UnsafeFileError,
        "entities",
    ),
    "an external entity": (
        text('<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><OME>&x;</OME>'),
        UnsafeFileError,
        "entities",
    ),
    "a deep tree": (text("<OME>" + "<a>" * 200_000 + "</OME>"), IncompleteFileError, "not well formed"),
    "a deep whole tree": (
        text("<OME>" + "<a>" * 100_000 + "</a>" * 100_000 + "</OME>"),
        AxesError,
        "holds 0 images",
    ),
    "16 MiB of XML": (text("<OME>" + " " * 2**24 + "</OME>"), UnsafeFileError, "longer than 16,777,216"),
    "no XML": (text("<<<OME>"), IncompleteFileError, "not well formed"),
    "10**9 planes by ImageJ": (
        text("ImageJ=1.53\nimages=900000000\nslices=900000000\n"),
        ImageTooLargeError,
        r"\(limit 'pixels'\)",
    ),
    "20 planes by ImageJ": (
        text("ImageJ=1.53\nimages=20\nslices=20\n"),
        IncompleteFileError,
        "bytes too early",
    ),
    "-1 planes by ImageJ": (text("ImageJ=1.53\nslices=-1\n"), IncompleteFileError, "makes no sense"),
    "1.5 planes by ImageJ": (text("ImageJ=1.53\nslices=1.5\n"), IncompleteFileError, "makes no sense"),
    "contradiction by ImageJ": (
        text("ImageJ=1.53\nimages=7\nslices=3\n"),
        AxesError,
        "7 images, but 1 channels x 3",
    ),
    "much by ImageJ": (text("ImageJ=1.53\nslices=" + "9" * 70_000), UnsafeFileError, "longer than 65,536"),
    "10**9 planes by JSON": (
        text('{"shape": [900000000, 64, 64, 3]}'),
        ImageTooLargeError,
        r"\(limit 'pixels'\)",
    ),
    "2 planes by JSON": (text('{"shape": [2, 64, 64, 3]}'), IncompleteFileError, "bytes too early"),
    "half a plane by JSON": (text('{"shape": [32, 64, 3]}'), IncompleteFileError, "do not add up"),
    "no planes by JSON": (text('{"shape": [0, 64, 64, 3]}'), IncompleteFileError, "makes no sense"),
    "many axes by JSON": (
        text(f'{{"shape": {[1] * 900 + [64, 64, 3]}}}'),
        IncompleteFileError,
        "do not add up",
    ),
    "deep JSON": (text('{"shape": ' + "[" * 9000), IncompleteFileError, "cannot be decoded"),
    "no shape in JSON": (text('{"shape": 1}'), IncompleteFileError, "cannot be decoded"),
    "control characters in axes": (
        text('{"shape": [1, 64, 64, 3], "axes": "\\u001b\\nXS"}'),
        AxesError,
        r"axes \\x1b\\nXS of lengths",
    ),
}


@pytest.mark.parametrize("case", DIRECTORIES)
def test_directories(case: str, read: Callable[..., Acquisition]) -> None:
    """Loops, floods and values that lie nowhere are found by walking, without a reader."""
    data, error, words = DIRECTORIES[case]

    with pytest.raises(error, match=rf"^x\.tif: .*({words})") as refused:
        read(data)
    assert type(refused.value) is error


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(case: str, read: Callable[..., Acquisition]) -> None:
    """What a page declares of its pixels is held against the file, the limits and what can be exact."""
    tags, error, words = LAYOUTS[case]
    data = build({**PICTURE, **tags}, big=any(kind == 16 for kind, _ in tags.values()))

    with pytest.raises(error, match=rf"^x\.tif: .*({words})") as refused:
        read(data)
    assert type(refused.value) is error


@pytest.mark.parametrize("case", SAYINGS)
def test_descriptions(case: str, read: Callable[..., Acquisition]) -> None:
    """What a description declares is held against the pages before the reader makes room for it."""
    tags, error, words = SAYINGS[case]

    with pytest.raises(error, match=rf"^x\.tif: .*({words})") as refused:
        read(build({**PICTURE, **tags}))
    assert type(refused.value) is error


def deflated(edge_px: int, stream: bytes) -> bytes:
    """One square picture in one deflate stream."""
    tags: Tags = {
        256: (4, [edge_px]),
        257: (4, [edge_px]),
        259: (3, [8]),
        278: (4, [edge_px]),
        279: (4, [len(stream)]),
    }
    return build({**PICTURE, **tags}, pixels=stream)


def test_bombs_take_no_memory(read: Callable[..., Acquisition]) -> None:
    """Some kilobytes that unpack to a quarter of a gigabyte are refused, declared or not."""
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(2**8)) + packer.flush()

    tracemalloc.start()
    with pytest.raises(ImageTooLargeError, match=r"\(limit 'pixels'\)"):
        read(deflated(2**14, bomb))
    with pytest.raises(ImageTooLargeError, match=r"\(limit 'expansion'\)"):
        read(deflated(2**13, zlib.compress(bytes(2**16), 9)))
    with pytest.raises(IncompleteFileError):
        read(deflated(64, bomb))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2**24


@pytest.mark.parametrize("planes", [1, 2])
def test_other_files_are_not_opened(
    planes: int, read: Callable[..., Acquisition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OME-TIFF that names the file next to it is itself where it is whole, and else refused."""
    secret = tmp_path / "secret.tif"
    other = build({**GREY, **text("secret")}, pixels=bytes(range(1, 65)) * 64)
    secret.write_bytes(other)
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []
    listening = True
    sys.addaudithook(lambda event, of: opened.append(str(of[0])) if listening and event == "open" else None)
    for name in (
        "secret.tif",
        "./secret.tif",
        str(secret),
        secret.as_uri(),
        r"..\secret.tif",
        "C:secret.tif",
    ):
        plane = f'<TiffData IFD="0"><UUID FileName="{name}">urn:uuid:2</UUID></TiffData>'
        data = build({**PICTURE, **ome(plane, Z=planes)})
        if name == "secret.tif" and planes == 1:
            assert np.array_equal(read(data).planes[0], PIXELS.transpose(2, 0, 1))
        else:
            with pytest.raises(UnsafeFileError, match="planes in other files"):
                read(data)
    listening = False

    assert "x.tif" in {Path(path).name for path in opened}
    assert "secret.tif" not in {Path(path).name for path in opened}


def test_the_remedy_for_a_limit_is_enough(read: Callable[..., Acquisition]) -> None:
    """All numbers that the sentence names, for the whole image of many pages: nobody is refused twice."""
    file = io.BytesIO()
    planes = np.random.default_rng(0).integers(0, 4000, (3, 2, 70, 80), np.uint16)
    tifffile.imwrite(file, planes, ome=True, photometric="minisblack", metadata={"axes": "ZCYX"})
    data, names = file.getvalue(), ["nuclei", "collagen"]
    with pytest.raises(ImageTooLargeError) as refused:
        read(data, limits=Limits(pixels=10, decoded_bytes=10), channels=names)

    words = re.findall(r"--limit (\w+)=(\d+)", str(refused.value))
    allowed = {name: int(number) for name, number in words}
    assert allowed == {"pixels": planes.size, "decoded_bytes": planes.nbytes}
    read(data, limits=Limits(**allowed), channels=names)


@pytest.mark.parametrize(("limit", "least"), [("pixels", 12_288), ("decoded_bytes", 12_288), ("pages", 1)])
def test_limits_are_met_exactly(limit: str, least: int, read: Callable[..., Acquisition]) -> None:
    """An image at the limit is read, one above it is refused with the limit's name."""
    read(build(PICTURE), limits=Limits(**{limit: least}))

    with pytest.raises(ImageTooLargeError, match=f"limit '{limit}'"):
        read(build(PICTURE), limits=Limits(**{limit: least - 1}))


def test_limits_count_all_planes(read: Callable[..., Acquisition]) -> None:
    """Pages are added up, and so are the planes behind one page."""
    stack = np.random.default_rng(0).integers(1, 255, (2, 2, 64, 64)).astype("uint8")
    for imagej in (True, False):
        file = io.BytesIO()
        tifffile.imwrite(file, stack, metadata={"axes": "ZCYX"}, imagej=imagej, ome=not imagej)
        read(file.getvalue(), limits=Limits(pixels=16_384))

        with pytest.raises(ImageTooLargeError, match="declares 16,384 pixels, but at most 16,383"):
            read(file.getvalue(), limits=Limits(pixels=16_383))


def test_many_tiny_strips_are_refused(read: Callable[..., Acquisition]) -> None:
    """More strips than can be decoded in some seconds are refused, before the first is."""
    rows = 2**17 + 1
    tags: Tags = {257: (4, [rows]), 259: (3, [5]), 278: (4, [1]), 273: (4, [16] * rows), 279: (4, [9] * rows)}

    with pytest.raises(ImageTooLargeError, match="131,072 strips or tiles"):
        read(build({**GREY, **tags}))


def odd() -> bytes:
    """A picture with a GDAL tag that tifffile cannot parse, of which it warns."""
    return build({**PICTURE, 42113: (2, b"none\0")})


@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
def test_warnings_are_refusals_whatever_is_logged(level: int, read: Callable[..., Acquisition]) -> None:
    """A program that silences its logs does not silence the doubt of the reader."""
    logger = logging.getLogger("tifffile")
    before = logger.level
    logger.setLevel(level)
    try:
        with pytest.raises(IncompleteFileError, match="inconsistent"):
            read(odd())
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
def test_the_hosts_logger_is_left_as_it_was(level: int, read: Callable[..., Acquisition]) -> None:
    """After a file that was read and one that was refused, whoever else uses tifffile hears what they did."""
    logger = logging.getLogger("tifffile")
    logger.setLevel(level)
    try:
        read(build(PICTURE))
        assert (logger.level, logger.filters) == (level, [])
        with pytest.raises(IncompleteFileError):
            read(odd())
        assert (logger.level, logger.filters) == (level, [])
    finally:
        logger.setLevel(logging.NOTSET)


def test_the_first_that_is_done_leaves_the_others_their_ears(
    read: Callable[..., Acquisition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is refused as ever though another thread began before it, or has ended since it began."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly(data: bytes) -> io.BytesIO:  # where tifffile is about to begin
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert go_on.wait(60)
        return io.BytesIO(data)

    monkeypatch.setattr(tiff, "BytesIO", slowly)
    logger = logging.getLogger("tifffile")
    logger.setLevel(logging.CRITICAL)
    try:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(read, odd())
            assert begun.wait(60)
            with pytest.raises(IncompleteFileError, match="inconsistent"):
                read(odd())
            go_on.set()
            with pytest.raises(IncompleteFileError, match="inconsistent"):
                slow.result()
        assert (logger.level, logger.filters) == (logging.CRITICAL, [])
    finally:
        go_on.set()
        logger.setLevel(logging.NOTSET)


def test_warnings_of_others_are_theirs(
    read: Callable[..., Acquisition], caplog: pytest.LogCaptureFixture
) -> None:
    """What another thread has tifffile warn of refuses no file here, and reaches its log."""
    stop = threading.Event()
    data = odd()

    def other() -> None:
        # Without the pause the GIL, which tifffile often lets go and takes again at once, is hardly ever
        # had by the reads: 20 of them took 0.2 s to 54 s.
        while not stop.wait(0.0002):
            tifffile.imread(io.BytesIO(data))

    read(build(PICTURE))  # what is logged from here on has been let pass
    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(100):
            read(build(PICTURE))
    finally:
        stop.set()
        thread.join()
    assert any("GDAL_NODATA" in record.getMessage() for record in caplog.records)


def test_warnings_stay_out_of_the_log(
    read: Callable[..., Acquisition], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """What tifffile warns of is kept as the cause of the refusal, and goes nowhere else."""
    data = odd()

    with pytest.raises(IncompleteFileError, match="inconsistent") as refused:
        read(data)
    assert "GDAL_NODATA" in str(refused.value.__cause__)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
