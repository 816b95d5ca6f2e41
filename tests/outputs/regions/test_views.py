"""The files of a segmented image in its folder: which they are, that they agree, and what tables say."""

import csv
import io
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from colvi_edge.choices import OverlayChoice
from colvi_edge.outputs.cells import headline
from colvi_edge.outputs.intact import intact_sidecar
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.outputs.table import ListedResult, folder_csv, folder_row, omero_csv, result_csv
from colvi_edge.system.writing import hold_folder
from colvi_edge.tasks.segment import Segmentation
from tests.tools.results import files_of
from tests.tools.segmentations import leave, record_of, segmented

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]
MakeSidecar = Callable[..., Sidecar]

RAW = "cells_01.tif"
FILES = files_of(RAW, "labels.tif")


@pytest.mark.parametrize("planes", [1, 2])
def test_a_result_is_those_and_labels_with_their_hashes(
    tmp_path: Path, make_segmentation: MakeSegmentation, make_record: MakeRecord, planes: int
) -> None:
    """The sidecar lists the others, as they were written; and an OME-TIFF where it is asked for."""
    result = make_segmentation(planes)
    written = leave(tmp_path, make_record(result), result)
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}

    assert set(found) == FILES
    assert {one.name: one.sha256 for one in written.outputs} == {
        name: digest for name, digest in found.items() if not name.endswith(".json")
    }
    with hold_folder(tmp_path, "results") as folder_fd:
        assert intact_sidecar(folder_fd, RAW) == written
        (tmp_path / f"{RAW}.colvi.labels.tif").unlink()
        assert intact_sidecar(folder_fd, RAW) is None
    leave(tmp_path, make_record(result), result, overlay=OverlayChoice.OME_TIFF)
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, f"{RAW}.colvi.ome.tif"}


def test_every_file_has_the_sidecars_numbers(
    tmp_path: Path, make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """Counts and areas, read back from each by a program that is not ours."""
    result = make_segmentation()
    leave(tmp_path, make_record(result), result)
    record = json.loads((tmp_path / f"{RAW}.colvi.json").read_bytes())
    areas = {region["name"]: region["pixels"] for region in record["regions"]}

    labels = tifffile.imread(tmp_path / f"{RAW}.colvi.labels.tif")
    assert labels.max() == record["objects"]["count"] == 20
    assert np.count_nonzero(labels) == sum(areas.values())
    with (tmp_path / f"{RAW}.colvi.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for name, count in record["objects"]["by_class"].items():
        assert [row["class"] for row in rows].count(name) == count
        assert sum(int(row["area_px"]) for row in rows if row["class"] == name) == areas[name]
    inner = [float(row["diameter_um"]) for row in rows if row["touches_border"] == "0"]
    assert len(inner) == record["objects"]["counted"]
    assert np.median(inner) == pytest.approx(record["objects"]["diameter_um"]["median"])
    features = json.loads((tmp_path / f"{RAW}.colvi.geojson").read_bytes())["features"]
    kinds = [feature["properties"]["objectType"] for feature in features]
    assert (kinds.count("annotation"), kinds.count("detection")) == (3, 20)


def test_another_result_takes_its_place_and_nothing_is_left(
    tmp_path: Path, make_segmentation: MakeSegmentation, make_record: MakeRecord, make_sidecar: MakeSidecar
) -> None:
    """Of a classification, or of a rejected image, there are no labels; the sidecar before stays aside."""
    result = make_segmentation()
    leave(tmp_path, make_record(result), result)
    rejected = make_record(result, status="rejected", regions=None, objects=None, result_id="0" * 32)
    leave(tmp_path, rejected, None)

    assert {path.name for path in tmp_path.iterdir()} == {
        f"{RAW}.colvi.json",
        f"{RAW}.colvi.png",
        f"{RAW}.colvi.prev.json",
    }


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("with_objects", [True, False])
def test_nothing_and_everything(tmp_path: Path, value: int, with_objects: bool) -> None:
    """An image without any object, and one that is a single one, have all their files as well."""
    result = segmented(np.full((1, 40, 50), value, np.uint8), with_objects=with_objects)
    record = leave(tmp_path, record_of(result), result, overlay=OverlayChoice.OME_TIFF)

    assert {path.name for path in tmp_path.iterdir()} == {*FILES, f"{RAW}.colvi.ome.tif"}
    words = "1 nucleus, 0 vesicles" if value else "0 nuclei, 0 vesicles"
    if not with_objects:
        words = f"nucleus {100 * value:.1f} %, vesicle 0.0 % of the image"
    assert headline(record) == f"{words} (research use only)"
    assert tifffile.imread(tmp_path / f"{RAW}.colvi.labels.tif").max() == value
    features = json.loads((tmp_path / f"{RAW}.colvi.geojson").read_bytes())["features"]
    assert len(features) == 1 + value * (1 + with_objects)


def test_the_lines_lie_inside_and_are_two_pixels_wide(
    tmp_path: Path, make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """In the colour of the class; nothing else of the picture changes; dashed at the border."""
    result = make_segmentation()
    assert result.objects
    leave(tmp_path, make_record(result), result)
    drawn = np.asarray(Image.open(tmp_path / f"{RAW}.colvi.png"))[:160, :220].astype(int)
    rejected = make_record(result, status="rejected", regions=None, objects=None)
    leave(tmp_path, rejected, None)
    plain = np.asarray(Image.open(tmp_path / f"{RAW}.colvi.png"))[:160, :220].astype(int)
    labels = result.objects.labels[0]
    is_grey = (drawn == drawn[..., :1]).all(axis=2)
    border = {row.label for row in result.objects.rows if row.touches_border}
    assert border

    padded = np.pad(labels, 1, mode="edge")
    near = np.zeros(labels.shape, bool)
    for shift in ((0, 1), (2, 1), (1, 0), (1, 2)):
        near |= padded[shift[0] : shift[0] + 160, shift[1] : shift[1] + 220] != labels
    np.testing.assert_array_equal(drawn[is_grey], plain[is_grey])
    for y, x in np.argwhere(~is_grey):
        assert labels[y, x], (y, x)
        window = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        ring = near[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert (ring & (window == labels[y, x])).any(), (y, x)
    outer = near & (labels > 0)
    whole = outer & ~np.isin(labels, list(border))
    assert not is_grey[whole].any()
    dashed = outer & np.isin(labels, list(border))
    assert 0.3 < is_grey[dashed].mean() < 0.7
    for index in (1, 2):
        of_class = whole & (result.labels[0] == index)
        assert len(np.unique(drawn[of_class], axis=0)) == 1


def test_headlines_stand_alone(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> None:
    """Objects of one class with their area, of several each, and regions alone."""
    both = make_record(make_segmentation())
    regions, objects = both.regions, both.objects
    assert regions
    assert objects
    one = both.model_copy(
        update={
            "regions": regions[:1],
            "objects": objects.model_copy(update={"count": 412, "by_class": {"nucleus": 412}}),
        }
    )
    single = one.model_copy(update={"objects": objects.model_copy(update={"by_class": {"nucleus": 1}})})
    share = 100 * regions[0].share

    assert headline(both) == "13 nuclei, 7 vesicles (research use only)"
    assert headline(one) == f"412 nuclei, {share:.1f} % of the image (research use only)"
    assert headline(single).startswith("1 nucleus, ")
    alone = headline(make_record(make_segmentation(with_objects=False)))
    told = f"nucleus {share:.1f} %, vesicle {100 * regions[1].share:.1f} %"
    assert alone == f"{told} of the image (research use only)"


def test_tables_hold_both_kinds(
    make_segmentation: MakeSegmentation, make_record: MakeRecord, make_sidecar: MakeSidecar
) -> None:
    """What one kind has not is empty, or, for OMERO, NaN and 0; the paper's table has only diagnoses."""
    colvi, cells = make_sidecar([[0.9, 0.2, 0.1]]), make_record(make_segmentation())
    rows = [("a.tif", colvi), ("b.tif", cells)]
    table = list(
        csv.DictReader(io.StringIO(folder_csv(folder_row(path, record) for path, record in rows).decode()))
    )
    assert cells.regions
    assert cells.objects
    assert cells.objects.diameter_um
    assert (table[0]["diagnosis"], table[0]["share_nucleus"]) == ("patient", "")
    assert (table[1]["diagnosis"], table[1]["votes_control"]) == ("", "")
    assert float(table[1]["share_nucleus"]) == cells.regions[0].share
    assert float(table[1]["area_um2_vesicle"]) == cells.regions[1].area_um2
    assert (table[1]["objects_nucleus"], table[1]["objects_vesicle"]) == ("13", "7")
    assert float(table[1]["diameter_um_median"]) == cells.objects.diameter_um.median

    listed = [ListedResult(path, record) for path, record in rows]
    kinds, *lines = csv.reader(io.StringIO(omero_csv(listed).decode()))
    by_name = dict(zip(lines[0], [kinds[0].removeprefix("# header "), *kinds[1:]], strict=True))
    assert (by_name["share_nucleus"], by_name["objects_nucleus"]) == ("d", "l")
    first, second = (dict(zip(lines[0], line, strict=True)) for line in lines[1:])
    assert (first["share_nucleus"], first["objects_nucleus"]) == ("NaN", "0")
    assert (second["score"], second["objects_nucleus"], second["path"]) == ("NaN", "13", "b.tif")
    assert result_csv(listed).decode().splitlines()[1:] == ["a.tif,patient,0.333"]


def test_columns_of_a_table_are_bounded(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> None:
    """Of ever other classes the first have columns; of each image the table tells how many have none."""
    result = make_segmentation(with_objects=False)
    record = make_record(result)
    assert record.regions

    def listed(count: int) -> list[ListedResult]:
        found = []
        for number in range(count):
            names = (f"a{number}", f"b{number}")
            regions = [
                region.model_copy(update={"name": name})
                for region, name in zip(record.regions or (), names, strict=True)
            ]
            found.append(ListedResult(f"{number}.tif", record.model_copy(update={"regions": regions})))
        return found

    for count in (100, 400):
        many = listed(count)
        folder = folder_csv(folder_row(*one) for one in many).decode()
        kinds, *omero = csv.reader(io.StringIO(omero_csv(many).decode()))
        for rows in ([*csv.reader(io.StringIO(folder))], omero):
            head, *cells = rows
            first, last = (dict(zip(head, row, strict=True)) for row in (cells[0], cells[-1]))
            assert len(cells) == count
            assert first["share_a0"] == str(record.regions[0].share)
            if count == 100:
                assert last["share_b99"] == str(record.regions[1].share)
                assert "left_out" not in head
            else:
                assert len(head) < 550
                assert first["left_out"] == "0"
                assert last["left_out"] == "4"  # share and area of both
                assert "share_b399" not in head
        assert len(kinds) == len(omero[0])
        assert omero[0][-1] == "path"
