"""Which image of an OME-XML a file holds: itself under any name, never another file's."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.errors import AcquisitionError, AxesError, IncompleteFileError, UnsafeFileError

PAGES = np.random.default_rng(6).integers(1, 4096, (12, 64, 72)).astype(np.uint16)
PLAIN = '<TiffData IFD="0" PlaneCount="4"/>'
OWN, OLD = "urn:uuid:6e6d3ab0-1111-4c68-9e6f-0a2b8d0d7d3c", "Acq_MMStack_Pos0.ome.tif"


def image(table: str, name: str = "", order: str = "XYCZT", sizes: tuple[int, int, int] = (2, 2, 1)) -> str:
    """An image of 72 x 64 pixels; sizes are those of Z, C and T."""
    z, c, t = sizes
    return (
        f'<Image ID="Image:0" Name="{name}"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" '
        f'SizeX="72" SizeY="64" SizeZ="{z}" SizeC="{c}" SizeT="{t}" PhysicalSizeX="0.3">{table}</Pixels>'
        "</Image>"
    )


def planes_in(*files: tuple[str | None, str | None]) -> str:
    """One entry for each of the planes of a ZC image, each in the file of this name and UUID."""
    table = ""
    for page, (name, uuid) in enumerate(files):
        file_name = "" if name is None else f' FileName="{name}"'
        elsewhere = "" if uuid is None else f"<UUID{file_name}>{uuid}</UUID>"
        table += f'<TiffData FirstC="{page % 2}" FirstZ="{page // 2}" IFD="{page}">{elsewhere}</TiffData>'
    return table


def written(*images: str, pages: NDArray[Any] = PAGES[:4], root: str = "", **options: Any) -> bytes:
    """The bytes of an OME-TIFF of these pages."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{root}>{"".join(images)}</OME>'
    )
    file = io.BytesIO()
    options = {"photometric": "minisblack", "contiguous": False, "metadata": None, **options}
    with tifffile.TiffWriter(file) as tif:
        for index, page in enumerate(pages):
            tif.write(page, description=xml.encode() if index == 0 else None, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        planes_in(*[(OLD, OWN)] * 4),
        planes_in(*[("P03 Färbung (2).ome.tif", OWN)] * 4),
        planes_in(*[("..", OWN)] * 4),
        planes_in(*[(None, OWN)] * 4),
        planes_in(*[(OLD, OWN)] * 3, (OLD, f"\n{OWN} ")),
        planes_in(*[("X.TIF", OWN)] * 4),
        f'<TiffData IFD="0" PlaneCount="4"><UUID FileName="{OLD}">{OWN}</UUID></TiffData>',
        f'<TiffData><UUID FileName="{OLD}">\n  {OWN}\n</UUID></TiffData>',
        "".join(
            f'<TiffData IFD="{2 * z}" FirstZ="{z}" NumPlanes="2"><UUID>{OWN}</UUID></TiffData>'
            for z in range(2)
        ),
    ],
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (32, 32)}])
def test_a_renamed_file_is_itself(
    table: str, options: dict[str, Any], read: Callable[..., Acquisition]
) -> None:
    """All planes are said to be in one file, whatever it was called, and are here."""
    acquisition = read(written(image(table), **options))

    assert np.array_equal(acquisition.planes, PAGES[:4].reshape(2, 2, 64, 72))
    assert acquisition.pixel_size_um == 0.3


def test_a_renamed_file_keeps_the_order_of_its_planes(read: Callable[..., Acquisition]) -> None:
    """The plane table goes on to tell which page is which plane."""
    places = [(3, 0, 0), (1, 1, 0), (0, 0, 1), (2, 1, 1)]
    table = "".join(
        f'<TiffData IFD="{page}" FirstC="{c}" FirstZ="{z}"><UUID FileName="{OLD}">{OWN}</UUID></TiffData>'
        for page, c, z in places
    )
    planes = read(written(image(table))).planes

    for page, c, z in places:
        assert np.array_equal(planes[z, c], PAGES[page])


def test_a_renamed_picture_is_itself(read: Callable[..., Acquisition]) -> None:
    """One page of three samples is one plane of three channels."""
    picture = np.random.default_rng(7).integers(1, 255, (64, 72, 3), np.uint8)
    table = f'<Channel SamplesPerPixel="3"/><TiffData IFD="0"><UUID FileName="{OLD}">{OWN}</UUID></TiffData>'
    data = written(image(table, sizes=(1, 3, 1)), pages=picture[np.newaxis], photometric="rgb")

    assert np.array_equal(read(data).planes[0], picture.transpose(2, 0, 1))


def test_the_uuid_of_a_file_goes_before_its_name(read: Callable[..., Acquisition]) -> None:
    """A file that has a UUID is the one that its plane table means by it."""
    data = written(image(planes_in(*[(OLD, OWN)] * 4)), root=f' UUID="{OWN}"')

    assert np.array_equal(read(data).planes.reshape(4, 64, 72), PAGES[:4])


OTHER = "urn:uuid:2"


@pytest.mark.parametrize(
    ("files", "present", "root"),
    [
        ([(OLD, OWN)] * 3 + [("b.tif", OTHER)], 4, ""),
        ([(OLD, OWN)] * 3 + [("b.tif", OWN)], 4, ""),
        ([(OLD, OWN)] * 3 + [(OLD, OTHER)], 4, ""),
        ([(OLD, OWN)] * 3 + [(None, None)], 4, ""),
        ([("x.tif", OWN)] * 3 + [("b.tif", OTHER)], 4, ""),
        ([(OLD, OWN)] * 4, 3, ""),
        ([(OLD, OWN)] * 4, 5, ""),
        ([(OLD, OWN)] * 4, 4, f' UUID="{OTHER}"'),
        ([("x.tif", OWN)] * 4, 4, f' UUID="{OTHER}"'),
        ([("/etc/passwd", OWN)] * 4, 4, ""),
        ([("old/a.tif", OWN)] * 4, 4, ""),
        ([("../a.tif", OWN)] * 4, 4, ""),
        ([(r"..\a.tif", OWN)] * 4, 4, ""),
        ([("D:a.tif", OWN)] * 4, 4, ""),
        ([("file:a.tif", OWN)] * 4, 4, ""),
        ([("HTTP:a.tif", OWN)] * 4, 4, ""),
    ],
)
def test_planes_in_other_files_are_refused(
    files: Sequence[tuple[str | None, str | None]], present: int, root: str, read: Callable[..., Acquisition]
) -> None:
    """Of several files, of another UUID, or as many as there are not pages here; and names that are paths."""
    with pytest.raises(UnsafeFileError, match="keeps planes in other files; export it as one OME-TIFF"):
        read(written(image(planes_in(*files)), pages=PAGES[:present], root=root))


@pytest.mark.parametrize("order", ["XYZCT", "XYZTC", "XYCZT", "XYCTZ", "XYTZC", "XYTCZ"])
@pytest.mark.parametrize("table", ["", "<MetadataOnly/>", '<Channel Name="DAPI"/><Channel Name="FITC"/>'])
@pytest.mark.parametrize("root", ["", f' UUID="{OWN}"'])
def test_without_a_table_the_pages_are_the_planes(
    order: str, table: str, root: str, read: Callable[..., Acquisition]
) -> None:
    """In the order that the image declares, the first axis being the fastest."""
    planes = read(written(image(table, order=order, sizes=(3, 2, 1)), pages=PAGES[:6], root=root)).planes

    for z in range(3):
        for c in range(2):
            page = z + 3 * c if order.index("Z") < order.index("C") else c + 2 * z
            assert np.array_equal(planes[z, c], PAGES[page])


def test_without_a_table_a_picture_is_a_plane(read: Callable[..., Acquisition]) -> None:
    """Its samples are channels."""
    picture = np.random.default_rng(8).integers(1, 255, (64, 72, 3), np.uint8)
    xml = image('<Channel SamplesPerPixel="3"/>', sizes=(1, 3, 1))

    planes = read(written(xml, pages=picture[np.newaxis], photometric="rgb")).planes

    assert np.array_equal(planes[0], picture.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("present", "error", "words"),
    [
        (3, IncompleteFileError, "declares 4 planes, but holds 3"),
        (1, IncompleteFileError, "declares 4 planes, but holds 1"),
        (5, AxesError, "holds 5 pages, but describes 4"),
    ],
)
def test_without_a_table_all_planes_are_needed(
    present: int, error: type[AcquisitionError], words: str, read: Callable[..., Acquisition]
) -> None:
    """As many pages as planes, neither fewer nor more."""
    with pytest.raises(error, match=words):
        read(written(image(""), pages=PAGES[:present]))


def at_positions(count: int) -> list[str]:
    """Images of an acquisition at several positions, each in a file of its own."""
    return [
        image(planes_in(*[(f"Acq_MMStack_Pos{i}.ome.tif", f"urn:uuid:{i}")] * 4), name=f"Pos{i}")
        for i in range(count)
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("root", ["", ' UUID="urn:uuid:{}"', ' UUID="urn:uuid:of-the-set"'])
def test_one_of_several_positions_is_read(position: int, root: str, tmp_path: Path) -> None:
    """Micro-Manager tells of all positions in each file: the file's own is known by UUID or by name."""
    images = at_positions(3)
    images[position] = images[position].replace('"0.3"', '"0.25"')
    path = tmp_path / f"acq_mmstack_pos{position}.OME.tif"
    path.write_bytes(written(*images, root=root.format(position)))

    (acquisition,) = acquire(path)

    assert np.array_equal(acquisition.planes.reshape(4, 64, 72), PAGES[:4])
    assert acquisition.pixel_size_um == 0.25


def test_a_position_is_known_by_its_uuid_under_any_name(read: Callable[..., Acquisition]) -> None:
    """Other images may be of other sizes, and lie wherever they like."""
    away = image(f'<TiffData><UUID FileName="/etc/passwd">{OTHER}</UUID></TiffData>', sizes=(9, 9, 9))
    data = written(away, image(planes_in(*[(OLD, OWN)] * 4)), root=f' UUID="{OWN}"')

    assert np.array_equal(read(data).planes.reshape(4, 64, 72), PAGES[:4])


REMEDY = "e.g. in Fiji with File > Import > Bio-Formats, series by series"


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (at_positions(3), AxesError, "describes 3 positions, none .*; give it back the name"),
        ([image(PLAIN), image(PLAIN)], AxesError, f"holds 2 images; .*{REMEDY}"),
        ([image(PLAIN, "Pos0"), image(PLAIN, "1-Pos_001_000")], AxesError, f"holds 2 positions; .*{REMEDY}"),
        ([image(PLAIN, "positive"), image(PLAIN, "P03 positive 2")], AxesError, "holds 2 images"),
        ([image(PLAIN, "Unterpos1"), image(PLAIN, "Unterpos2")], AxesError, "holds 2 images"),
        ([image("", "Position 1"), image("", "Position 2")], AxesError, "holds 2 positions"),
        (
            [image(PLAIN).replace("<Pixels", '<StageLabel Name="A1"/><Pixels')] * 3,
            AxesError,
            "holds 3 positions",
        ),
        (
            [image(planes_in(*[("x.tif", OWN)] * 4), f"Pos{i}") for i in range(5)],
            AxesError,
            "holds 5 positions",
        ),
        (
            [
                image(planes_in(*[("x.tif", OWN)] * 3, ("x_1.tif", OTHER))),
                image(planes_in(*[("b", "b")] * 4)),
            ],
            AxesError,
            "describes 2 images, none",
        ),
        (
            [image(planes_in(*[("x.tif", OWN)] * 6), sizes=(3, 2, 1)), *at_positions(1)],
            IncompleteFileError,
            "lists page 5 of 4",
        ),
        (
            [image(planes_in(*[("x.tif", OWN)] * 2), sizes=(1, 2, 1)), *at_positions(1)],
            AxesError,
            "holds 4 pages, but describes 2",
        ),
    ],
)
def test_several_images_are_told_truthfully(
    images: list[str], error: type[AcquisitionError], words: str, read: Callable[..., Acquisition]
) -> None:
    """Which one the file is cannot be told, or it is not whole; each sentence has a remedy that works."""
    with pytest.raises(error, match=words):
        read(written(*images))


def test_several_images_of_micro_manager_are_positions(read: Callable[..., Acquisition]) -> None:
    """Whatever the operator called them."""
    summary = '{"Summary": {"Positions": 2}}'
    data = written(image(PLAIN, "A"), image(PLAIN, "B"), extratags=[(51123, 2, 0, summary, True)])

    with pytest.raises(AxesError, match=f"holds 2 positions; .*{REMEDY}"):
        read(data)


def test_the_remedy_for_renamed_positions_works(tmp_path: Path) -> None:
    """Under the name that it was saved under, the file is read."""
    path = tmp_path / "renamed.tif"
    path.write_bytes(written(*at_positions(3)))
    with pytest.raises(AxesError, match="give it back the name that it was saved under"):
        list(acquire(path))

    (acquisition,) = acquire(path.rename(tmp_path / "Acq_MMStack_Pos1.ome.tif"))

    assert np.array_equal(acquisition.planes.reshape(4, 64, 72), PAGES[:4])


@pytest.mark.parametrize("table", ['<TiffData IFD="0" PlaneCount="2"/>', "<TiffData/>", ""])
def test_a_reduced_copy_is_no_plane(table: str, read: Callable[..., Acquisition]) -> None:
    """A copy of half the height between the pages is not taken for one of them."""
    file = io.BytesIO()
    xml = f"<OME>{image(table, sizes=(1, 2, 1))}</OME>"
    with tifffile.TiffWriter(file) as tif:
        for page, reduced in ((PAGES[0], False), (PAGES[1][::2], True), (PAGES[2], False)):
            tif.write(
                page,
                photometric="minisblack",
                subfiletype=int(reduced),
                metadata=None,
                description=xml.encode(),
            )

    with pytest.raises(IncompleteFileError, match="takes a reduced copy for a plane"):
        read(file.getvalue())
