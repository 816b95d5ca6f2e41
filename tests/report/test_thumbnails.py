"""Overlays that are what their record says, and no picture: one hand may have written both."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from colvi_edge.report.entries import Overlay
from colvi_edge.report.thumbnails import Thumbnail, Thumbnails
from colvi_edge.system.atomic import open_folder

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Made = Callable[[bytes], Thumbnail]
Chunk = tuple[bytes, bytes]


def picture() -> list[Chunk]:
    """Return the chunks of a small picture."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(file, "PNG")
    data, chunks = file.getvalue()[8:], []
    while data:
        (length,) = struct.unpack(">I", data[:4])
        chunks.append((data[4:8], data[8 : 8 + length]))
        data = data[12 + length :]
    return chunks


def joined(chunks: list[Chunk]) -> bytes:
    """Return a file of chunks, each with its right length and checksum."""
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


CHUNKS = picture()
KINDS = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"tEXt", b"zTXt"),
    *(b"iTXt", b"pHYs", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"oFFs", b"cICP", b"abcd"),
)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return a function that makes the thumbnail of a file, whose hash is listed."""

    def make(data: bytes) -> Thumbnail:
        (tmp_path / "x.tif.colvi.png").write_bytes(data)
        with open_folder(tmp_path) as folder_fd:
            size = (60, 30)
            return Thumbnails().of(
                folder_fd, Overlay("x.tif.colvi.png", hashlib.sha256(data).hexdigest(), size)
            )

    return make


def fits(thumbnail: Thumbnail) -> bool:
    """Return whether there is either a picture or a sentence why not."""
    return bool(thumbnail.webp) != bool(thumbnail.why)


def test_a_picture_is_made(made: Made) -> None:
    """Of the chunks from which all below is made."""
    assert made(joined(CHUNKS)).size_px == (60, 30)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, len(CHUNKS)),
    st.sampled_from(KINDS),
    st.binary(max_size=40)
    | st.binary(max_size=40).map(zlib.compress)
    | st.sampled_from(CHUNKS).map(lambda c: c[1]),
    st.booleans(),
)
def test_whatever_a_chunk_holds(made: Made, place: int, kind: bytes, data: bytes, instead: bool) -> None:
    """Put in, or in the place of another, with its right checksum."""
    chunks = [*CHUNKS[:place], (kind, data), *CHUNKS[place + instead :]]
    assert fits(made(joined(chunks)))


@pytest.mark.parametrize("lengths", [(2**31 - 1, 2**31 - 1), (0, 1), (2**16, 2**16), (2**32 - 1, 1)])
@pytest.mark.parametrize(
    "rest", [b"\x08\x02\0\0\0", b"\x10\x06\0\0\1", b"\x01\x03\0\0\0", b"\xff\xff\xff\xff\xff"]
)
def test_whatever_a_head_declares(made: Made, lengths: tuple[int, int], rest: bytes) -> None:
    """No memory is taken for it."""
    head = struct.pack(">II", *lengths) + rest
    thumbnail = made(joined([(b"IHDR", head), *CHUNKS[1:]]))

    assert thumbnail.webp == b""
    assert thumbnail.why.startswith("The overlay is ")


def test_text_that_unpacks_without_end(made: Made) -> None:
    """A hundred megabytes of zeros in a chunk beside the pixels."""
    bomb = zlib.compress(bytes(10**8), 9)
    for kind, data in (
        (b"zTXt", b"a\0\0" + bomb),
        (b"iTXt", b"a\0\1\0\0\0" + bomb),
        (b"iCCP", b"a\0\0" + bomb),
    ):
        assert fits(made(joined([CHUNKS[0], (kind, data), *CHUNKS[1:]])))
