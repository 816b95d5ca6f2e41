"""What a file says besides its pixels: channels, sizes, planned planes; and what it may not say."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.errors import AcquisitionError, AxesError, ChannelError, IncompleteFileError, UnsafeFileError

NOISE = np.random.default_rng(3).integers(1, 4096, (4, 64, 72)).astype("uint16")

OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{root}>'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="72" SizeY="64" '
    'SizeC="2" SizeZ="2" SizeT="1" {pixels}>{channels}{planes}</Pixels></Image>{more}</OME>'
)
CHANNELS = '<Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>'
PLANES = '<TiffData IFD="0" PlaneCount="4"/>'


NUCLEI_FIRST = ["nuclei", "collagen"]


def palette(*channels: int) -> NDArray[np.uint8]:
    """ImageJ's palette that leads from black to a colour: 0 red, 1 green, 2 blue, or a mixture."""
    lut = np.zeros((3, 256), np.uint8)
    lut[list(channels)] = np.arange(256)
    return lut


def written(shape: tuple[int, ...], **options: Any) -> bytes:
    """The bytes of a TIFF file of noise that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(
        file, NOISE[: np.prod(shape)].reshape(*shape, 64, 72), photometric="minisblack", **options
    )
    return file.getvalue()


def ome(**parts: str) -> bytes:
    """The bytes of an OME-TIFF of four pages, with parts of its OME-XML replaced."""
    parts = {"root": "", "pixels": "", "channels": CHANNELS, "planes": PLANES, "more": "", **parts}
    return written((4,), description=OME.format(**parts).encode(), metadata=None)


@pytest.mark.parametrize(
    ("unit", "pixels_per_unit", "size_um"),
    [
        ("micron", 4.0, 0.25), ("um", 4.0, 0.25), ("µm", 4.0, 0.25), ("\\u00B5m", 4.0, 0.25),
        ("nm", 0.004, 0.25), ("mm", 4000.0, 0.25), ("pixel", 4.0, None), ("", 4.0, None),
        ("inch", 72.0, None), ("um", 0.001, None), ("um", 2000.0, None),
    ],
)  # fmt: skip
def test_imagej_pixel_size(
    unit: str, pixels_per_unit: float, size_um: float | None, read: Callable[..., Acquisition]
) -> None:
    """ImageJ's unit and resolution give micrometres; what is no pixel of a microscope gives nothing."""
    resolution = (pixels_per_unit, pixels_per_unit)
    ascii_unit = unit.replace("µ", "@")
    metadata = {"axes": "CYX", "unit": ascii_unit}
    data = written((2,), imagej=True, resolution=resolution, resolutionunit="INCH", metadata=metadata)

    data = data.replace(b"unit=@m", b"unit=\xb5m")  # as ImageJ wrote it for many years
    assert read(data).pixel_size_um == (size_um and pytest.approx(size_um, rel=1e-6))


def test_imagej_plane_spacing(read: Callable[..., Acquisition]) -> None:
    """The distance of planes is in the unit of the pixels."""
    metadata = {"axes": "ZCYX", "unit": "nm", "spacing": 1500}
    data = written((2, 2), imagej=True, resolution=(0.005, 0.005), metadata=metadata)

    acquisition = read(data)
    assert acquisition.pixel_size_um == pytest.approx(0.2)
    assert acquisition.plane_spacing_um == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("pixels", "size_um", "spacing_um"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeZ="1.5"', 0.25, 1.5),
        (
            'PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeZ="0.0015" PhysicalSizeZUnit="mm"',
            0.25,
            1.5,
        ),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"', 0.25, None),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="pixel"', None, None),
        ('PhysicalSizeX="353" PhysicalSizeZ="0"', None, None),
        ('PhysicalSizeX="NaN" PhysicalSizeZ="1e999"', None, None),
        ('PhysicalSizeX="one" PhysicalSizeZ="-1"', None, None),
        ("", None, None),
    ],
)
def test_ome_sizes(
    pixels: str, size_um: float | None, spacing_um: float | None, read: Callable[..., Acquisition]
) -> None:
    """OME-XML gives sizes with units, micrometres where none is named."""
    acquisition = read(ome(pixels=pixels))

    assert acquisition.pixel_size_um == (size_um and pytest.approx(size_um))
    assert acquisition.plane_spacing_um == (spacing_um and pytest.approx(spacing_um))


@pytest.mark.parametrize(
    ("per_unit", "unit", "size_um"),
    [(40_000, "CENTIMETER", 0.25), (101_600, "INCH", 0.25), (72, "INCH", None), (300, "INCH", None),
     (1200, "INCH", None), (4, "NONE", None)],
)  # fmt: skip
def test_plain_resolution(
    per_unit: float, unit: str, size_um: float | None, read: Callable[..., Acquisition]
) -> None:
    """The resolution of a plain TIFF counts only where it is that of a microscope."""
    data = written((2,), metadata={"axes": "CYX"}, resolution=(per_unit, per_unit), resolutionunit=unit)

    assert read(data).pixel_size_um == (size_um and pytest.approx(size_um))


@pytest.mark.parametrize(
    ("pixels", "width_um", "height_um"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', 0.25, 0.5),
        ('PhysicalSizeX="0.25" PhysicalSizeY="250" PhysicalSizeYUnit="nm"', 0.25, 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.125"', 0.25, 0.125),
        ('PhysicalSizeX="0.25"', 0.25, None),
        ('PhysicalSizeY="0.25"', None, 0.25),
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.25" PhysicalSizeYUnit="pixel"', 0.25, None),
        ('PhysicalSizeX="0.25" PhysicalSizeY="353"', 0.25, None),
        ('PhysicalSizeX="0.25" PhysicalSizeY="NaN"', 0.25, None),
    ],
)
def test_ome_edges_of_a_pixel(
    pixels: str, width_um: float | None, height_um: float | None, read: Callable[..., Acquisition]
) -> None:
    """Each with its own unit."""
    acquisition = read(ome(pixels=pixels))

    assert acquisition.pixel_size_um == (width_um and pytest.approx(width_um))
    assert acquisition.pixel_height_um == (height_um and pytest.approx(height_um))


@pytest.mark.parametrize(
    ("units", "resolution", "height_um"),
    [
        ({"unit": "micron"}, (4, 2), 0.5),
        ({"unit": "micron"}, (4, 4), 0.25),
        ({"unit": "micron", "yunit": "nm"}, (4, 0.002), 0.5),
        ({"unit": "um", "yunit": "\\u00B5m"}, (4, 8), 0.125),
        ({"unit": "micron", "yunit": "pixel"}, (4, 4), None),
        ({"unit": "micron"}, (4, 0.001), None),
    ],
)  # fmt: skip
def test_imagej_edges_of_a_pixel(
    units: dict[str, str],
    resolution: tuple[float, float],
    height_um: float | None,
    read: Callable[..., Acquisition],
) -> None:
    """In the unit of the rows, unless another is named for the columns."""
    acquisition = read(written((2,), imagej=True, resolution=resolution, metadata={"axes": "CYX", **units}))

    assert acquisition.pixel_size_um == pytest.approx(0.25)
    assert acquisition.pixel_height_um == (height_um and pytest.approx(height_um))


@pytest.mark.parametrize("dialect", ["shaped", "generic"])
@pytest.mark.parametrize(
    ("resolution", "unit", "edges_um"),
    [
        ((40_000, 20_000), "CENTIMETER", (0.25, 0.5)),
        ((101_600, 203_200), "INCH", (0.25, 0.125)),
        ((40_000, 72), "CENTIMETER", (0.25, None)),
        ((300, 40_000), "CENTIMETER", (None, 0.25)),
        ((4, 2), "NONE", (None, None)),
    ],
)
def test_plain_edges_of_a_pixel(
    resolution: tuple[float, float],
    unit: str,
    edges_um: tuple[float | None, float | None],
    dialect: str,
    read: Callable[..., Acquisition],
) -> None:
    """Each axis has a resolution of its own."""
    picture = NOISE[:3].transpose(1, 2, 0)  # what lies in pages has no axes without words
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        picture if dialect == "generic" else NOISE[:2],
        photometric="rgb" if dialect == "generic" else "minisblack",
        metadata=None if dialect == "generic" else {"axes": "CYX"},
        resolution=resolution,
        resolutionunit=unit,
    )
    acquisition = read(file.getvalue())

    found = acquisition.pixel_size_um, acquisition.pixel_height_um
    assert found == tuple(edge and pytest.approx(edge) for edge in edges_um)


@pytest.mark.parametrize(
    ("channels", "roles"),
    [
        ('<Channel Name="FITC"/><Channel Name="DAPI"/>', ("collagen", "nuclei")),
        ('<Channel Name="Ch1" Fluor="Alexa 488"/><Channel Name="Ch2" Fluor="DAPI"/>', ("collagen", "nuclei")),
        ('<Channel EmissionWavelength="519"/><Channel EmissionWavelength="461"/>', ("collagen", "nuclei")),
        (
            '<Channel EmissionWavelength="0.519" EmissionWavelengthUnit="µm"/>'
            '<Channel EmissionWavelength="4610" EmissionWavelengthUnit="Å"/>',
            ("collagen", "nuclei"),
        ),
        (CHANNELS, ("nuclei", "collagen")),
        (
            '<Channel Name="Ch1" ExcitationWavelength="488"/>'
            '<Channel Name="Ch2" ExcitationWavelength="405"/>',
            ("collagen", "nuclei"),
        ),
        (
            '<Channel ExcitationWavelength="0.488" ExcitationWavelengthUnit="µm"/><Channel Name="DAPI"/>',
            ("collagen", "nuclei"),
        ),
        (
            '<Channel><LightSourceSettings ID="L:0" Wavelength="488"/></Channel>'
            '<Channel><LightSourceSettings ID="L:1" Wavelength="405"/></Channel>',
            ("collagen", "nuclei"),
        ),
        ('<Channel Color="16711935"/><Channel Color="65535"/>', ("collagen", "nuclei")),
        ('<Channel Name="C1" Color="16711935"/><Channel Name="C2" Color="-1"/>', ("collagen", "nuclei")),
        ('<Channel Color="-16776961"/><Channel Color="16711935"/>', ("nuclei", "collagen")),
        ('<Channel Color="green"/><Channel Color="99999999999"/>', ("nuclei", "collagen")),
        (
            '<Channel Name="P03 collagen VI - C1"/><Channel Name="P03 collagen VI - C2"/>',
            ("nuclei", "collagen"),
        ),
        ('<Channel Name="P03 DAPI: FITC"/><Channel Name="P03 DAPI: DAPI"/>', ("collagen", "nuclei")),
        # A name that ends and a dye that begins with what would be a type together.
        ('<Channel Name="collagen" Fluor="I"/><Channel Name="DAPI"/>', ("collagen", "nuclei")),
    ],
)
def test_ome_channels(channels: str, roles: tuple[str, str], read: Callable[..., Acquisition]) -> None:
    """Channels are told by name, dye, excitation, emission, or colour."""
    assert read(ome(channels=channels)).channels == roles


@pytest.mark.parametrize(
    ("metadata", "roles"),
    [
        ({"Labels": ["collagen", "nuclei"]}, ("collagen", "nuclei")),
        ({"Labels": ["col6 z1", "DAPI z1", "col6 z2", "DAPI z2"]}, ("collagen", "nuclei")),
        ({"Labels": ["culture_03.tif", "culture_03.tif"]}, ("nuclei", "collagen")),
        ({"Labels": ["collagen"]}, ("nuclei", "collagen")),
        ({"Info": json.dumps({"ChNames": ["FITC", "DAPI"]})}, ("collagen", "nuclei")),
        ({"Info": "ChNames = FITC"}, ("nuclei", "collagen")),
        ({}, ("nuclei", "collagen")),
        ({"Labels": ["c:1/2 - P03 collagen VI.lif", "c:2/2 - P03 collagen VI.lif"]}, ("nuclei", "collagen")),
        ({"Labels": ["c:1/2 - FITC - DAPI.lif", "c:2/2 - DAPI - DAPI.lif"]}, ("collagen", "nuclei")),
        ({"LUTs": [palette(1), palette(2)], "mode": "composite"}, ("collagen", "nuclei")),
        ({"LUTs": [palette(0), palette(1)], "mode": "composite"}, ("nuclei", "collagen")),
        ({"LUTs": [palette(0, 1, 2), palette(2)]}, ("collagen", "nuclei")),
        ({"LUTs": [palette(1)[:, ::-1], palette(2)[:, ::-1]]}, ("collagen", "nuclei")),
        (
            {"LUTs": [palette(1), palette(2)], "Labels": ["c:1/2 - DAPI.lif", "c:2/2 - DAPI.lif"]},
            ("collagen", "nuclei"),
        ),
        ({"LUTs": [palette(2), palette(1)], "Labels": ["FITC", "DAPI"]}, ("collagen", "nuclei")),
        ({"LUTs": [palette(1)] * 3}, ("nuclei", "collagen")),
    ],
)
def test_imagej_channels(
    metadata: dict[str, Any], roles: tuple[str, str], read: Callable[..., Acquisition]
) -> None:
    """Labels of the first plane, or Micro-Manager's names; titles of files say nothing."""
    assert read(written((2, 2), imagej=True, metadata={"axes": "ZCYX", **metadata})).channels == roles


@pytest.mark.parametrize(
    ("channel", "roles"),
    [
        ({"Name": ["collagen VI", "DAPI"]}, ("collagen", "nuclei")),
        ([{"Name": "collagen VI"}, {"Name": "DAPI"}], ("collagen", "nuclei")),
        (["FITC", "DAPI"], ("collagen", "nuclei")),
        ({"Color": [0x00FF00FF, 0x0000FFFF]}, ("collagen", "nuclei")),
        ({"EmissionWavelength": [519, 461]}, ("collagen", "nuclei")),
        ({"ExcitationWavelength": [488, 405], "Name": ["Ch1"]}, ("collagen", "nuclei")),
        ({"Name": ["collagen VI", "DAPI", "Cy5"]}, ("nuclei", "collagen")),
        ({"Name": [None, {}]}, None),
        ({"Name": "collagen VI"}, ("nuclei", "collagen")),
        ({"Name": []}, ("nuclei", "collagen")),
        (7, ("nuclei", "collagen")),
        (None, ("nuclei", "collagen")),
    ],
)
def test_json_channels(
    channel: object, roles: tuple[str, str] | None, read: Callable[..., Acquisition]
) -> None:
    """What tifffile keeps as JSON names channels as OME does, if it names as many as there are."""
    data = written((2,), metadata={"axes": "CYX", "Channel": channel})

    if roles is None:
        with pytest.raises(ChannelError, match="not recognised"):
            read(data)
    else:
        assert read(data).channels == roles


@pytest.mark.parametrize("dialect", ["ImageJ", "OME", "JSON"])
def test_another_collagen_or_colour(dialect: str, read: Callable[..., Acquisition]) -> None:
    """In each dialect another collagen is refused, and colours against the names are kept in mind."""

    def file(names: list[str], *colours: int) -> bytes:
        if dialect == "ImageJ":
            luts = [palette(colour) for colour in colours]
            return written((2,), imagej=True, metadata={"axes": "CYX", "Labels": names, "LUTs": luts})
        rgba = [0xFF << 24 - 8 * colour for colour in colours]
        metadata = {"axes": "CYX", "Channel": {"Name": names, "Color": rgba}}
        return written((2,), ome=dialect == "OME", metadata=metadata)

    with pytest.raises(ChannelError, match=r"\(nuclei, another collagen\).*than VI: only if it is VI"):
        read(file(["DAPI", "Collagen IV"], 2, 1))
    with pytest.raises(ChannelError, match=r"\(contradictory, collagen\).*do not agree: check the stain"):
        read(file(["DAPI 488", "Collagen VI"], 2, 1))
    assert not read(file(["DAPI", "Collagen VI"], 2, 1)).colours_disagree
    assert read(file(["DAPI", "Collagen VI"], 1, 2)).colours_disagree
    assert not read(file(["DAPI", "Collagen VI"], 1, 2), channels=NUCLEI_FIRST).colours_disagree


def test_operator_names_channels(read: Callable[..., Acquisition]) -> None:
    """What the operator says goes before what the file says."""
    data = written((2,), imagej=True, metadata={"axes": "CYX", "Labels": ["nuclei", "collagen"]})

    assert read(data, channels=["collagen", "nuclei"]).channels == ("collagen", "nuclei")


@pytest.mark.parametrize(
    ("summary", "planned"),
    [
        ({"Slices": 10, "Channels": 2}, 10), ({"Summary": {"Slices": 10}}, 10), ({"Slices": "10"}, None),
        ({"Slices": 0}, None), ({"Slices": -3}, None), ([10], None), ({"Summary": 10}, None),
        ("no JSON", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["ImageJ", "Micro-Manager"])
def test_planned_planes(
    summary: object, planned: int | None, where: str, read: Callable[..., Acquisition]
) -> None:
    """Micro-Manager's summary says how many planes were to be taken; anything odd says nothing."""
    text = summary if isinstance(summary, str) else json.dumps(summary)
    tag = [(51123, 2, len(text) + 1, text, True)] if where == "Micro-Manager" else []
    info = {"Info": text} if where == "ImageJ" else {}
    data = written((2, 2), imagej=True, metadata={"axes": "ZCYX", **info}, extratags=tag)

    assert read(data).planes_planned == planned


MODULO = (
    '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="openmicroscopy.org/omero/dimension/modulo"/>'
)
# Two planes at the end, none before: zeros, were it read.
HOLE = '<TiffData IFD="0" FirstZ="1" PlaneCount="2"/><TiffData IFD="2" FirstZ="1" PlaneCount="2"/>'


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ({"planes": '<TiffData IFD="0" PlaneCount="3"/>'}, IncompleteFileError, "4 planes, but lists 3"),
        ({"planes": '<TiffData IFD="1" PlaneCount="4"/>'}, IncompleteFileError, "lists page 5 of 4"),
        ({"planes": PLANES + '<TiffData IFD="3"/>'}, IncompleteFileError, "but lists 5"),
        ({"planes": '<TiffData IFD="0" PlaneCount="999999999"/>'}, IncompleteFileError, "lists page"),
        ({"planes": '<TiffData IFD="0" PlaneCount="9999999999"/>'}, IncompleteFileError, "no sense"),
        ({"planes": '<TiffData IFD="0" FirstZ="-1" PlaneCount="4"/>'}, IncompleteFileError, "no sense"),
        ({"planes": '<TiffData IFD="0" PlaneCount="2"/>' * 2}, IncompleteFileError, "every plane"),
        ({"planes": HOLE}, IncompleteFileError, "every plane"),
        ({"more": '<BinaryOnly MetadataFile="y.ome" UUID="urn:uuid:1"/>'}, UnsafeFileError, "another file"),
        ({"more": MODULO + "</StructuredAnnotations>"}, AxesError, "modulo"),
        ({"more": "<Image><Pixels/></Image>"}, AxesError, "holds 2 images"),
        ({"more": "<Image>"}, IncompleteFileError, "not well formed"),
        ({"channels": '<Channel SamplesPerPixel="1"/><Channel SamplesPerPixel="3"/>'}, AxesError, "mixes"),
        ({"channels": '<Channel SamplesPerPixel="3"/>'}, IncompleteFileError, "of 2 channels"),
    ],
)
def test_ome_that_cannot_be_true(
    parts: dict[str, str], error: type[AcquisitionError], words: str, read: Callable[..., Acquisition]
) -> None:
    """What OME-XML says is held against the file before the reader acts upon it."""
    with pytest.raises(error, match=words):
        read(ome(**parts))


def test_sizes_that_no_page_has(read: Callable[..., Acquisition]) -> None:
    """Declared width and height are those of the pages."""
    data = ome().replace(b'SizeX="72"', b'SizeX="73"')

    with pytest.raises(IncompleteFileError, match="declares 73 x 64 pixels"):
        read(data)


def test_long_tables_are_read_in_linear_time(read: Callable[..., Acquisition]) -> None:
    """A million entries of a plane table are refused in seconds, not followed a million times."""
    started = time.monotonic()
    with pytest.raises(IncompleteFileError, match="but lists 1,200,000"):
        read(ome(planes="<TiffData/>" * 300_000))

    assert time.monotonic() - started < 20
