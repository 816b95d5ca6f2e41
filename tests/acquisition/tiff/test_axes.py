"""Axes come from the file, never from a guess: what is unclear, or no image of the assay, is refused."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile

from colvi_edge.acquisition import Acquisition
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ChannelError,
    ImageTooSmallError,
    PixelTypeError,
    TimeSeriesError,
)


def written(shape: tuple[int, ...], dtype: str = "uint16", **options: Any) -> bytes:
    """The bytes of a TIFF file of noise that tifffile writes."""
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(1, 100, shape).astype(dtype)
    tifffile.imwrite(file, noise, **{"photometric": "minisblack", **options})
    return file.getvalue()


def axes(letters: str, **options: Any) -> dict[str, Any]:
    """Options that make tifffile write these axes down."""
    return {"metadata": {"axes": letters}, **options}


CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], type[AcquisitionError], str]] = {
    "pages of a plain file": ((2, 64, 64), {"metadata": None}, AxesError, "axes IYX of lengths 2 x 64 x 64"),
    "pages without axes": ((2, 64, 64), {}, AxesError, "axes QYX .*ImageJ hyperstack or OME-TIFF"),
    "positions": ((2, 2, 64, 64), axes("RCYX"), AxesError, r"2 positions \(axes RCYX\)"),
    "an axis twice": ((2, 2, 64, 64), axes("CCYX"), AxesError, "axes CCYX"),
    "no X": ((2, 64, 64), axes("CYZ"), AxesError, "axes CYZ"),
    "two samples": ((64, 64, 2), axes("YXS", planarconfig="contig"), AxesError, "axes YXS"),
    "RGB channels": ((2, 64, 64, 3), axes("CYXS", photometric="rgb"), AxesError, "axes CYXS"),
    "time": ((2, 2, 64, 64), axes("TCYX"), TimeSeriesError, r"2 time points \(axes TCYX\)"),
    "time by ImageJ": ((3, 2, 64, 64), axes("TCYX", imagej=True), TimeSeriesError, "3 time points"),
    "time by OME": ((3, 2, 64, 64), axes("TCYX", ome=True), TimeSeriesError, "3 time points"),
    "a row too few": (
        (2, 7, 64),
        axes("CYX"),
        ImageTooSmallError,
        "64 x 7 pixels, smaller than the smallest patch, 8 x 8",
    ),
    "a column too few": ((2, 64, 7), axes("CYX"), ImageTooSmallError, "7 x 64 pixels"),
    "one channel": ((64, 64), {}, ChannelError, "one channel"),
    "one channel of planes": ((5, 64, 64), axes("ZYX"), ChannelError, "one channel"),
    "three channels": ((3, 64, 64), axes("CYX"), ChannelError, "3 channels .*--channels"),
    "three samples, not RGB": ((64, 64, 3), axes("YXS", planarconfig="contig"), ChannelError, "3 channels"),
}


@pytest.mark.parametrize("case", CASES)
def test_unclear_images_are_refused(case: str, read: Callable[..., Acquisition]) -> None:
    """Each has its own class and sentence: what was found, what was expected, how to put it right."""
    shape, options, error, words = CASES[case]

    with pytest.raises(error, match=rf"^x\.tif: .*{words}") as refused:
        read(written(shape, **options))
    assert type(refused.value) is error
    assert "; " in str(refused.value)  # the remedy


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [2, 12])
def test_planes_saved_as_time_points_can_be_put_right(
    options: dict[str, Any], channels: int, frames: int, read: Callable[..., Acquisition]
) -> None:
    """Time alone may be a Z-stack saved so, and Fiji swaps the two; time beside Z is time."""
    shape = (frames, channels, 64, 64)
    with pytest.raises(TimeSeriesError, match=rf"holds {frames} time points .*; expected one; ") as refused:
        read(written(shape, **axes("TCYX", **options)))
    assert "planes of a Z-stack, swap z and t in Fiji with Image > Hyperstacks > Re-order Hyperstack" in str(
        refused.value
    )

    with pytest.raises(TimeSeriesError, match=rf"holds {frames} time points .* own file$") as refused:
        read(written((frames, 3, *shape[1:]), **axes("TZCYX", **options)))
    assert "Fiji" not in str(refused.value)


@pytest.mark.parametrize("frames", [2, 12])
def test_the_remedy_for_time_points_works(frames: int, read: Callable[..., Acquisition]) -> None:
    """Fiji swaps z and t by writing the other word into the description; the pixels stay where they are."""
    data = written((frames, 2, 64, 64), **axes("TCYX", imagej=True))

    planes = read(data.replace(b"\nframes=", b"\nslices=")).planes

    assert np.array_equal(planes, tifffile.imread(io.BytesIO(data)))


@pytest.mark.parametrize("dtype", ["int32", "float16", "float64", "complex64", "bool"])
def test_other_pixel_types_are_refused(dtype: str, read: Callable[..., Acquisition]) -> None:
    """The sentence names the type that was found."""
    with pytest.raises(
        PixelTypeError, match=r"its pixels are \d+-bit .* expected whole numbers of 8 or 16 bits"
    ):
        read(written((2, 64, 64), dtype, **axes("CYX")))


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}])
@pytest.mark.parametrize(
    ("stored", "highest", "held"),
    [
        ("int8", 127, "uint8"),
        ("int16", 32767, "uint16"),
        ("uint32", 65535, "uint16"),
        ("uint32", 65536, "float32"),
        ("uint32", 2**24, "float32"),
    ],
)
def test_counts_of_other_types_are_read_exactly(
    stored: str, highest: int, held: str, options: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """Signed ones without a negative value, and 32-bit ones that a smaller type or float32 holds."""
    pixels = np.random.default_rng(0).integers(0, highest, (2, 64, 80), endpoint=True).astype(stored)
    pixels[1, 3, 5] = highest
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **axes("CYX"), **options)

    planes = read(file.getvalue()).planes

    assert planes.dtype == held
    assert (planes[0].astype(np.int64) == pixels).all()


@pytest.mark.parametrize(
    ("stored", "value", "words"),
    [
        ("int8", -1, r"negative pixels \(down to -1\), .*; undo the subtraction of the background"),
        ("int16", -32768, r"negative pixels \(down to -32768\)"),
        ("uint32", 2**24 + 1, r"pixels up to 16,777,217; .*; convert them to 16 bits"),
        ("uint32", 2**32 - 1, r"pixels up to 4,294,967,295;"),
    ],
)
def test_counts_that_no_type_holds_are_refused(
    stored: str, value: int, words: str, read: Callable[..., Acquisition]
) -> None:
    """One such pixel is enough."""
    pixels = np.ones((2, 64, 80), stored)
    pixels[0, 63, 0] = value
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **axes("CYX"))

    with pytest.raises(PixelTypeError, match=words):
        read(file.getvalue())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(value: float, read: Callable[..., Acquisition]) -> None:
    """One NaN or infinity among the pixels is enough."""
    planes = np.ones((2, 64, 64), np.float32)
    planes[1, 5, 7] = value
    file = io.BytesIO()
    tifffile.imwrite(file, planes, **axes("CYX"))

    with pytest.raises(PixelTypeError, match="NaN or infinite"):
        read(file.getvalue())


@pytest.mark.parametrize("mixed", ["shape", "dtype", "compression", "strips"])
def test_several_images_are_refused(mixed: str, read: Callable[..., Acquisition]) -> None:
    """Images that differ in anything are not planes of one; tifffile would decode all as the first."""
    other: dict[str, dict[str, Any]] = {
        "shape": {"shape": (2, 80, 64)},
        "dtype": {"dtype": "uint8"},
        "compression": {"compression": "zlib"},
        "strips": {"rowsperstrip": 8},
    }
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        for changes in ({}, other[mixed]):
            changed = {"shape": (2, 64, 64), "dtype": "uint16", **changes}
            noise = np.ones(changed.pop("shape"), changed.pop("dtype"))
            tif.write(noise, photometric="minisblack", metadata={"axes": "CYX"}, **changed)

    with pytest.raises(AxesError, match="holds 2 kinds of images"):
        read(file.getvalue())


def test_two_images_alike_are_refused(read: Callable[..., Acquisition]) -> None:
    """Two images of one shape are told from two planes by what the file declares."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        for _ in range(2):
            tif.write(np.ones((2, 64, 64), "uint8"), photometric="minisblack", metadata={"axes": "CYX"})

    with pytest.raises(AxesError, match=r"holds 4 pages, but describes 2 of them.*several images"):
        read(file.getvalue())


def test_thumbnail_is_left_out(read: Callable[..., Acquisition]) -> None:
    """A reduced copy, by the file's own word, is not taken for the image or for a plane of it."""
    picture = np.random.default_rng(2).integers(1, 255, (128, 96, 3), np.uint8)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tif:
        tif.write(picture, photometric="rgb", metadata=None)
        tif.write(picture[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)

    assert np.array_equal(read(file.getvalue()).planes[0], picture.transpose(2, 0, 1))


@pytest.mark.parametrize("options", [{"metadata": {"LUTs": [np.zeros((3, 256), "u1")]}, "imagej": True}, {}])
def test_pseudo_coloured_channel(options: dict[str, Any], read: Callable[..., Acquisition]) -> None:
    """One channel with a colour table, as Fiji saves it from a Leica file, lacks the other channel."""
    if not options:
        options = {"photometric": "palette", "colormap": np.zeros((3, 256), "u2")}
    with pytest.raises(ChannelError, match="holds one channel"):
        read(written((128, 128), "uint8", **options))
