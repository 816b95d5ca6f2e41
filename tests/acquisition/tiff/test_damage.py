"""A damaged file is refused, or gives exactly the right pixels: never wrong ones.

The corpora: every kind of file, cut at many places (what a copy in progress looks like where
the length grows), and zeroed from many places on (what it looks like where the length is
reserved first), either to the end of the file or to the end of the pixels.
"""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire, acquire_opened
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import AcquisitionError, IncompleteFileError, LastPlaneBlackError

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


def stack_that_ends_black(value: int = 0, **options: Any) -> bytes:
    """Two planes of two channels, of which the last holds one value."""
    stack = np.random.default_rng(1).integers(1, 4000, (2, 2, 128, 128)).astype("uint16")
    stack[1, 1] = value
    file = BytesIO()
    tifffile.imwrite(file, stack, **(options or {"imagej": True}), metadata={"axes": "ZCYX"})
    return file.getvalue()


def aged(path: Path, data: bytes, age_s: float) -> Path:
    """A file that was last changed so long ago."""
    path.write_bytes(data)
    os.utime(path, times=(time.time() - age_s,) * 2)
    return path


@pytest.mark.parametrize(
    ("age_s", "finished"), [(11, True), (10**6, True), (0, False), (8, False), (-60, False)]
)
def test_a_black_last_plane_of_a_finished_file_is_told(age_s: float, finished: bool, tmp_path: Path) -> None:
    """A file that is still being written was changed a moment ago; one from the future tells nothing."""
    path = aged(tmp_path / "x.tif", stack_that_ends_black(), age_s)

    if finished:
        (acquisition,) = acquire(path)
        assert acquisition.last_plane_black
        assert not acquisition.planes[1, 1].any()
        assert acquisition.planes[1, 0].all()
    else:
        with pytest.raises(IncompleteFileError, match="again 10 s after its last change") as refused:
            list(acquire(path))
        assert type(refused.value) is IncompleteFileError


@pytest.mark.parametrize(
    "options",
    [{"ome": True}, {"imagej": True}, {"tile": (32, 32)}, {"compression": "zlib"}, {"rowsperstrip": 7}],
)
def test_however_the_black_plane_is_stored(options: dict[str, Any], tmp_path: Path) -> None:
    """What counts are its pixels; a stack that ends in another value does not end black."""
    for data, black in (
        (stack_that_ends_black(**options), True),
        (stack_that_ends_black(1, **options), False),
    ):
        (acquisition,) = acquire(aged(tmp_path / "x.tif", data, 60))
        assert acquisition.last_plane_black is black


def test_who_waits_for_another_look_is_not_told_yet(tmp_path: Path) -> None:
    """It has its own kind of error, so that the next look knows what this one found."""
    path = aged(tmp_path / "x.tif", stack_that_ends_black(), 60)
    asked: list[AcquisitionError] = []

    def is_final(error: AcquisitionError) -> bool:
        asked.append(error)
        return len(asked) > 1

    def look() -> list[Any]:
        return list(acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.tif", is_final=is_final))

    with pytest.raises(
        LastPlaneBlackError, match=r"^x\.tif: its last plane holds nothing but zeros.*next look"
    ):
        look()
    assert look()[0].last_plane_black


@pytest.mark.parametrize("filled", ["nothing", "half", "all"])
def test_a_hole_is_no_black_plane(filled: str, tmp_path: Path) -> None:
    """Space that was reserved and never written stays refused, however old it is."""
    data = stack_that_ends_black()
    begin = (data.index(bytes(4096)) + 4095) // 4096 * 4096
    path = tmp_path / "x.tif"
    with path.open("wb") as file:
        file.write(data[:begin])
        file.truncate(len(data))
        if filled != "nothing":
            file.write(bytes(4096 if filled == "half" else len(data) - begin))
    with path.open("r+b") as file:  # what stands behind the planes
        file.seek(begin + 24 * 1024)
        file.write(data[begin + 24 * 1024 :])
        if os.lseek(file.fileno(), 0, os.SEEK_HOLE) == len(data) and filled != "all":
            pytest.skip("this file system does not tell holes")
    assert path.read_bytes() == data
    os.utime(path, times=(0, 0))

    if filled == "all":
        assert next(acquire(path)).last_plane_black
    else:
        with pytest.raises(IncompleteFileError, match="last plane holds nothing but zeros"):
            list(acquire(path))


def test_where_holes_are_not_told_the_time_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems answer with an error, or that there are none."""
    path = aged(tmp_path / "x.tif", stack_that_ends_black(), 60)

    def refuse(*_: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "lseek", refuse)
    assert next(acquire(path)).last_plane_black
    aged(path, stack_that_ends_black(), 0)
    with pytest.raises(IncompleteFileError):
        list(acquire(path))


def test_a_plane_that_ends_in_zeros_is_refused_however_old(tmp_path: Path) -> None:
    """Somebody was in the midst of it."""
    planes = black_half("uint16") + 100
    planes[1, 64:] = 0
    file = BytesIO()
    tifffile.imwrite(file, planes, metadata={"axes": "CYX"})

    with pytest.raises(IncompleteFileError, match="its last 8,192 pixels are zeros"):
        list(acquire(aged(tmp_path / "x.tif", file.getvalue(), 10**6)))


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
