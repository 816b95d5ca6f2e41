"""A damaged file is refused, or gives exactly the right pixels: never wrong ones.

The corpora: every kind of file, cut at many places (what a copy in progress looks like where
the length grows), and zeroed from many places on (what it looks like where the length is
reserved first), either to the end of the file or to the end of the pixels.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.errors import AcquisitionError, IncompleteFileError

CUTS = 40


def places(data: bytes, first: int = 1) -> list[int]:
    """Where a file is damaged: evenly from `first` to its end."""
    return np.linspace(first, len(data), CUTS, endpoint=False).astype(int).tolist()


def pixel_span(data: bytes, planes: NDArray[Any]) -> tuple[int, int]:
    """First and last byte of the pixel data, as tifffile sees them in a whole file."""
    with tifffile.TiffFile(BytesIO(data)) as tif:
        pages = [page for page in tif.pages if page.subfiletype == 0]
        spans = [
            (o, o + n) for page in pages for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        start, end = min(s for s, _ in spans), max(e for _, e in spans)
        return start, max(end, start + planes.nbytes) if len(pages) == 1 and pages[
            0
        ].compression == 1 else end


def outcome(read: Callable[..., Acquisition], data: bytes, planes: NDArray[Any]) -> str:
    """What becomes of a damaged file: 'refused', 'right' or 'wrong'."""
    try:
        found = read(data).planes
    except AcquisitionError:
        return "refused"
    return "right" if found.dtype == planes.dtype and np.array_equal(found, planes) else "wrong"


def test_cut_files_are_never_read_wrong(kind: Any, read: Callable[..., Acquisition]) -> None:
    """Of all cuts of a file, not one gives wrong pixels, however little is missing."""
    cuts = places(kind.data) + [len(kind.data) - n for n in (1, 2, 3, 5, 9, 17, 65)] + [9, 200]
    outcomes = Counter(outcome(read, kind.data[:cut], kind.planes) for cut in cuts)

    assert outcomes["wrong"] == 0
    assert outcomes["refused"] > outcomes["right"]


def zeroed(kinds: dict[str, Any]) -> Iterator[tuple[bytes, NDArray[Any]]]:
    """Every kind with its end reserved, but not yet written: to the file's end, to the pixels' end."""
    for data, planes in kinds.values():
        for place in places(data):
            yield data[:place] + bytes(len(data) - place), planes
        start, end = pixel_span(data, planes)
        for place in places(data[:end], start):
            yield data[:place] + bytes(end - place) + data[end:], planes


def test_reserved_space_is_not_read_as_pixels(
    kinds: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """At least 99 % of the files with an unwritten end are refused or right.

    What is missed are the last few bytes of the pixels: so few zeros may be recorded, or be
    the end of a compressed stream.
    """
    outcomes = Counter(outcome(read, data, planes) for data, planes in zeroed(kinds))

    assert outcomes["wrong"] <= 0.01 * outcomes.total()


def black_half(dtype: str = "uint8") -> NDArray[Any]:
    """Two planes of a detector whose offset clips: the lower half of the last one is all zero."""
    planes = np.random.default_rng(1).poisson(0.5, (2, 128, 128)).astype(dtype)
    planes[1, 64:] = 0
    return planes


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"compression": "zlib"}])
def test_black_is_not_mistaken_for_unwritten(
    options: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """Where black is common, a black half at the end is an image: no culture is refused for it."""
    file = BytesIO()
    planes = black_half()
    tifffile.imwrite(file, planes, metadata={"axes": "CYX"}, **options)

    assert np.array_equal(read(file.getvalue()).planes[0], planes)


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"compression": "zlib"}])
@pytest.mark.parametrize("tail_px", [15, 16, 100, 128 * 64])
def test_zeros_in_an_image_without_black(
    tail_px: int, options: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """Where zeros are rare, 16 in a row at the very end were never written."""
    planes = black_half("uint16") + 100
    tiles = (
        planes[1].reshape(4, 32, 4, 32).swapaxes(1, 2).reshape(-1)
        if "tile" in options
        else planes[1].reshape(-1)
    )
    tiles[-tail_px:] = 0
    if "tile" in options:
        planes[1] = tiles.reshape(4, 4, 32, 32).swapaxes(1, 2).reshape(128, 128)
    file = BytesIO()
    tifffile.imwrite(file, planes, metadata={"axes": "CYX"}, **options)

    if tail_px < 16:
        assert np.array_equal(read(file.getvalue()).planes[0], planes)
    else:
        with pytest.raises(IncompleteFileError, match=f"its last {tail_px:,} pixels are zeros"):
            read(file.getvalue())


@pytest.mark.parametrize("dialect", [{"ome": True}, {"imagej": True}])
def test_plane_of_nothing_but_zeros(dialect: dict[str, Any], read: Callable[..., Acquisition]) -> None:
    """A last plane without a single count is no image, black as the others may be."""
    planes = black_half()
    planes[1] = 0
    file = BytesIO()
    tifffile.imwrite(file, planes, metadata={"axes": "CYX"}, **dialect)

    with pytest.raises(IncompleteFileError, match="last plane holds nothing but zeros"):
        read(file.getvalue())
    file = BytesIO()
    tifffile.imwrite(file, planes[::-1], metadata={"axes": "CYX"}, **dialect)
    assert np.array_equal(read(file.getvalue()).planes[0], planes[::-1])


def test_last_plane_is_the_one_stored_last(read: Callable[..., Acquisition]) -> None:
    """OME-XML may list the planes in another order than they are stored in; only the file's end counts."""
    planes = black_half()
    planes[1] = 0
    tables = "".join(f'<TiffData IFD="{1 - c}" FirstC="{c}" PlaneCount="1"/>' for c in (0, 1))
    xml = (
        '<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="128" SizeY="128" SizeC="2" SizeZ="1" SizeT="1" '
        f'Type="uint8">{tables}</Pixels></Image></OME>'
    )
    file = BytesIO()
    tifffile.imwrite(file, planes[::-1], photometric="minisblack", description=xml, metadata=None)

    assert np.array_equal(read(file.getvalue()).planes[0], planes)
