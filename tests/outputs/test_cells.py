"""What is written of other classes than control and patient: it agrees in itself, and is read back."""

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image as Pillow

from colvi_edge.outputs.cells import cells, counts_of, headline, scored
from colvi_edge.outputs.palette import class_colours
from colvi_edge.outputs.patches import geojson, rois
from colvi_edge.outputs.patches import table as patch_table
from colvi_edge.outputs.picture import overlay
from colvi_edge.outputs.read_back import MAX_PARTS, MAX_RECORD_BYTES, MAX_VALUES, parsed
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import (
    ErrorRecord,
    Index,
    Sidecar,
    json_schema,
    most_cells,
    recordable,
    to_json,
)
from colvi_edge.outputs.table import ListedResult, folder_csv, folder_row, omero_csv, result_csv
from colvi_edge.report.entries import entry
from colvi_edge.report.samples import NamePattern
from tests.tools.cells import MAJORITY, config_of, sidecar_of
from tests.tools.hostile import every, some

NAMES = ("alpha", "beta", "gamma")
THRESHOLD = {"rule": "threshold", "of": "ill", "at_least": 0.4}
SHARE = {"rule": "share", "of": "healthy", "above": 0.1}
A, B, C, TIE = (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.2, 0.2, 0.6), (0.4, 0.4, 0.2)


def of_patches() -> Sidecar:
    """Return the record of six patches: three beta, one of each other, and a tie."""
    return sidecar_of([[[A, B, TIE], [B, C, B]]], config_of(NAMES, MAJORITY))


def of_image() -> Sidecar:
    """Return the record of a whole image, just at its threshold."""
    return sidecar_of([[[[0.6, 0.4]]]], config_of(("well", "ill"), THRESHOLD, "image"))


def of_stack() -> Sidecar:
    """Return the record of ten slices of which one looks healthy: ill."""
    slices = [[[[0.9, 0.1]]], *[[[[0.3, 0.7]]]] * 9]
    return sidecar_of(slices, config_of(("healthy", "ill"), SHARE, "slice"))


RECORDS = {"patch": of_patches, "image": of_image, "slice": of_stack}


def plain(sidecar: Sidecar) -> dict[str, Any]:
    """Return a record as a reader of JSON gets it."""
    return dict(json.loads(to_json(sidecar)))


def test_what_is_written_by_hand() -> None:
    """Each key of a record of three classes; none that is the paper's alone."""
    told = plain(of_patches())

    assert told["task"] == {"kind": "classify", "classes": ["alpha", "beta", "gamma"], "rule": "majority"}
    assert (told["diagnosis"], told["score"]) == ("beta", 50.0)
    assert told["votes"] == {"alpha": 1, "beta": 3, "gamma": 1, "tie": 1}
    assert told["patches"] == {
        "of": "patch",
        "size_px": 64,
        "rows": 2,
        "cols": 3,
        "probabilities": {
            "alpha": [[0.7, 0.1, 0.4], [0.1, 0.2, 0.1]],
            "beta": [[0.2, 0.8, 0.4], [0.8, 0.2, 0.8]],
            "gamma": [[0.1, 0.1, 0.2], [0.1, 0.6, 0.1]],
        },
        "vote": [["alpha", "beta", "tie"], ["beta", "gamma", "beta"]],
    }


@pytest.mark.parametrize("kind", RECORDS)
def test_records_are_read_back_and_fit_the_schema(kind: str) -> None:
    """Of patches, of a whole image and of a stack."""
    sidecar = RECORDS[kind]()
    text = to_json(sidecar)

    Draft202012Validator(json_schema()).validate(json.loads(text))
    assert parsed(Sidecar, text) == sidecar
    assert to_json(sidecar) == to_json(Sidecar.model_validate_json(text))


def test_the_rules_stand_in_the_record() -> None:
    """With what they are of: whoever reads it can count again."""
    assert plain(of_image())["task"]["at_least"] == 0.4
    assert of_image().diagnosis == "ill"
    assert of_image().score == pytest.approx(40)
    assert plain(of_stack())["task"]["above"] == 0.1
    assert of_stack().diagnosis == "ill"
    assert of_stack().score == pytest.approx(10)
    assert [scored(make()) for make in RECORDS.values()] == ["100 = all agree", "100 = ill", "100 = healthy"]
    assert headline(of_image()) == "ill, score 40.0 (research use only)"


def test_classes_may_be_called_control_patient_and_another() -> None:
    """Their votes are those of a task, not the paper's: none of them is lost."""
    sidecar = sidecar_of([[[A, B, C]]], config_of(("control", "patient", "carrier"), MAJORITY))

    read = parsed(Sidecar, to_json(sidecar))

    assert read == sidecar
    assert dict(counts_of(sidecar)) == {"control": 1, "patient": 1, "carrier": 1, "tie": 0}
    assert sidecar.diagnosis == "unsure"


def grids(record: dict[str, Any]) -> dict[str, Any]:
    """Return the probabilities of a record."""
    found: dict[str, Any] = record["patches"]["probabilities"]
    return found


SPOILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another diagnosis": lambda one: one.update(diagnosis="alpha"),
    "no class": lambda one: one.update(diagnosis="delta"),
    "another score": lambda one: one.update(score=49),
    "a vote too many": lambda one: one["votes"].update(alpha=2),
    "votes exchanged": lambda one: one["votes"].update(alpha=3, beta=1),
    "votes in another order": lambda one: one.update(votes=dict(reversed(one["votes"].items()))),
    "a class without votes": lambda one: one["votes"].pop("gamma"),
    "no tie": lambda one: one["votes"].pop("tie"),
    "a vote that its outputs do not give": lambda one: one["patches"]["vote"][0].__setitem__(0, "beta"),
    "outputs that give another vote": lambda one: grids(one)["beta"][0].__setitem__(0, 0.9),
    "no probability": lambda one: grids(one)["beta"][0].__setitem__(0, 1.5),
    "a row too short": lambda one: grids(one)["beta"][0].pop(),
    "a grid too few": lambda one: grids(one).pop("beta"),
    "other rows": lambda one: one["patches"].update(rows=3),
    "no size": lambda one: one["patches"].pop("size_px"),
    "slices in columns": lambda one: (one["patches"].update(of="slice"), one["patches"].pop("size_px")),
    "another order of classes": lambda one: one["task"].update(classes=["beta", "alpha", "gamma"]),
    "a class twice": lambda one: one["task"].update(classes=["alpha", "alpha", "gamma"]),
    "another rule": lambda one: one["task"].update(rule="share", of="alpha", above=0.1),
    "no rule that is known": lambda one: one["task"].update(rule="guess"),
    "no task": lambda one: one.pop("task"),
    "rejected": lambda one: one.update(status="rejected"),
    "the paper's patches": lambda one: one["patches"].update(
        p_control=grids(one)["alpha"], p_patient=grids(one)["beta"],
        band=[["red"] * 3] * 2, vote=[["control"] * 3] * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_what_does_not_follow_is_no_record(how: str) -> None:
    """Each by itself: the rest of the record is as it was written."""
    told = copy.deepcopy(plain(of_patches()))
    assert parsed(Sidecar, json.dumps(told).encode()) is not None
    SPOILT[how](told)

    assert parsed(Sidecar, json.dumps(told).encode()) is None


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("image", {"of": "well"}),
        ("image", {"of": "none"}),
        ("image", {"of": None}),
        ("image", {"at_least": 0.41}),
        ("image", {"at_least": None}),
        ("image", {"rule": "majority"}),
        ("slice", {"above": 0.09}),
        ("slice", {"of": "ill"}),
    ],
)
def test_another_rule_has_another_diagnosis_or_score(kind: str, changes: dict[str, Any]) -> None:
    """So that a record whose rule was changed is none."""
    told = plain(RECORDS[kind]())
    told["task"].update(changes)
    told["task"] = {key: value for key, value in told["task"].items() if value is not None}

    assert parsed(Sidecar, json.dumps(told).encode()) is None


def test_slices_are_those_of_the_image() -> None:
    """A row for each plane; of an image whose planes or size are not told there are none."""
    told = plain(of_stack())
    for changes in ({"planes": 9}, {"shape": [2]}, {"axes": "CY"}):
        changed = {**told, "image": {**told["image"], **changes}}
        assert parsed(Sidecar, json.dumps(changed).encode()) is None


def use(record: Sidecar) -> None:
    """Do with a record what its readers do."""
    entry(record, "", "x.tif.colvi.json", NamePattern())
    listed = [ListedResult("x.tif", record)]
    for table in (result_csv(listed), omero_csv(listed), folder_csv([folder_row("x.tif", record)])):
        assert table
    headline(record)
    if record.status == "ok":
        patch_table.render(record)


@pytest.mark.parametrize("kind", RECORDS)
def test_each_extreme_in_each_place(kind: str) -> None:
    """A number beyond its bound, a text without end, other types: no record, or one that can be used."""
    refused = used = 0
    for text in every(plain(RECORDS[kind]())):
        assert parsed(ErrorRecord, text) is None
        assert parsed(Index, text) is None
        record = parsed(Sidecar, text)
        refused += record is None
        if record is not None:
            used += 1
            use(record)
    assert refused > used > 0


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(RECORDS)).flatmap(lambda kind: some(plain(RECORDS[kind]()))))
def test_whatever_stands_in_a_record(text: bytes) -> None:
    """Random values, keys that come twice, cut and changed bytes."""
    record = parsed(Sidecar, text)
    assert record is None or to_json(record)


@pytest.mark.parametrize(("classes", "cols"), [(2, 8), (3, 8), (8, 8), (63, 4), (64, 1)])
def test_the_largest_records_are_read_back(classes: int, cols: int) -> None:
    """As many cells as are recorded of so many classes, with numbers and names that take most room."""
    rows = 4032 if cols == 1 else min(most_cells(classes) // cols, 2**18 // (classes + 1))
    assert recordable(rows, cols, classes)
    assert not recordable(2 * rows, cols, classes)
    names = tuple(f"{number:02}{'x' * 38}" for number in range(classes))
    shape = (rows, 1, 1, classes) if cols == 1 else (1, rows, cols, classes)
    kept = np.random.default_rng(0).uniform(1e-8, 1e-7, shape)
    config = config_of(names, MAJORITY, "slice" if cols == 1 else "patch")
    text = to_json(sidecar_of(kept, config))

    assert len(text) < MAX_RECORD_BYTES
    assert text.count(b",") < MAX_VALUES
    assert text.count(b"[") + text.count(b"{") + text.count(b":") < MAX_PARTS
    assert parsed(Sidecar, text) is not None


# --- views


def test_cells_lie_where_they_were_judged() -> None:
    """Patches by row and column; a whole image, and each slice, on all of its pixels."""
    assert [(cell.name, cell.x, cell.y, cell.vote) for cell in cells(of_patches())] == [
        ("r00_c00", 0, 0, "alpha"), ("r00_c01", 64, 0, "beta"), ("r00_c02", 128, 0, "tie"),
        ("r01_c00", 0, 64, "beta"), ("r01_c01", 64, 64, "gamma"), ("r01_c02", 128, 64, "beta"),
    ]  # fmt: skip
    (image,) = cells(of_image())
    assert (image.name, image.x, image.y, image.width, image.height, image.plane) == (
        "image",
        0,
        0,
        64,
        64,
        None,
    )
    assert [(cell.name, cell.plane, cell.vote) for cell in cells(of_stack())][:2] == [
        ("s001", 0, "healthy"), ("s002", 1, "ill"),
    ]  # fmt: skip


def test_the_patch_table_has_a_column_for_each_class() -> None:
    """And no band; the slices of a stack have three axes."""
    lines = patch_table.render(of_patches()).decode().splitlines()
    assert lines[:2] == [
        "index,image,row,col,minx,miny,width,height,prob_alpha,prob_beta,prob_gamma,prediction,axis-0,axis-1",
        "0,slide.tif,0,0,0,0,64,64,0.7,0.2,0.1,alpha,31.5,31.5",
    ]
    lines = patch_table.render(of_stack()).decode().splitlines()
    assert lines[2].endswith(",0.3,0.7,ill,1,31.5,31.5")


def test_tiles_and_rois_have_the_colours_of_the_classes() -> None:
    """In QuPath by their classification, in ImageJ by stroke and group; a slice lies on its plane."""
    colours = class_colours(NAMES)
    field, *tiles = json.loads(geojson.render(of_patches()))["features"]
    assert field["properties"]["measurements"] == {
        "score": 50.0, "votes_alpha": 1, "votes_beta": 3, "votes_gamma": 1, "votes_tie": 1, "coverage": 1.0,
    }  # fmt: skip
    first = tiles[0]["properties"]
    assert first["classification"] == {"name": "alpha", "color": list(colours["alpha"])}
    assert first["measurements"] == {"p_alpha": 0.7, "p_beta": 0.2, "p_gamma": 0.1, "row": 0, "col": 0}
    assert tiles[2]["properties"]["classification"]["name"] == "tie"
    drawn = [roifile.ImagejRoi.frombytes(data) for _, data in rois.imagej_rois(of_patches())]
    assert [roi.group for roi in drawn] == [1, 2, 0, 2, 3, 2]
    assert tuple(drawn[0].stroke_color[1:]) == colours["alpha"]
    assert drawn[0].props == "p_alpha: 0.7\np_beta: 0.2\np_gamma: 0.1\nvote: alpha\n"
    _, *slices = json.loads(geojson.render(of_stack()))["features"]
    assert [tile["geometry"]["plane"]["z"] for tile in slices] == list(range(10))
    on_planes = [roifile.ImagejRoi.frombytes(data) for _, data in rois.imagej_rois(of_stack())]
    assert [roi.z_position for roi in on_planes] == list(range(1, 11))


def seen(sidecar: Sidecar) -> np.ndarray:
    """Return the overlay of black channels, as Pillow decodes it."""
    height, width = sidecar.image.shape[1:]  # type: ignore[index] # it has one
    black = Shown(np.zeros((2, height, width), np.uint16), ("collagen", "nuclei"))
    file = overlay.encode(overlay.draw_shown(sidecar, black), sidecar)
    return np.asarray(Pillow.open(io.BytesIO(file)).convert("RGB"))


def test_frames_have_the_colour_and_the_number_of_their_class() -> None:
    """Each patch one; a tie is grey and has no number. A whole image has one frame round it."""
    colours = class_colours(NAMES)
    picture = seen(of_patches())
    for cell in cells(of_patches()):
        patch = picture[cell.y : cell.y + 64, cell.x : cell.x + 64]
        assert {tuple(pixel) for pixel in patch[1, 1:-1]} == {colours[cell.vote]}
        inside = patch[4:20, 4:20].any(axis=-1)
        assert inside.any() == (cell.vote != "tie")
    one, two = (picture[6:16, x + 6 : x + 12].any(axis=2) for x in (0, 64))
    assert not np.array_equal(one, two)
    image = seen(of_image())[:64, :64]
    assert {tuple(pixel) for pixel in image[0]} == {class_colours(("well", "ill"))["ill"]}
    assert not image[4:-4, 4:-4].any()


def test_tables_of_several_results() -> None:
    """Each has the columns of its own classes; in OMERO's, whose numbers may not be empty, 0 of others."""
    listed = [ListedResult(f"{kind}.tif", make()) for kind, make in RECORDS.items()]
    assert result_csv(listed).decode().splitlines()[1:] == [
        "patch.tif,beta,0.500", "image.tif,ill,0.400", "slice.tif,ill,0.100",
    ]  # fmt: skip
    kinds, head, *rows = (line.split(",") for line in omero_csv(listed).decode().splitlines())
    assert head[-1] == "path"
    assert kinds[head.index("votes_beta")] == "l"
    assert [row[head.index("votes_beta")] for row in rows] == ["3", "0", "0"]
    assert [row[head.index("votes_ill")] for row in rows] == ["0", "1", "9"]
    assert len({len(row) for row in (kinds, head, *rows)}) == 1


@pytest.mark.parametrize("number", [2, 9, 64])
def test_no_two_classes_have_one_colour(number: int) -> None:
    """Also where there are many; none is that of a tie."""
    colours = class_colours([f"c{place}" for place in range(number)])
    assert len(set(colours.values())) == number + 2
    assert min(max(rgb) for rgb in colours.values()) > 100
