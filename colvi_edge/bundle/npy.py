"""Arrays of a bundle: NumPy's .npy, in the one form in which the export writes it.

`numpy.load` evaluates the header, and takes memory for what it says before it looks for it.
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>\|u1|<u2|<f2|<f4)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,9},|[0-9]{1,9}(?:, [0-9]{1,9}){1,7})\), \} *\n"
)


class ArrayError(ValueError):
    """The bytes are no array of the expected kind; says what was found."""


def read_npy(data: bytes, dtypes: tuple[str, ...], shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return the array of a .npy file; it cannot be written to.

    Args:
        data: the file.
        dtypes: that it may have, of uint8, uint16, float16 and float32.
        shape: that it must have; None is any length above 0.

    Raises:
        ArrayError: it has another dtype, shape or length, or holds what is no number.
    """
    length = int.from_bytes(data[8:10], "little")
    header = _HEADER.fullmatch(data, 10, 10 + length)
    if not data.startswith(_MAGIC) or header is None:
        raise ArrayError("is no .npy")
    dtype = np.dtype(header["dtype"].decode())
    sides = tuple(int(side) for side in header["shape"].split(b",") if side)
    found = f"holds {dtype} ({', '.join(map(str, sides))})"
    fits = len(sides) == len(shape) and all(
        side >= 1 and wanted in (None, side) for side, wanted in zip(sides, shape, strict=True)
    )
    if dtype.name not in dtypes or not fits:
        wanted = ", ".join("N" if side is None else str(side) for side in shape)
        raise ArrayError(f"{found}, expected {' or '.join(dtypes)} ({wanted})")
    if len(data) - 10 - length != math.prod(sides) * dtype.itemsize:
        raise ArrayError(f"{found}, and has {len(data) - 10 - length} bytes of numbers")
    array = np.frombuffer(data, dtype, offset=10 + length).reshape(sides)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ArrayError(f"{found}, some of them no numbers")
    return array
