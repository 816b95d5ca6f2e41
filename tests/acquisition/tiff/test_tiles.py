"""Tiles whose places stand under the tags of strips are read where they can be nothing but tiles."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.errors import AcquisitionError, IncompleteFileError, PixelTypeError

ROWS_PER_STRIP, TILE_WIDTH = 278, 322
AS_STRIPS = {324: 273, 325: 279}


def camera(*shape: int, dtype: str = "uint16") -> NDArray[Any]:
    """Noise that is nowhere zero."""
    return np.random.default_rng(9).integers(1, 250, shape).astype(dtype)


def written(pixels: NDArray[Any], **options: Any) -> bytes:
    """A tiled TIFF by tifffile, without BigTIFF."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "minisblack", "tile": (32, 32), **options})
    return file.getvalue()


def with_tags(
    data: bytes, codes: dict[int, int], more: dict[int, int] | None = None, order: str = "<"
) -> bytes:
    """Write every directory anew at the end of the file: with other codes, and tags of one number."""
    file = bytearray(data)
    link, at = 4, struct.unpack_from(order + "I", data, 4)[0]
    while at:
        (count,) = struct.unpack_from(order + "H", data, at)
        entries = [bytearray(data[at + 2 + 12 * i : at + 14 + 12 * i]) for i in range(count)]
        for entry in entries:
            (code,) = struct.unpack_from(order + "H", entry)
            struct.pack_into(order + "H", entry, 0, codes.get(code, code))
        entries += [bytearray(struct.pack(order + "HHII", code, 4, 1, n)) for code, n in (more or {}).items()]
        entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
        struct.pack_into(order + "I", file, link, len(file))
        file += struct.pack(order + "H", len(entries)) + b"".join(entries)
        link = len(file)
        file += bytes(4)
        (at,) = struct.unpack_from(order + "I", data, at + 2 + 12 * count)
    return bytes(file)


CYX: dict[str, Any] = {"metadata": {"axes": "CYX"}}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": CYX,
    "ImageJ": {  # tifffile itself writes no tiles for ImageJ
        "metadata": None,
        "description": "ImageJ=1.53t\nimages=2\nchannels=2\n",
        "contiguous": False,
    },
    "OME": {"ome": True, **CYX},
    "deflate": {"compression": "zlib", **CYX},
    "LZW predictor": {"compression": "lzw", "predictor": True, **CYX},
    "wide tiles": {"tile": (16, 64), **CYX},
    "whole picture": {"tile": (96, 80), **CYX},
    "one tile that is larger": {"tile": (112, 96), **CYX},
    "one tile deflate": {"tile": (112, 96), "compression": "zlib", **CYX},
    "as wide as the picture": {"tile": (32, 80), **CYX},
    "big-endian": {"byteorder": ">", **CYX},
}


@pytest.mark.parametrize(
    ("option", "rows_per_strip"),
    # One tile and one strip at once may be either, unless the tile is the whole picture.
    [
        (option, rows)
        for option in OPTIONS
        for rows in (None, 0, 96, 2**32 - 1)
        if rows is None or " tile " not in option
    ],
)
def test_tiles_under_the_tags_of_strips_are_read(
    option: str, rows_per_strip: int | None, read: Callable[..., Acquisition]
) -> None:
    """As many places as tiles, whatever the pixels are stored as."""
    pixels = camera(2, 96, 80)
    data = written(pixels, **OPTIONS[option])
    order = ">" if option == "big-endian" else "<"
    more = {} if rows_per_strip is None else {ROWS_PER_STRIP: rows_per_strip}

    assert np.array_equal(read(with_tags(data, AS_STRIPS, more, order)).planes[0], pixels)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiled_pictures_under_the_tags_of_strips_are_read(
    planar: str, read: Callable[..., Acquisition]
) -> None:
    """Three samples in each tile, or tiles for each sample."""
    picture = camera(3, 96, 80, dtype="uint8")
    stored = picture if planar == "separate" else picture.transpose(1, 2, 0)
    data = written(stored, photometric="rgb", planarconfig=planar, metadata=None)

    assert np.array_equal(read(with_tags(data, AS_STRIPS)).planes[0], picture)


def test_stacks_of_tiles_under_the_tags_of_strips_are_read(read: Callable[..., Acquisition]) -> None:
    """In each of the directories."""
    stack = camera(3, 2, 96, 80)
    for options in ({"ome": True}, {"compression": "zlib"}):
        data = written(stack, metadata={"axes": "ZCYX"}, **options)

        assert np.array_equal(read(with_tags(data, AS_STRIPS)).planes, stack)


@pytest.mark.parametrize(
    ("shape", "tile", "rows_per_strip"),
    [((128, 128), (64, 64), 32), ((96, 80), (32, 32), 11), ((96, 80), (112, 96), 96)],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_what_may_be_strips_or_tiles_is_refused(
    shape: tuple[int, int],
    tile: tuple[int, int],
    rows_per_strip: int,
    compression: str | None,
    read: Callable[..., Acquisition],
) -> None:
    """Both are declared, and there are as many of either: the pixels would lie in another order."""
    data = written(camera(2, *shape), tile=tile, compression=compression, **CYX)

    with pytest.raises(PixelTypeError, match=r"declares both tiles and strips, .*; save it as"):
        read(with_tags(data, AS_STRIPS, {ROWS_PER_STRIP: rows_per_strip}))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_pictures_in_strips_or_tiles_are_refused(planar: str, read: Callable[..., Acquisition]) -> None:
    """Four of each, or four for each sample."""
    picture = camera(3, 128, 128, dtype="uint8")
    stored = picture if planar == "separate" else picture.transpose(1, 2, 0)
    data = written(stored, tile=(64, 64), photometric="rgb", planarconfig=planar, metadata=None)

    with pytest.raises(PixelTypeError, match="declares both tiles and strips"):
        read(with_tags(data, AS_STRIPS, {ROWS_PER_STRIP: 32}))


@pytest.mark.parametrize(
    ("codes", "error", "words"),
    [
        ({324: 273}, IncompleteFileError, "holds 0 strips or tiles of pixel data where 9 are declared"),
        ({325: 279}, IncompleteFileError, "holds 0 strips or tiles"),
        ({324: 273, 325: 60_000}, IncompleteFileError, "holds 0 strips or tiles"),
        ({**AS_STRIPS, TILE_WIDTH: 60_001}, IncompleteFileError, "holds 9 strips or tiles .* where 1 are"),
    ],
)
def test_tiles_that_lack_a_tag_are_refused(
    codes: dict[int, int], error: type[AcquisitionError], words: str, read: Callable[..., Acquisition]
) -> None:
    """Places without sizes, sizes without places, and tiles that are not declared as such."""
    with pytest.raises(error, match=words):
        read(with_tags(written(camera(2, 96, 80), **CYX), codes))


def test_strips_that_are_declared_as_tiles_are_refused(read: Callable[..., Acquisition]) -> None:
    """Six strips are not nine tiles."""
    data = written(camera(2, 96, 80), tile=None, rowsperstrip=16, **CYX)

    with pytest.raises(
        IncompleteFileError, match="holds 6 strips or tiles of pixel data where 9 are declared"
    ):
        read(with_tags(data, {}, {TILE_WIDTH: 32, 323: 32}))


def test_tiles_under_the_tags_of_strips_lie_in_the_file(read: Callable[..., Acquisition]) -> None:
    """They are held against its end and their length as all others."""
    data = with_tags(written(camera(2, 96, 80), **CYX), AS_STRIPS)
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        places, sizes = (tif.pages.first.tags[code] for code in (273, 279))

    for tag, value, words in (
        (places, 2**31, "reach beyond its end"),
        (places, 0, "never written"),
        (sizes, 0, "never written"),
        (sizes, 2047, "never written"),
    ):
        damaged = bytearray(data)
        struct.pack_into({3: "<H", 4: "<I"}[tag.dtype], damaged, tag.valueoffset, value)
        with pytest.raises(IncompleteFileError, match=words):
            read(bytes(damaged))
