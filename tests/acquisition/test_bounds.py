"""Numbers, texts and lists that a raw file names: bounded before they are acted upon, and in sentences."""

import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire, bounds
from colvi_edge.acquisition.channels import assign_roles
from colvi_edge.acquisition.refusals import MAX_SENTENCE, say_of
from colvi_edge.acquisition.tiff import descriptions as metadata
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    ChannelError,
    IncompleteFileError,
    NotAnImageError,
    PixelTypeError,
    UnsafeFileError,
)
from tests.tools.hostile import every
from tests.tools.leica import Series, container

PIXELS = np.random.default_rng(0).poisson(100, (2, 64, 64)).astype(np.uint16)
DYES = ("Leica/DAPI", "Leica/ALEXA 488")
CHANNELS = '<Channel Name="DAPI" EmissionWavelength="461"/><Channel Name="collagen VI" Color="16711935"/>'
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels '
    'DimensionOrder="XYZCT" SizeX="64" SizeY="64" SizeZ="1" SizeC="2" SizeT="1" Type="uint16" '
    'PhysicalSizeX="0.3" PhysicalSizeY="0.3" PhysicalSizeZ="1.5" PhysicalSizeXUnit="\u00b5m">'
    f'{CHANNELS}<TiffData IFD="0" PlaneCount="2" FirstC="0"/></Pixels></Image></OME>'
)
IMAGEJ = 'ImageJ=1.54f\nimages=2\nchannels=2\nslices=1\nunit=um\nspacing=1.5\nInfo={"Slices": 1}\n'
SHAPED = {"shape": [2, 64, 64], "axes": "CYX", "Channel": {"Name": ["DAPI", "collagen VI"]}}

VALUES = (
    *("", "0", "-1", "1", "1e-300", "1e300", "1e400", "nan", "inf", "-inf", "0x10", "1_0", "2.5", "\u0663"),
    *("9" * 9, "9" * 18, "9" * 19, "9" * 5000, "9" * 60_000, str(2**31), str(2**32), str(2**63), str(2**64)),
    *("x" * 60_000, "\u202e", "../../x", "&#1;" * 3),
)
"""What an attribute may be said to be."""


def tiff(description: str, pixels: NDArray[Any] = PIXELS, **options: Any) -> bytes:
    """Return a TIFF file with a description."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, description=description.encode(), metadata=None, **options)
    return file.getvalue()


def read(path: Path, data: bytes) -> Acquisition | AcquisitionError:
    """Return what becomes of a file: its only image, with every number in bounds, or a bounded sentence."""
    path.write_bytes(data)
    try:
        (image,) = acquire(path)
    except AcquisitionError as error:
        return bounded(error)
    low, high = bounds.PIXEL_SIZE_UM if path.suffix == ".tif" else bounds.PLANE_SPACING_UM
    for edge_um in (image.pixel_size_um, image.pixel_height_um):
        assert edge_um is None or low <= edge_um <= high
    assert image.plane_spacing_um is None or 1e-3 <= image.plane_spacing_um <= 1e3
    assert image.planes_planned is None or 0 < image.planes_planned <= 10**9
    return image


def bounded(error: AcquisitionError) -> AcquisitionError:
    """Return an error whose sentence is fit to be shown."""
    label, _, sentence = str(error).partition(": ")
    assert label in ("x.tif", "x.lif") or label.startswith("x.lif.0000-")
    assert len(sentence) <= MAX_SENTENCE
    assert str(error).isprintable()
    return error


def attributes(xml: str) -> Iterator[Callable[[str], str]]:
    """Yield for each attribute of XML a function that gives it another value."""
    for found in re.finditer(r'="([^"]*)"', xml):
        begin, end = found.span(1)
        yield lambda value, begin=begin, end=end: xml[:begin] + value + xml[end:]  # type: ignore[misc]


def test_what_is_varied_is_read(tmp_path: Path) -> None:
    """Else everything below would be refused for another reason."""
    path = tmp_path / "x.tif"
    for text in (OME, IMAGEJ, json.dumps(SHAPED)):
        image = read(path, tiff(text))
        assert isinstance(image, Acquisition), image
        assert image.channels == ("nuclei", "collagen")
    assert isinstance(read(tmp_path / "x.lif", container(Series(PIXELS[None], dyes=DYES)).data), Acquisition)


def test_each_attribute_of_ome_xml(tmp_path: Path) -> None:
    """A number without end, of no size, negative, no number at all."""
    images = [read(tmp_path / "x.tif", tiff(set_to(v))) for set_to in attributes(OME) for v in VALUES]

    assert {isinstance(image, Acquisition) for image in images} == {True, False}


def test_each_value_of_imagej(tmp_path: Path) -> None:
    """Its description is lines of names and values."""
    for line in IMAGEJ.splitlines():
        name = line.partition("=")[0]
        for value in VALUES:
            read(tmp_path / "x.tif", tiff(IMAGEJ.replace(line, f"{name}={value}")))


@pytest.mark.parametrize("where", ["shaped", "info"])
def test_each_place_of_json(where: str, tmp_path: Path) -> None:
    """Tifffile's own description, and what Micro-Manager leaves in ImageJ's."""
    tree = SHAPED if where == "shaped" else {"Slices": 2, "ChNames": ["DAPI", "collagen VI"]}
    for text in every(tree):
        shown = text.decode("utf-8", "replace")
        description = shown if where == "shaped" else f"ImageJ=1.54f\nimages=2\nchannels=2\nInfo={shown}\n"
        read(tmp_path / "x.tif", tiff(description))


def test_each_attribute_of_a_leica_container(tmp_path: Path) -> None:
    """Lengths, strides, numbers of axes, bands of detectors, names."""
    whole = container(Series(PIXELS[None], dyes=DYES)).data
    length = struct.unpack_from("<I", whole, 9)[0]
    xml, rest = whole[13 : 13 + 2 * length].decode("utf-16-le"), whole[13 + 2 * length :]
    for set_to in attributes(xml):
        for value in VALUES:
            changed = set_to(value).encode("utf-16-le")
            header = struct.pack("<IIBI", 0x70, len(changed) + 5, 0x2A, len(changed) // 2)
            read(tmp_path / "x.lif", header + changed + rest)


# --- one by one, with the sentence of each


def tags(*values: tuple[int, NDArray[Any]]) -> bytes:
    """Return a TIFF file of one directory whose tags hold these numbers, 16 bits each."""
    entries, data = b"", b""
    begin = 8 + 2 + 12 * len(values) + 4
    for code, numbers in sorted(values, key=lambda tag: tag[0]):
        held = numbers.astype("<u2").tobytes()
        inline = held.ljust(4, b"\0") if len(held) <= 4 else struct.pack("<I", begin + len(data))
        entries += struct.pack("<HHI", code, 3, len(numbers)) + inline
        data += held if len(held) > 4 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + data


def one(number: int) -> NDArray[Any]:
    """Return a single number."""
    return np.array([number])


MANY = np.arange(600)
DIMENSIONS = "".join(
    f'<DimensionDescription DimID="{10**17 + i}" NumberOfElements="2" BytesInc="{i}"/>' for i in range(17)
)
AXES = (
    '<Dimensions><DimensionDescription DimID="1" NumberOfElements="64" BytesInc="2"/>'
    '<DimensionDescription DimID="2" NumberOfElements="64" BytesInc="128"/></Dimensions>'
)
KINDS = "".join(f'<ChannelDescription DataType="1" Resolution="{i}" BytesInc="{i}"/>' for i in range(200))


TOO_MUCH: dict[str, tuple[str, bytes, type[AcquisitionError], str]] = {
    "depths": (
        "x.tif",
        tags((256, one(64)), (257, one(64)), (258, MANY), (339, MANY)),
        PixelTypeError,
        r"its pixels are (\d+-bit [a-z ]+, ){8}\.\.\.; expected whole numbers of 8 or 16 bits or float32; .*",
    ),
    "tags": (
        "x.tif",
        tiff(OME.replace("</OME>", "<a/>" * 2**20 + "</OME>")),
        UnsafeFileError,
        "its OME-XML holds more than 1,048,576 tags; export it again",
    ),
    "lengths": (
        "x.tif",
        tiff(json.dumps({"shape": [2, 64, 64, *[999_999_999] * 5000]})),
        IncompleteFileError,
        "declares an image to which its pages do not add up; .*",
    ),
    "axes": (
        "x.lif",
        container(Series(PIXELS[None], xml=f"<Dimensions>{DIMENSIONS}</Dimensions>")).data,
        AxesError,
        "describes 17 axes; expected one field in X, Y and Z",
    ),
    "kinds": (
        "x.lif",
        container(Series(PIXELS[None], xml=f"{AXES}<Channels>{KINDS}</Channels>")).data,
        PixelTypeError,
        r"its pixels are (\d+-bit float, ){8}\.\.\.; expected integers of up to 16 bits or float32, .*",
    ),
    "channels of a container": (
        "x.lif",
        container(Series(np.ones((257, 64, 64), "u1"), "CYX")).data,
        ChannelError,
        "holds 257 channels, but at most 256 are read; save nuclei and collagen VI into one file",
    ),
    "channels": (
        "x.tif",
        tiff("ImageJ=1.54f\nimages=257\nchannels=257\n", np.ones((257, 64, 64), "u1")),
        ChannelError,
        "holds 257 channels, but at most 256 are read; save nuclei and collagen VI into one file",
    ),
    "not recognised": (
        "x.tif",
        tiff("ImageJ=1.54f\nimages=256\nchannels=256\n", np.ones((256, 64, 64), "u1")),
        ChannelError,
        r"holds 256 channels \((not recognised, ){8}\.\.\.\), but exactly one of .* with --channels, e\.g\. "
        r"--channels nuclei,collagen,(other,){6}\.\.\.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_is_too_much_has_its_sentence(what: str, tmp_path: Path) -> None:
    """Found, expected, remedy; what is listed ends after eight."""
    name, data, kind, sentence = TOO_MUCH[what]
    found = read(tmp_path / name, data)

    assert type(found) is kind, found
    assert re.fullmatch(rf"x\.(tif|lif)(\.0000-Series001)?: {sentence}", str(found)), str(found)


def test_more_channels_than_there_are_say_nothing(tmp_path: Path) -> None:
    """What is said of 300,000 took 5.4 s to read, and was then passed over, as there are two."""
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "_ome_channel", lambda channel: asked.append(channel.get("Name")))
        found = read(tmp_path / "x.tif", tiff(OME.replace(CHANNELS, 257 * '<Channel Name="DAPI"/>')))

    assert isinstance(found, Acquisition)
    assert asked == []


@pytest.mark.parametrize(
    "text", ["1e-300", "1e300", "nan", "-1", "9" * 65, "0." + "3" * 100, "x", "", "1e999", "0"]
)
def test_a_size_that_none_has_is_unknown(text: str, tmp_path: Path) -> None:
    """It warns, as a missing one does, and is not reckoned with."""
    image = read(tmp_path / "x.tif", tiff(OME.replace('"0.3"', f'"{text}"').replace('"1.5"', f'"{text}"')))

    assert isinstance(image, Acquisition)
    assert image.pixel_size_um is image.pixel_height_um is image.plane_spacing_um is None


def test_planes_without_end_were_not_planned(tmp_path: Path) -> None:
    """Else the image would lack all but one of them."""
    for slices, planned in ((1, 1), (10**9, 10**9), (10**9 + 1, None), (2**64 - 1, None)):
        info = json.dumps({"Slices": slices})
        image = read(tmp_path / "x.tif", tiff(f"ImageJ=1.54f\nimages=2\nchannels=2\nInfo={info}\n"))
        assert isinstance(image, Acquisition)
        assert image.planes_planned == planned


def test_of_a_sentence_without_end_the_middle_goes() -> None:
    """What is wrong stands at its begin, the remedy at its end."""
    error = NotAnImageError("found this: " + 1000 * "\x00" + "; export it again")
    say_of("x.tif", error)

    assert len(str(error)) <= len("x.tif: ") + MAX_SENTENCE
    assert str(error).startswith(r"x.tif: found this: \x00")
    assert str(error).endswith(r"\x00; export it again")
    assert str(error) == f"x.tif: {error.words}"
    just_so = NotAnImageError("y" * MAX_SENTENCE)
    say_of("x.tif", just_so)
    assert str(just_so) == f"x.tif: {'y' * MAX_SENTENCE}"
    say_of("of another", just_so)
    assert just_so.subject == "x.tif"


def test_operators_are_listed_eight_of_what_they_name() -> None:
    """Their own words, too, have their place in a sentence."""
    with pytest.raises(ChannelError, match=r"--channels names 300 \((other,){8}\.\.\.\); name each"):
        assign_roles(2, (), rgb=False, asked=["other"] * 300)
