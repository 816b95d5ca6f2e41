"""The table of an image's patches opens in a spreadsheet, in napari and in tools for WSInfer's results."""

import csv
import io
from collections.abc import Callable

import pytest

from colvi_edge.outputs.patches.table import render
from colvi_edge.outputs.sidecar import Image, Sidecar

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


def test_a_rejected_image_has_no_patch_table(make_sidecar: MakeSidecar) -> None:
    """Asking for one is a bug, not an empty table."""
    with pytest.raises(ValueError, match="rejected"):
        render(make_sidecar(None))
