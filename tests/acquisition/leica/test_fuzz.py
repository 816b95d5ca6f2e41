"""Containers cut anywhere, and with wrong bytes anywhere but in the pixels: refused, or read exactly."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.acquisition import Acquisition, acquire_opened
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import AcquisitionError
from tests.tools.leica import Detector, Series, assembled, container

RANDOM = np.random.default_rng(11)
STACK = RANDOM.integers(1, 250, (2, 2, 64, 66)).astype("u2")
PLANE = RANDOM.integers(1, 250, (2, 65, 64)).astype("u1")
SEQUENCE = (Detector("Leica/DAPI", (410, 480)), Detector("Leica/FITC", (500, 550)))
WRITTEN = container(
    Series(STACK, bits=12, name="stack", sequences=(SEQUENCE,)),
    Series(PLANE, "CYX", "plane", dyes=("Leica/DAPI", "Leica/FITC")),
)
PLANES = (STACK, PLANE[np.newaxis])
XML = WRITTEN.data[13 : WRITTEN.data.index(b"\x70\0\0\0", 13)].decode("utf-16-le")
NUMBERS = list(re.finditer(r'(?<=")[0-9]+(?=")', XML))
OTHERS = [0, 1, 2, 3, 64, 66, 128, 8448, 2**31]
OUTSIDE = [*range(WRITTEN.spans[0][0]), *range(sum(WRITTEN.spans[0]), WRITTEN.spans[1][0])]


def read_whole(data: bytes, path: Path) -> int:
    """Return how many images were read; each of them exactly."""
    path.write_bytes(data)
    read = 0
    try:
        for image in acquire_opened(lambda: os.open(path, OPEN_FLAGS), path.name):
            if isinstance(image, Acquisition):
                read += 1
                found = image.planes
                assert any(found.dtype == one.dtype and np.array_equal(found, one) for one in PLANES)
    except AcquisitionError as error:
        assert str(error).startswith("x.lif")  # noqa: PT017 - it need not be raised
    return read


def test_cuts(tmp_path: Path) -> None:
    """Every kind of cut: within the header, the description, a block's head, the pixels."""
    length = len(WRITTEN.data)
    (first, first_bytes), (second, second_bytes) = WRITTEN.spans
    assert second + second_bytes == length
    cuts = {*range(40), *range(40, first, 97), *range(first - 60, first), *range(length - 40, length)}
    cuts |= {*range(first, length, 4099), *range(first + first_bytes - 3, second + 3)}
    for cut in cuts:
        expected = 0 if cut < first + first_bytes else 1
        assert read_whole(WRITTEN.data[:cut], tmp_path / "x.lif") == expected, cut


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(OUTSIDE), st.integers(1, 255)), min_size=1, max_size=3))
def test_wrong_bytes(wrong: list[tuple[int, int]]) -> None:
    """No crash and no wrong pixels, whatever becomes of a few bytes that say how the pixels lie."""
    data = bytearray(WRITTEN.data)
    for position, difference in wrong:
        data[position] ^= difference
    with TemporaryDirectory() as folder:
        read_whole(bytes(data), Path(folder) / "x.lif")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(OTHERS)), min_size=1, max_size=3))
def test_wrong_numbers(wrong: list[tuple[re.Match[str], int]]) -> None:
    """Nor where whole numbers of the description are replaced by others that could stand there."""
    xml = XML
    for match, number in sorted(wrong, key=lambda one: one[0].start(), reverse=True):
        xml = f"{xml[: match.start()]}{number}{xml[match.end() :]}"
    with TemporaryDirectory() as folder:
        read_whole(assembled(xml, [STACK, PLANE]).data, Path(folder) / "x.lif")
