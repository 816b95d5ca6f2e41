"""One bright healthy patch in a sick culture: every file points at it, and at no other place.

The published code drew its frames transposed. Row 2, column 9 of an image that is not square tells
rows from columns, and each file is read by a program that is not ours.
"""

import csv
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import ome_types
import pytest
import roifile
from numpy.typing import NDArray
from PIL import Image

from colvi_edge.simulate import simulate_projection

ROW, COL = 2, 9
X, Y = 576, 128
CYAN, RED = (0, 255, 255), (255, 0, 0)


@pytest.fixture(scope="module")
def lit(show: Callable[[NDArray[np.uint16]], Any]) -> Any:
    """Return the diagnosed image: 12 x 16 patches, all of them sick but one."""
    image = simulate_projection("patient", 5, severity=1, difficulty=0)[:, :768]
    healthy = simulate_projection("control", 6, difficulty=0, size_px=256)
    image[:, Y : Y + 64, X : X + 64] = 2 * healthy[:, 64:128, 64:128]
    return show(image)


def test_the_json_says_where_it_is(lit: Any) -> None:
    """The only vote for control stands at [row][col] of the grid."""
    grid = lit.record["patches"]

    assert (grid["rows"], grid["cols"]) == (12, 16)
    assert np.argwhere(np.array(grid["vote"]) == "control").tolist() == [[ROW, COL]]
    assert grid["band"][ROW][COL] == "cyan"
    assert grid["band"][COL][ROW] == "red"


def test_the_pictures_frame_lies_round_the_bright_patch(lit: Any) -> None:
    """The one cyan frame surrounds the one bright patch, on the pixels that the raw image has it on."""
    picture = np.asarray(Image.open(lit.picture))[:768, :1024]
    cells = picture.reshape(12, 64, 16, 64, 3)
    cyan = (cells == CYAN).all(axis=-1)
    collagen = lit.raw[1].reshape(12, 64, 16, 64).mean(axis=(1, 3))
    shown = cells[:, 8:-8, :, 8:-8, 1].mean(axis=(1, 3))

    frame = np.zeros((64, 64), bool)
    frame[1:63, 1:63] = True
    frame[3:61, 3:61] = False
    assert cyan[ROW, :, COL][frame].all()
    assert np.argwhere(cyan[:, 1, :, 1:63].all(axis=-1)).tolist() == [[ROW, COL]]
    assert np.unravel_index(collagen.argmax(), (12, 16)) == (ROW, COL)
    assert np.unravel_index(shown.argmax(), (12, 16)) == (ROW, COL)
    assert tuple(cells[COL, 1, ROW, 20]) == RED


def test_the_geojson_tile_lies_on_it(lit: Any) -> None:
    """One tile in the colour of the healthiest band, its corners those of the patch."""
    features = json.loads(lit.geojson.read_bytes())["features"]
    (tile,) = [each for each in features if each["properties"]["color"] == list(CYAN)]

    assert tile["geometry"]["coordinates"] == [[[X, Y], [X + 64, Y], [X + 64, Y + 64], [X, Y + 64], [X, Y]]]
    measured = tile["properties"]["measurements"]
    assert (measured["row"], measured["col"]) == (ROW, COL)
    assert measured["p_control"] == lit.record["patches"]["p_control"][ROW][COL]


def test_the_roi_lies_on_it(lit: Any) -> None:
    """Roifile finds one ROI with that outline colour, at the patch."""
    rois: Any = roifile.roiread(lit.roi_zip)
    (roi,) = [each for each in rois if each.stroke_color == b"\xff\x00\xff\xff"]

    assert (roi.name, roi.left, roi.top, roi.right, roi.bottom) == ("r02_c09", X, Y, X + 64, Y + 64)


def test_the_tables_row_points_at_it(lit: Any) -> None:
    """One row votes control: its corner and its centre, which napari counts from pixels' centres."""
    with lit.table.open(newline="") as lines:
        (row,) = [each for each in csv.DictReader(lines) if each["prediction"] == "control"]

    assert (row["row"], row["col"], row["minx"], row["miny"]) == (str(ROW), str(COL), str(X), str(Y))
    assert (row["axis-0"], row["axis-1"]) == (str(Y + 31.5), str(X + 31.5))


def test_the_ome_roi_lies_on_it(lit: Any) -> None:
    """ome-types finds one rectangle with that outline, and the image's brightest patch below it."""
    ome: Any = ome_types.from_tiff(lit.ome_tiff)
    rectangles = [roi.union[0] for roi in ome.rois]
    (found,) = [each for each in rectangles if each.stroke_color.as_rgb_tuple() == CYAN]

    assert (found.x, found.y, found.width, found.height) == (X, Y, 64, 64)
    assert found.text.startswith("r02_c09 ")
