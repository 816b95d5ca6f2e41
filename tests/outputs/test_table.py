"""The tables open in a spreadsheet, in napari and in tools for the published program's results."""

import csv
import io
from collections.abc import Callable

import pytest

from colvi_edge.outputs.patches.table import render
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
