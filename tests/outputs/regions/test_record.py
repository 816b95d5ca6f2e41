"""What a sidecar says of regions and objects agrees with itself, or it is none."""

import copy
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from colvi_edge.outputs.read_back import parsed
from colvi_edge.outputs.sidecar import Sidecar, as_plain, to_json
from colvi_edge.tasks.segment import Segmentation

MakeSegmentation = Callable[..., Segmentation]
MakeRecord = Callable[..., Sidecar]


@pytest.fixture
def plain(make_segmentation: MakeSegmentation, make_record: MakeRecord) -> dict[str, Any]:
    """Return the record of an image with two classes of objects, as JSON is read."""
    return as_plain(make_record(make_segmentation()))


def test_what_is_written_is_read_back_and_fits_the_schema(
    make_segmentation: MakeSegmentation, make_record: MakeRecord
) -> None:
    """With and without objects and pixel size; no key of a diagnosis is there."""
    schema = json.loads(files("colvi_edge.outputs").joinpath("sidecar.schema.json").read_bytes())
    for how in ({}, {"with_objects": False}, {"pixel_um": None}, {"planes": 2}):
        record = make_record(make_segmentation(**how))
        written = to_json(record)
        assert parsed(Sidecar, written) == record
        plain = json.loads(written)
        Draft202012Validator(schema).validate(plain)
        assert {"diagnosis", "score", "votes", "patches"}.isdisjoint(plain)
        assert plain["task"] == {
            "kind": "segment",
            "classes": ["background", "nucleus", "vesicle"],
            "rule": "largest",
        }
        assert ("objects" in plain) == how.get("with_objects", True)


def test_a_rejected_image_has_a_task_and_no_regions(plain: dict[str, Any]) -> None:
    """Regions without being ok, or being ok without them, is no record."""
    rejected = {**plain, "status": "rejected"}
    with pytest.raises(ValidationError, match="none if rejected"):
        Sidecar.model_validate(rejected)
    del rejected["regions"]
    with pytest.raises(ValidationError, match="objects in regions"):
        Sidecar.model_validate(rejected)
    del rejected["objects"]
    assert Sidecar.model_validate(rejected).task
    with pytest.raises(ValidationError, match="none if rejected"):
        Sidecar.model_validate({**rejected, "status": "ok"})


def test_regions_without_their_task_are_none(plain: dict[str, Any]) -> None:
    """Nor with that of a classification."""
    task = plain.pop("task")
    with pytest.raises(ValidationError, match="only where the task is to segment"):
        Sidecar.model_validate(plain)
    with pytest.raises(ValidationError, match="only where the task is to segment"):
        Sidecar.model_validate({**plain, "task": {**task, "kind": "classify"}})


WRONG: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("region of each class", lambda r: r["regions"].pop()),
    ("region of each class", lambda r: r["regions"].reverse()),
    ("one number of pixels", lambda r: r["regions"][0].update(share=0.5)),
    ("one number of pixels", lambda r: r["regions"][0].update(share=0)),
    ("most the whole image", lambda r: [one.update(share=0.6) for one in r["regions"]]),
    ("areas of pixels of one", lambda r: r["regions"][1].update(area_um2=1.0)),
    ("areas where the pixel size", lambda r: r["regions"][1].pop("area_um2")),
    ("areas where the pixel size", lambda r: r["image"].pop("pixel_size_um")),
    ("at least one pixel", lambda r: r["regions"][0].update(parts=0)),
    ("at least one pixel", lambda r: r["regions"][0].update(pixels=0)),
    ("as many objects as", lambda r: r["objects"].update(count=21)),
    ("as many objects as", lambda r: r["objects"].update(counted=21)),
    ("each class but the first", lambda r: r["objects"].update(by_class={"nucleus": 20})),
    ("where there are regions", lambda r: r["objects"]["by_class"].update(nucleus=20, vesicle=0)),
    ("what was counted", lambda r: r["objects"].pop("roundness")),
    ("what was counted", lambda r: r["objects"].update(counted=0)),
    ("diameters in micrometres", lambda r: r["objects"].pop("diameter_um")),
    ("between the quartiles", lambda r: r["objects"]["diameter_px"].update(median=1e6)),
    ("each class once", lambda r: r["task"]["classes"].append("nucleus")),
    ("no diagnosis", lambda r: r.update(score=50.0)),
    ("no diagnosis", lambda r: r.update(diagnosis="control")),
]


@pytest.mark.parametrize(("words", "spoil"), WRONG)
def test_what_does_not_agree_is_no_record(
    plain: dict[str, Any], words: str, spoil: Callable[[dict[str, Any]], object]
) -> None:
    """Each of these would be shown to somebody."""
    assert Sidecar.model_validate(plain).objects
    spoilt = copy.deepcopy(plain)
    spoil(spoilt)

    with pytest.raises(ValidationError, match=words):
        Sidecar.model_validate(spoilt)
