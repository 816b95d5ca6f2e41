"""The tables open in a spreadsheet, in napari and in tools for the published program's results."""

import csv
import io
from collections.abc import Callable

import pytest

from colvi_edge.outputs.patch_table import render
from colvi_edge.outputs.sidecar import Image, Sidecar
from colvi_edge.outputs.table import ListedResult, omero_csv, result_csv
from colvi_edge.printable import printable_name

MakeSidecar = Callable[..., Sidecar]


def read(data: bytes) -> list[list[str]]:
    """Read a CSV strictly, as RFC 4180 has it."""
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def named(name: str) -> Image:
    """Return an image of this name that is two patches high and one wide."""
    return Image(name=name, axes="YX", shape=[128, 64])


def test_the_patch_table_holds_every_patch(make_sidecar: MakeSidecar) -> None:
    """Written out by hand: columns, order, places, and napari's pixel centres (y + 31.5)."""
    data = render(make_sidecar([[0.9, 0.5, 0.1]] * 2))

    assert b"\r" not in data
    assert not data.startswith(b"\xef\xbb\xbf")
    lines = data.decode().split("\n")
    assert lines[:4] == [
        "index,image,row,col,minx,miny,width,height,prob_control,prob_patient,prediction,band,axis-0,axis-1",
        "0,culture_07.tif,0,0,0,0,64,64,0.9,0.1,control,cyan,31.5,31.5",
        "1,culture_07.tif,0,1,64,0,64,64,0.5,0.5,tie,yellow,31.5,95.5",
        "2,culture_07.tif,0,2,128,0,64,64,0.1,0.9,patient,red,31.5,159.5",
    ]
    assert lines[6:] == ["5,culture_07.tif,1,2,128,64,64,64,0.1,0.9,patient,red,95.5,159.5", ""]


def test_votes_and_bands_are_those_of_the_sidecar(make_sidecar: MakeSidecar) -> None:
    """A view decides nothing: even a band that contradicts its number is shown as recorded."""
    sidecar = make_sidecar([[0.9]])
    assert sidecar.patches is not None
    odd = sidecar.patches.model_copy(update={"band": [["red"]], "vote": [["tie"]]})

    assert read(render(sidecar.model_copy(update={"patches": odd})))[1][10:12] == ["tie", "red"]


@pytest.mark.parametrize(
    "name",
    ["a,b.tif", 'say "hi".tif', "two\nlines.tif", "M\u00fcller \u7d30\u80de.tif", "plain-1.tif", " .tif"],
)
def test_any_name_is_read_back(make_sidecar: MakeSidecar, name: str) -> None:
    """Commas, quotes and letters of any script survive; a line break is told, and breaks no line."""
    sidecar = make_sidecar([[0.9], [0.1]], image=named(name))

    assert {row[1] for row in read(render(sidecar))[1:]} == {printable_name(name)}
    assert [row[0] for row in read(result_csv([ListedResult(name, sidecar)]))[1:]] == [printable_name(name)]


@pytest.mark.parametrize("first", "=+-@\t")
def test_a_name_is_never_a_formula(make_sidecar: MakeSidecar, first: str) -> None:
    """A spreadsheet must not run what a file is called."""
    name = first + "cmd|' /C calc'!A0.tif"
    sidecar = make_sidecar([[0.9]], image=named(name))

    for table in (render(sidecar), result_csv([ListedResult(name, sidecar)])):
        assert any(cell.startswith("'" + printable_name(first)) for cell in read(table)[1])


@pytest.mark.parametrize("first", "=+-@")
def test_a_model_is_never_a_formula(make_sidecar: MakeSidecar, first: str) -> None:
    """It is a stranger's word, and OMERO finds nothing by it; by the image's name it does."""
    sidecar = make_sidecar([[0.9]], image=named(first + "x\x1b\x85.tif"))
    model = sidecar.model.model_copy(update={"name": first + "cmd|' /C calc'!A0\x1b\x9b\u202e"})
    _, columns, row = read(omero_csv([ListedResult("x.tif", sidecar.model_copy(update={"model": model}))]))

    cells = dict(zip(columns, row, strict=True))
    assert cells["Image Name"] == first + r"x\x1b\x85.tif"
    assert cells["model"].startswith(f"'{first}cmd|' /C calc'!A0\\x1b\\x9b\\u202e ")


def test_a_name_that_is_not_text_is_escaped(make_sidecar: MakeSidecar) -> None:
    """A surrogate cannot be written as UTF-8; the table is written all the same."""
    sidecar = make_sidecar([[0.9]], image=named("M\udcfcller.tif"))

    assert read(render(sidecar))[1][1] == r"M\udcfcller.tif"


def test_a_carriage_return_does_not_end_a_row(make_sidecar: MakeSidecar) -> None:
    """Python's csv leaves a lone one unquoted, and other readers then see two rows."""
    data = render(make_sidecar([[0.9]], image=named("a\rb.tif")))

    assert b"\r" not in data
    assert read(data)[1][1] == r"a\rb.tif"


def test_an_image_of_several_is_named_with_its_key(make_sidecar: MakeSidecar) -> None:
    """Rows of two images of one file can be told apart."""
    image = Image(name="X.lif", key="0003-Series004", axes="YX", shape=[64, 64])

    assert read(render(make_sidecar([[0.9]], image=image)))[1][1] == "X.lif.0003-Series004"


def test_the_result_table_is_the_published_one(make_sidecar: MakeSidecar) -> None:
    """Share of control patches to three decimals, unsure on a tie, rejected images left out."""
    grids = [[[0.9, 0.8, 0.1]], [[0.9, 0.1]], [[0.2] * 8 + [0.7]]]
    results = [ListedResult(f"{number}.tif", make_sidecar(grid)) for number, grid in enumerate(grids)]
    results.insert(1, ListedResult("rejected.tif", make_sidecar(None)))

    assert result_csv(results).decode() == (
        "image_name,prediction,probability\n"
        "0.tif,control,0.667\n"
        "1.tif,unsure,0.500\n"
        "2.tif,patient,0.111\n"
    )  # fmt: skip


def test_a_rejected_image_has_no_patch_table(make_sidecar: MakeSidecar) -> None:
    """Asking for one is a bug, not an empty table."""
    with pytest.raises(ValueError, match="rejected"):
        render(make_sidecar(None))
