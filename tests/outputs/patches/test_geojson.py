"""QuPath's reader takes the file: each of its rules, one by one."""

import json
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any
from uuid import UUID

import pytest

from colvi_edge.outputs.patches.geojson import render
from colvi_edge.outputs.sidecar import Image, Sidecar

MakeSidecar = Callable[..., Sidecar]

PROBABILITIES = [[0.95, 0.75, 0.55], [0.5, 0.3, 0.05]]


@pytest.fixture
def collection(make_sidecar: MakeSidecar) -> Any:
    """Return the parsed file of an image of 2 x 3 patches with an incomplete row and column."""
    image = Image(name="culture_07.tif", axes="CYX", shape=[2, 150, 199])
    return json.loads(render(make_sidecar(PROBABILITIES, image=image)))


def everything(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all that is in it, keys too."""
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from everything(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from everything(inner)


def test_the_field_comes_first_with_the_diagnosis(collection: Any) -> None:
    """One annotation over the whole image, incomplete patches included."""
    field = collection["features"][0]

    assert field["geometry"]["coordinates"] == [[[0, 0], [199, 0], [199, 150], [0, 150], [0, 0]]]
    properties = field["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["name"] == "control, score 50.0 (research use only)"
    assert properties["measurements"] == {
        "score": 50.0,
        "votes_control": 3,
        "votes_patient": 2,
        "votes_tie": 1,
        "coverage": 1.0,
    }
    assert properties["metadata"]["diagnosis"] == "control"
    assert (
        properties["metadata"]["intended_use"] == "Research use only. Not for use in diagnostic procedures."
    )


def test_each_patch_is_a_tile_at_its_place(collection: Any) -> None:
    """Row-major, corners at whole pixels: patch (1, 2) covers x 128 to 192, y 64 to 128."""
    tiles = collection["features"][1:]

    assert [tile["properties"]["objectType"] for tile in tiles] == ["tile"] * 6
    assert [tile["properties"]["name"] for tile in tiles] == [
        "r00_c00", "r00_c01", "r00_c02", "r01_c00", "r01_c01", "r01_c02",
    ]  # fmt: skip
    assert tiles[5]["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[128, 64], [192, 64], [192, 128], [128, 128], [128, 64]]],
    }
    assert tiles[4]["properties"]["measurements"] == {"p_control": 0.3, "p_patient": 0.7, "row": 1, "col": 1}
    assert tiles[4]["properties"]["metadata"] == {
        "model": "sha256:" + "cd" * 32,
        "band": "orange",
        "vote": "patient",
    }


def test_the_colours_are_the_papers_and_written_twice(collection: Any) -> None:
    """`properties.color` decides what is drawn, a class without a colour fails the import."""
    expected = {
        "colvi P(control) 90-100%": [0, 255, 255],
        "colvi P(control) 70-90%": [70, 130, 180],
        "colvi P(control) 50-70%": [255, 255, 0],
        "colvi P(control) 30-50%": [255, 165, 0],
        "colvi P(control) 0-30%": [255, 0, 0],
    }
    drawn = {}
    for tile in collection["features"][1:]:
        properties = tile["properties"]
        drawn[properties["classification"]["name"]] = properties["classification"]["color"]
        assert properties["color"] == properties["classification"]["color"]
        assert all(type(part) is int and 0 <= part <= 255 for part in properties["color"])

    assert drawn == expected
    assert collection["features"][0]["properties"]["color"] not in expected.values()


def test_what_the_reader_chokes_on_is_not_there(collection: Any) -> None:
    """No null, no open ring, no colon in a class name, no number that is not finite."""
    assert collection["type"] == "FeatureCollection"
    assert None not in list(everything(collection))
    for feature in collection["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Polygon"
        assert ring[0] == ring[-1]
        assert len(ring) == 5
        assert all(type(edge) is int for corner in ring for edge in corner)
        assert feature["properties"]["isLocked"] is True
        assert ":" not in feature["properties"].get("classification", {}).get("name", "")
        assert feature["properties"].get("classification", {"color": []}).keys() >= {"color"}
        numbers = feature["properties"]["measurements"].values()
        assert all(type(number) in (int, float) and isfinite(number) for number in numbers)
        assert all(type(value) is str for value in feature["properties"]["metadata"].values())


def test_ids_are_uuids_that_follow_from_the_result(make_sidecar: MakeSidecar) -> None:
    """The same result gives the same objects, another result others, and no two are alike."""

    def ids(**changes: Any) -> list[str]:
        features = json.loads(render(make_sidecar(PROBABILITIES, **changes)))["features"]
        return [feature["id"] for feature in features]

    assert all(str(UUID(identity)) == identity and UUID(identity).version == 5 for identity in ids())
    assert len(set(ids())) == 7
    assert ids() == ids(timings_ms={})
    assert not set(ids()) & set(ids(result_id=UUID("00000000-0000-0000-0000-000000000001")))


def test_the_file_is_ascii_whatever_the_image_is_called(make_sidecar: MakeSidecar) -> None:
    """Readers before 0.4.1 break on anything else; the name is still read back in full."""
    image = Image(name="M\u00fcller \u7d30\u80de.tif", key="0001-\u00e9", axes="YXS", shape=[128, 192, 3])
    data = render(make_sidecar(PROBABILITIES, image=image))

    assert data.isascii()
    field = json.loads(data)["features"][0]
    assert field["properties"]["metadata"]["image"] == "M\u00fcller \u7d30\u80de.tif.0001-\u00e9"
    assert field["geometry"]["coordinates"][0][2] == [192, 128]


def test_without_a_diagnosis_or_a_size_there_is_no_file(make_sidecar: MakeSidecar) -> None:
    """Asking for one is a bug, not an empty file."""
    with pytest.raises(ValueError, match="rejected"):
        render(make_sidecar(None))
    with pytest.raises(ValueError, match="axes"):
        render(make_sidecar(PROBABILITIES, image=Image(name="X.tif")))
