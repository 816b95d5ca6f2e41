"""A lossless PNG encoder for 8-bit RGB that a microscope does not have to wait for.

A noisy 1024 x 1024 overlay takes Pillow 410 ms and 1.2 MB at its usual compression level, 98 ms at
its fastest. Here it takes 9 ms and 1.4 MB (one core): one filter for the whole picture, Sub, done by
NumPy in 0.3 ms, and ISA-L's deflate, which is written for speed. Filter Up and no filter came
out 2 to 3 % larger in the same time.
"""

import struct
from collections.abc import Mapping

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB8 = (8, 2, 0, 0, 0)  # bit depth, colour type RGB, deflate, adaptive filtering, not interlaced
_SUB = 1
_LEVEL = 1  # of 0..3; 3 is 2 % smaller


def encode(rgb: NDArray[np.uint8], text: Mapping[str, str]) -> bytes:
    """Return a picture as a PNG file; equal input gives equal bytes.

    Args:
        rgb: (H, W, 3) uint8, H and W at least 1.
        text: keyword (1 to 79 characters, such as "Software" or "Description") and what it says;
            what Latin-1 cannot spell comes as a backslash escape.

    Raises:
        ValueError: rgb has another shape or dtype.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    height, width, _ = rgb.shape
    file = [_SIGNATURE, *_chunk(b"IHDR", struct.pack(">II5B", width, height, *_RGB8))]
    for keyword, words in text.items():
        file += _chunk(
            b"tEXt", keyword.encode("latin-1") + b"\0" + words.encode("latin-1", "backslashreplace")
        )
    # In one call, so that the interpreter's lock is asked for once: another thread may be busy in Python.
    file += _chunk(b"IDAT", isal_zlib.compress(_filtered(rgb), _LEVEL))
    file += _chunk(b"IEND", b"")
    return b"".join(file)


def _filtered(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return every row as its filter's number and its differences to the pixel on the left."""
    height, width, _ = rgb.shape
    rows = rgb.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = _SUB
    filtered[:, 1:4] = rows[:, :3]
    np.subtract(rows[:, 3:], rows[:, :-3], out=filtered[:, 4:])  # modulo 256, as PNG wants it
    return filtered


def _chunk(kind: bytes, content: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)
