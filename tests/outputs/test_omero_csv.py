"""The table for OMERO, by the rules of `omero metadata populate`; its plugin needs a server to run.

The rules are those of omero-metadata 0.14: the first row may say the columns' types, a header cell is
never empty, "Image Name" finds the image, and an empty number stops the import.
"""

import csv
import io
from collections.abc import Callable
from math import isnan
from typing import Any

import pytest

from colvi_edge.outputs.sidecar import Image, QualityFlag, Sidecar
from colvi_edge.outputs.table import ListedResult, omero_csv

MakeSidecar = Callable[..., Sidecar]

TYPES = {"s": str, "d": float, "l": int}


def populate(data: bytes) -> list[dict[str, Any]]:
    """Return the rows, converted as the plugin converts them."""
    types, names, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig")), delimiter=",")
    assert types[0].startswith("# header ")
    converts = [TYPES[kind] for kind in (types[0].removeprefix("# header "), *types[1:])]
    assert len(converts) == len(names)
    assert all(names)
    assert all(len(row) == len(names) for row in rows)
    return [
        {name: convert(cell) for name, convert, cell in zip(names, converts, row, strict=True)}
        for row in rows
    ]


def test_the_table_is_this_one(make_sidecar: MakeSidecar) -> None:
    """Written out by hand: a row an image, types before names."""
    listed = ListedResult("P01/culture_07.tif", make_sidecar([[0.9, 0.8, 0.5, 0.1]]))

    assert omero_csv([listed]).decode() == (
        "# header s,s,s,d,l,l,l,d,s,s,s,s,s,s\n"
        "Image Name,status,diagnosis,score,votes_control,votes_patient,votes_tie,coverage,quality,model,"
        "model_sha256,result_id,intended_use,path\n"
        "culture_07.tif,ok,control,50.0,2,1,1,1.0,,colvi-edge synthetic demo model 1.0,"
        f"{'cd' * 32},12345678-1234-5678-9234-567812345678,"
        "Research use only. Not for use in diagnostic procedures.,P01/culture_07.tif\n"
    )


def test_a_rejected_image_is_there_and_has_no_score(make_sidecar: MakeSidecar) -> None:
    """NaN is a number to OMERO; an empty cell is none, and loses the whole table."""
    flag = QualityFlag(name="focus", severity="reject", words='The nuclei are "out of focus".')
    sidecars = [make_sidecar([[0.9]]), make_sidecar(None, quality=[flag])]
    good, rejected = populate(
        omero_csv(ListedResult(str(number), one) for number, one in enumerate(sidecars))
    )

    assert (good["status"], good["score"]) == ("ok", 100)
    assert (rejected["status"], rejected["diagnosis"]) == ("rejected", "")
    assert isnan(rejected["score"])
    assert (rejected["votes_control"], rejected["votes_patient"], rejected["votes_tie"]) == (0, 0, 0)
    assert rejected["quality"] == 'The nuclei are "out of focus".'


@pytest.mark.parametrize(
    ("name", "key", "in_omero"),
    [
        ("culture, 7.tif", "", "culture, 7.tif"),
        ("-dox_01.tif", "", "-dox_01.tif"),
        ("M\u00fcller.tif", "", "M\u00fcller.tif"),
        ("X.lif", "0003-Series004", "X.lif [Series004]"),
    ],
)
def test_the_name_is_the_one_that_omero_knows(
    make_sidecar: MakeSidecar, name: str, key: str, in_omero: str
) -> None:
    """To the letter, or the row finds no image."""
    image = Image(name=name, key=key, axes="YX", shape=[64, 64])

    for path in ("a", "=P01/b"):
        (row,) = populate(omero_csv([ListedResult(path, make_sidecar([[0.9]], image=image))]))
        assert row["Image Name"] == in_omero
        assert row["path"] == path


def test_without_results_there_is_a_table_without_rows() -> None:
    """An empty folder is no error."""
    assert populate(omero_csv([])) == []
