"""Leica containers: every image as it was written, each with its key, its channels and its own refusal."""

import hashlib
import os
import re
import subprocess
import sys
import time
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import liffile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Refused, acquire, acquire_opened
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ChannelError,
    ImageTooSmallError,
    IncompleteFileError,
    LastPlaneBlackError,
    PixelTypeError,
    ScanModeError,
    TimeSeriesError,
)
from tests.tools.leica import Detector, Series, Written, assembled, container, description_of, xml_of

ORDERS = ["ZCYX", "CZYX", "ZYCX", "CYX", "YCX"]
LEICA_DAPI, LEICA_FITC = "Leica/DAPI", "Leica/FITC"


def camera(
    axes: str, dtype: str = "uint16", planes: int = 3, size: tuple[int, int] = (66, 71)
) -> NDArray[Any]:
    """Pixels that are never zero, two channels, in an order of axes."""
    lengths = {"Z": planes, "C": 2, "Y": size[0], "X": size[1]}
    shape = [lengths[axis] for axis in axes]
    return np.random.default_rng(5).integers(1, 250, shape).astype(dtype)


def as_planes(pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """The (Z, C, H, W) planes of pixels in an order of axes, by moving one axis after the other."""
    if "Z" not in axes:
        pixels, axes = pixels[np.newaxis], "Z" + axes
    return np.moveaxis(pixels, [axes.index(axis) for axis in "ZCYX"], [0, 1, 2, 3])


def read_all(data: bytes, folder: Path, **options: Any) -> list[Acquisition | Refused]:
    """Every image of a container."""
    path = folder / "x.lif"
    path.write_bytes(data)
    return list(acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif", **options))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(ORDERS),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.integers(2, 4),
    st.tuples(st.integers(64, 80), st.integers(64, 80)),
    st.sampled_from([1, 2]),
)
def test_every_order_of_axes_and_depth(
    tmp_path_factory: pytest.TempPathFactory,
    axes: str,
    dtype: str,
    planes: int,
    size: tuple[int, int],
    version: int,
) -> None:
    """What was written is read, in (Z, C, H, W); liffile on its own finds the same pixels in the file."""
    pixels = camera(axes, dtype, planes, size)
    written = container(Series(pixels, axes), version=version)
    (image,) = read_all(written.data, tmp_path_factory.mktemp("lif"))

    assert isinstance(image, Acquisition)
    assert image.planes.dtype == np.dtype(dtype)
    assert image.planes.flags.c_contiguous
    np.testing.assert_array_equal(image.planes, as_planes(pixels, axes))
    assert (image.provenance.axes, image.provenance.shape) == (axes, pixels.shape)
    with liffile.LifFile(BytesIO(written.data)) as oracle:
        np.testing.assert_array_equal(oracle.images[0].asarray(), pixels)


def test_what_is_known_of_an_image(tmp_path: Path) -> None:
    """Pixel size and plane spacing are those of the container, in um; 12 bits are stored in 16."""
    series = Series(camera("ZCYX"), bits=12, pixel_size_um=0.31, plane_spacing_um=1.5)
    written = container(series)
    (image,) = read_all(written.data, tmp_path)

    assert isinstance(image, Acquisition)
    assert image.planes.dtype == np.uint16
    assert image.pixel_size_um == pytest.approx(0.31)
    assert image.plane_spacing_um == pytest.approx(1.5)
    assert image.provenance.bytes == len(written.data)
    assert image.provenance.sha256 == hashlib.sha256(written.data).hexdigest()


@pytest.mark.parametrize("height_um", [0.31, 0.3116, 0.62, 0.155])
@pytest.mark.parametrize("axes", ORDERS)
def test_both_edges_of_a_pixel(axes: str, height_um: float, tmp_path: Path) -> None:
    """Each axis has its own length."""
    series = Series(camera(axes), axes, pixel_size_um=0.31, pixel_height_um=height_um)
    (image,) = read_all(container(series).data, tmp_path)

    assert isinstance(image, Acquisition)
    assert image.pixel_size_um == pytest.approx(0.31)
    assert image.pixel_height_um == pytest.approx(height_um)


@pytest.mark.parametrize("length", ["0", "1e-300", "1e300"])
def test_an_edge_that_no_microscope_has_is_unknown(length: str, tmp_path: Path) -> None:
    """The other one is believed."""
    series = Series(camera("CYX"), "CYX")
    told = description_of(series)
    mark = told.index('Length="', told.index('DimID="2"')) + len('Length="')
    foreign = told[:mark] + length + told[told.index('"', mark) :]
    (image,) = read_all(container(Series(series.pixels, "CYX", xml=foreign)).data, tmp_path)

    assert isinstance(image, Acquisition)
    assert image.pixel_size_um == pytest.approx(0.38)
    assert image.pixel_height_um is None


def test_no_unit_no_pixel_size(tmp_path: Path) -> None:
    """Lengths in an unknown unit say nothing."""
    series = Series(camera("ZCYX"))
    foreign = description_of(series).replace('Unit="m"', 'Unit="inch"')
    (image,) = read_all(container(Series(series.pixels, xml=foreign)).data, tmp_path)

    assert isinstance(image, Acquisition)
    assert (image.pixel_size_um, image.plane_spacing_um) == (None, None)


def test_keys_are_numbers_and_clean_names(tmp_path: Path) -> None:
    """Equal names do not collide, and names are fit for a file name; images below images come after them."""
    pixels = camera("CYX")

    def named(name: str, *children: Series) -> Series:
        return Series(pixels, "CYX", name, children=children)

    written = container(
        named("same"), named("same", named("below")), named("a/b\\c:*\u202e\n"), named(""), named("n" * 500)
    )
    found = read_all(written.data, tmp_path)

    assert [image.image_key for image in found] == [
        "0000-same", "0001-same", "0002-below", "0003-a_b_c____", "0004-unnamed", "0005-" + "n" * 80,
    ]  # fmt: skip
    assert all(isinstance(image, Acquisition) for image in found)


@pytest.mark.parametrize(
    ("says", "channels", "assumed"),
    [
        ({}, ("nuclei", "collagen"), True),
        ({"dyes": (LEICA_FITC, LEICA_DAPI)}, ("collagen", "nuclei"), False),
        ({"dyes": (LEICA_FITC, LEICA_DAPI), "luts": ("Blue", "Green")}, ("collagen", "nuclei"), False),
        ({"luts": ("Green", "Blue")}, ("collagen", "nuclei"), False),
        ({"dyes": ("", ""), "luts": ("Green", "Blue")}, ("collagen", "nuclei"), False),
        (
            {"sequences": ((Detector(LEICA_FITC, (500, 550)), Detector(LEICA_DAPI, (410, 480))),)},
            ("collagen", "nuclei"),
            False,
        ),
        (
            {
                "sequences": ((Detector("", (500, 550)),), (Detector("", (410, 480)),)),
                "luts": ("Gray", "Blue"),
            },
            ("collagen", "nuclei"),
            False,
        ),
        ({"sequences": ((Detector(LEICA_FITC, (500, 550)),),)}, ("nuclei", "collagen"), True),
        ({"dyes": ("Leica/ALEXA 488", "Leica/DRAQ5")}, ("collagen", "nuclei"), False),
        ({"luts": ("Green", "Gray")}, ("collagen", "nuclei"), True),
        ({"luts": ("Green", "Green")}, ("nuclei", "collagen"), True),
        (
            # Open over both dyes: the middle of the band is neither's light.
            {
                "sequences": ((Detector("", (410, 700)),), (Detector("", (415, 720)),)),
                "luts": ("Green", "Blue"),
            },
            ("collagen", "nuclei"),
            False,
        ),
    ],
)
def test_channels_by_dye_detector_colour_or_order(
    says: dict[str, Any], channels: tuple[str, ...], assumed: bool, tmp_path: Path
) -> None:
    """The channel's dye, else its detector's dye or band, else its colour; else in order, and flagged."""
    (image,) = read_all(container(Series(camera("ZCYX"), **says)).data, tmp_path)

    assert isinstance(image, Acquisition)
    assert image.channels == channels
    assert image.channels_assumed == assumed


def test_detectors_and_colours_that_disagree(tmp_path: Path) -> None:
    """Which detector recorded which channel is a guess: where the colours say otherwise, nobody guesses."""
    sequence = (Detector(LEICA_FITC, (500, 550)), Detector(LEICA_DAPI, (410, 480)))
    written = container(Series(camera("ZCYX"), sequences=(sequence,), luts=("Blue", "Green")))
    (refused,) = read_all(written.data, tmp_path)
    (told,) = read_all(written.data, tmp_path, channels=["nuclei", "collagen"])

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ChannelError)
    assert "--channels nuclei,collagen" in str(refused.error)
    assert isinstance(told, Acquisition)
    assert told.channels == ("nuclei", "collagen")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"dyes": ("Collagen IV", LEICA_DAPI), "luts": ("Green", "Blue")}, r"\(another collagen, nuclei\)"),
        ({"dyes": ("Leica/Cy5", LEICA_DAPI), "luts": ("Green", "Blue")}, r"\(another stain, nuclei\)"),
        ({"dyes": ("Leica/Foo", LEICA_DAPI), "luts": ("Green", "Blue")}, r"\(not recognised, nuclei\)"),
        ({"dyes": (LEICA_DAPI, LEICA_DAPI)}, r"\(nuclei, nuclei\)"),
        (
            {"sequences": ((Detector(LEICA_FITC, (410, 480)), Detector(LEICA_DAPI, (410, 480))),)},
            r"\(contradictory, nuclei\)",
        ),
    ],
)
def test_channels_that_are_not_of_the_assay(says: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Dyes, bands and colours go by the same rules as in any other file."""
    (refused,) = read_all(container(Series(camera("ZCYX"), **says)).data, tmp_path)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ChannelError)
    assert re.search(words, str(refused.error))


def test_colours_against_dyes_are_kept_in_mind(tmp_path: Path) -> None:
    """The dye is believed, and the colours noted."""
    for luts in (("Blue", "Green"), ("Green", "Blue")):
        series = Series(camera("ZCYX"), dyes=(LEICA_FITC, LEICA_DAPI), luts=luts)
        (image,) = read_all(container(series).data, tmp_path)

        assert isinstance(image, Acquisition)
        assert image.channels == ("collagen", "nuclei")
        assert image.colours_disagree == (luts[0] == "Blue")


def test_asked_channels_go_for_every_image(tmp_path: Path) -> None:
    """What the operator says stands above what a container says."""
    written = container(Series(camera("ZCYX"), dyes=(LEICA_DAPI, LEICA_FITC)), Series(camera("ZCYX")))

    for image in read_all(written.data, tmp_path, channels=["collagen", "nuclei"]):
        assert isinstance(image, Acquisition)
        assert image.channels == ("collagen", "nuclei")
        assert not image.channels_assumed


def lifetime(good: Series) -> Written:
    """A container of a good image and, first, a measurement of fluorescence lifetimes."""
    flim = (
        '<Element Name="flim"><Data><SingleMoleculeDetection IsImage="true"/></Data>'
        '<Memory Size="4" MemoryBlockID="MemBlock_1"/></Element>'
    )
    xml = container(good).data[13:].decode("utf-16-le", "ignore")
    element = xml[xml.index('<Element Name="good"') : xml.index("</Children></Element></LMS")]
    return assembled(xml_of(flim + element), [good.pixels, np.ones(4, "u1")])


OTHERS: dict[str, tuple[Series, type[AcquisitionError], str]] = {
    "time series": (Series(np.ones((3, 2, 64, 64), "u1"), "TCYX"), TimeSeriesError, "holds 3 time points"),
    "lambda": (Series(np.ones((20, 64, 64), "u1"), "λYX"), ScanModeError, "lambda scan of 20 emission bands"),
    "excitation": (Series(np.ones((5, 2, 64, 64), "u1"), "ΛCYX"), ScanModeError, "5 excitation lines"),
    "tiles": (Series(np.ones((4, 2, 64, 64), "u1"), "MCYX"), ScanModeError, "tile scan of 4 fields"),
    "tiles over time": (Series(np.ones((2, 4, 2, 64, 64), "u1"), "TMCYX"), ScanModeError, "tile scan"),
    "rotation": (Series(np.ones((4, 2, 64, 64), "u1"), "ACYX"), ScanModeError, "rotation of 4 angles"),
    "loop": (Series(np.ones((4, 2, 64, 64), "u1"), "LCYX"), ScanModeError, "loop of 4 rounds"),
    "xz": (Series(np.ones((2, 64, 64), "u1"), "CZX"), ScanModeError, "is an XZ scan"),
    "xzt": (Series(np.ones((3, 2, 64, 64), "u1"), "TCZX"), ScanModeError, "is an XZT scan"),
    "xzy": (Series(np.ones((64, 2, 64, 64), "u1"), "YCZX"), ScanModeError, "is an XZY scan"),
    "yx": (Series(np.ones((2, 64, 65), "u1"), "CXY"), ScanModeError, "is an YX scan"),
    "one channel": (Series(np.ones((3, 64, 64), "u1"), "ZYX"), ChannelError, "holds one channel"),
    "three channels": (Series(np.ones((3, 64, 64), "u1"), "CYX"), ChannelError, "holds 3 channels"),
    "colour camera": (
        Series(np.ones((64, 64, 3), "u1"), "YXC", luts=("Red", "Green", "Blue")),
        ScanModeError,
        "is a picture of a colour camera",
    ),
    "small": (Series(np.ones((2, 64, 7), "u1"), "CYX"), ImageTooSmallError, "is 7 x 64 pixels"),
    "float16": (Series(np.ones((2, 64, 64), "f2"), "CYX"), PixelTypeError, "16-bit float"),
    "32 bits": (Series(np.ones((2, 64, 64), "u4"), "CYX"), PixelTypeError, "32-bit integer"),
    "not a number": (Series(np.full((2, 64, 64), np.nan, "f4"), "CYX"), PixelTypeError, "NaN"),
    "unwritten": (Series(np.zeros((2, 64, 64), "u1"), "CYX"), IncompleteFileError, "nothing but zeros"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_of_the_assay_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    """Each with its reason; the good images before and after it are read."""
    series, error, words = OTHERS[kind]
    good = Series(camera("ZCYX"))
    before, refused, after = read_all(container(good, series, good).data, tmp_path)

    assert isinstance(before, Acquisition)
    assert isinstance(after, Acquisition)
    assert isinstance(refused, Refused)
    assert type(refused.error) is error
    assert words in str(refused.error)
    assert str(refused.error).startswith("x.lif.0001-Series001: ")
    assert refused.provenance.sha256 == before.provenance.sha256


def test_lifetimes_are_refused_by_name(tmp_path: Path) -> None:
    """A lifetime measurement is no image of the assay."""
    refused, good = read_all(lifetime(Series(camera("ZCYX"), name="good")).data, tmp_path)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ScanModeError)
    assert isinstance(good, Acquisition)


def test_axes_of_length_one_are_none(tmp_path: Path) -> None:
    """One time point of one field in one plane is a plain image."""
    pixels = camera("CYX")
    (image,) = read_all(container(Series(pixels[None, None, None], "TMZCYX")).data, tmp_path)

    assert isinstance(image, Acquisition)
    np.testing.assert_array_equal(image.planes[0], pixels)


def test_acquire_passes_over_what_is_refused(tmp_path: Path) -> None:
    """Who takes images only gets all that can be read; the first refusal where none can."""
    bad, good = OTHERS["xz"][0], Series(camera("ZCYX"))
    path = tmp_path / "x.lif"
    path.write_bytes(container(bad, good, bad, good).data)

    assert [image.image_key for image in acquire(path)] == ["0001-Series001", "0003-Series001"]
    path.write_bytes(container(bad, OTHERS["tiles"][0]).data)
    with pytest.raises(ScanModeError, match="is an XZ scan"):
        list(acquire(path))


def test_a_cut_container_loses_only_what_is_cut(tmp_path: Path) -> None:
    """Whoever does not wait for the rest gets the images that are whole."""
    written = container(*[Series(camera("ZCYX"))] * 3)
    first, second, third = read_all(written.data[: sum(written.spans[2]) - 1], tmp_path)

    assert isinstance(first, Acquisition)
    assert isinstance(second, Acquisition)
    assert isinstance(third, Refused)
    assert isinstance(third.error, IncompleteFileError)


@pytest.mark.parametrize("how", ["cut", "unwritten"])
def test_a_container_that_may_grow_is_left_alone(how: str, tmp_path: Path) -> None:
    """Whoever can wait gets none where pixels are missing, and one that is unwritten ends the reading."""
    tail = Series(np.zeros((2, 64, 64), "u1") if how == "unwritten" else camera("CYX"), "CYX")
    written = container(Series(camera("ZCYX")), tail)
    path = tmp_path / "x.lif"
    path.write_bytes(written.data[: -1 if how == "cut" else None])
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif", is_final=lambda _: False)

    if how == "unwritten":
        next(images)
    with pytest.raises(IncompleteFileError, match=r"^x\.lif\.0001-Series001: "):
        next(images)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("age_s", [0, 60])
@pytest.mark.parametrize("may_wait", [True, False])
def test_an_image_that_ends_black(stored: bool, age_s: float, may_wait: bool, tmp_path: Path) -> None:
    """Told where the container is at rest and nobody looks again; reserved space never."""
    ends_black = camera("ZCYX", size=(128, 128))
    ends_black[-1:] = 0
    good = Series(camera("ZCYX"))
    written = container(good, Series(ends_black), good)
    begin, size = written.spans[1]
    hole = begin + size - 2 * 128 * 128 * 2
    path = tmp_path / "x.lif"
    with path.open("wb") as file:
        file.write(written.data if stored else written.data[:hole])
        file.truncate(len(written.data))
        file.seek(begin + size)
        file.write(written.data[begin + size :])
        if not stored and os.lseek(file.fileno(), begin, os.SEEK_HOLE) >= begin + size:
            pytest.skip("this file system does not tell holes")
    assert path.read_bytes() == written.data
    os.utime(path, times=(time.time() - age_s,) * 2)
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif", is_final=lambda _: not may_wait)

    first = next(images)
    assert isinstance(first, Acquisition)
    assert not first.last_plane_black
    if may_wait:
        with pytest.raises(
            IncompleteFileError, match=r"^x\.lif\.0001-Series001: .*nothing but zeros"
        ) as error:
            next(images)
        assert type(error.value) is (LastPlaneBlackError if stored and age_s else IncompleteFileError)
        return
    second, third = images
    assert isinstance(third, Acquisition)
    if stored and age_s:
        assert isinstance(second, Acquisition)
        assert second.last_plane_black
    else:
        assert isinstance(second, Refused)
        assert type(second.error) is IncompleteFileError


def test_one_image_in_memory_at_a_time(tmp_path: Path) -> None:
    """A container of twelve images takes the memory of one."""
    pixels = camera("ZCYX", "uint16", 8, (256, 256))
    path = tmp_path / "x.lif"
    path.write_bytes(container(*[Series(pixels)] * 12).data)
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")
    next(images)  # what is imported once is not counted
    tracemalloc.start()
    for image in images:
        del image
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1.5 * pixels.nbytes, peak


def test_closed_and_unmapped_between_two_images(tmp_path: Path) -> None:
    """While an image is judged, the microscope's program may have the file for itself."""
    path = tmp_path / "x.lif"
    path.write_bytes(container(*[Series(camera("ZCYX"))] * 2).data)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path would hold it open
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")
    held = next(images)

    assert isinstance(held, Acquisition)
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert "x.lif" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("change", ["appended", "touched", "replaced"])
def test_a_change_between_two_images_ends_the_reading(change: str, tmp_path: Path) -> None:
    """All images of a container are of one state of it."""
    path = tmp_path / "x.lif"
    data = container(*[Series(camera("ZCYX"))] * 2).data
    path.write_bytes(data)
    images = acquire_opened(lambda: os.open(path, OPEN_FLAGS), "x.lif")
    next(images)
    if change == "appended":
        path.write_bytes(data + b"more")
    elif change == "touched":
        os.utime(path, ns=(0, 0))
    else:
        other = tmp_path / "other"
        other.write_bytes(data)
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)

    with pytest.raises(IncompleteFileError, match="changed while it was read"):
        next(images)


def test_the_suffix_does_not_decide(tmp_path: Path) -> None:
    """A container is one by its content, under whatever name it is given."""
    path = tmp_path / "misnamed.tif"
    path.write_bytes(container(Series(camera("ZCYX"))).data)
    (image,) = acquire(path)

    assert image.image_key == "0000-Series001"


def test_is_only_ever_read(tmp_path: Path) -> None:
    """Reading needs no right to write, and changes neither the file nor its times of change."""
    path = tmp_path / "x.lif"
    path.write_bytes(container(Series(camera("ZCYX"))).data)
    path.chmod(0o444)
    before = path.stat()
    list(acquire(path))

    assert (path.stat().st_mtime_ns, path.stat().st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    assert [p.name for p in tmp_path.iterdir()] == ["x.lif"]


def test_axes_that_are_not_laid_as_declared(tmp_path: Path) -> None:
    """Channels at unequal distances are refused."""
    series = Series(camera("CYX"), "CYX")
    third = description_of(series).replace("</Channels>", CHANNEL.format(stride=1) + "</Channels>")
    (refused,) = read_all(container(Series(series.pixels, xml=third)).data, tmp_path)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, AxesError)


CHANNEL = '<ChannelDescription DataType="0" Resolution="16" LUTName="Gray" BytesInc="{stride}"/>'


def test_who_has_no_container_loads_no_reader_of_them(tmp_path: Path) -> None:
    """Reading a TIFF file does not import liffile."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, camera("CYX"), imagej=True, metadata={"axes": "CYX"})
    code = (
        f"import sys; from colvi_edge.acquisition import acquire; list(acquire({str(path)!r}));"
        "assert 'liffile' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
