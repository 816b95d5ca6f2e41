"""The published JSON Schema is that of the models, and what is written fits it."""

import copy
import json
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from colvi_edge.outputs.sidecar import (
    ErrorRecord,
    Failure,
    FamiliarityMeasure,
    Image,
    QualityFlag,
    Sidecar,
    Software,
    json_schema,
    to_json,
)

MakeSidecar = Callable[..., Sidecar]

REGENERATE = """the schema is not that of the models; if the change is meant, regenerate it:
python -c "import json; from pathlib import Path; from colvi_edge.outputs import sidecar as s; \\
room = Path(s.__file__).parent; \\
room.with_name('sidecar.schema.json').write_text(json.dumps(s.json_schema(), indent=2) + chr(10))"
"""
SCHEMA = json.loads(files("colvi_edge.outputs").joinpath("sidecar.schema.json").read_bytes())


@pytest.fixture(scope="session")
def validator() -> Draft202012Validator:
    """Return a validator of the published schema that checks UUIDs and dates as well."""
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_published_schema_is_that_of_the_models() -> None:
    """A changed field must show in the file that lab software relies on."""
    assert json_schema() == SCHEMA, REGENERATE


def test_the_published_schema_has_a_name() -> None:
    """Others refer to it by its `$id`, wherever their copy lies; the number is that of the newest record."""
    newest = SCHEMA["$defs"]["Sidecar"]["properties"]["schema"]["default"]

    assert SCHEMA["$id"] == "urn:colvi-edge:" + newest.removeprefix("colvi-edge.").replace("/", ":")


def test_a_judged_image_fits_the_schema(make_sidecar: MakeSidecar, validator: Draft202012Validator) -> None:
    """What is written for a judged image is valid, grids and all."""
    written = json.loads(to_json(make_sidecar([[0.9, 0.5], [0.1, 0.35]])))

    validator.validate(written)

    assert written["schema"] == "colvi-edge.sidecar/2"
    assert written["patches"]["band"] == [["cyan", "yellow"], ["red", "orange"]]
    assert written["patches"]["vote"] == [["control", "tie"], ["patient", "patient"]]
    assert written["votes"] == {"control": 1, "patient": 2, "tie": 1}
    assert written["intended_use"].startswith("Research use only")


def test_a_rejected_image_fits_the_schema(make_sidecar: MakeSidecar, validator: Draft202012Validator) -> None:
    """A rejected image has no diagnosis, and absent keys are absent, never null."""
    flag = QualityFlag(name="no_cells", severity="reject", value=0.0, limit=1.0, words="No cells.")
    text = to_json(make_sidecar(None, quality=[flag]))

    validator.validate(json.loads(text))

    assert b"null" not in text
    assert not {"diagnosis", "score", "votes", "patches"} & json.loads(text).keys()


def test_an_error_record_fits_the_schema(validator: Draft202012Validator) -> None:
    """A file that could not be read leaves a record of the same schema file."""
    record = ErrorRecord(
        error=Failure(kind="incomplete", message="X.tif: ends in the middle; copy it again"),
        image=Image(name="X.tif"),
        software=Software(version="0.1.0"),
        created=datetime(2026, 11, 20, tzinfo=timezone.utc),
    )

    validator.validate(json.loads(to_json(record)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.update(schema="colvi-edge.sidecar/3"),
        lambda record: record.update(status="fine"),
        lambda record: record.update(score=101),
        lambda record: record.update(result_id="not-a-uuid"),
        lambda record: record.pop("model"),
        lambda record: record["patches"]["band"][0].__setitem__(0, "green"),
        lambda record: record["patches"]["p_control"][0].__setitem__(0, 1.5),
        lambda record: record["familiarity"][0].pop("high"),
    ],
)
def test_the_schema_refuses_what_is_not_a_sidecar(
    make_sidecar: MakeSidecar, validator: Draft202012Validator, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    """Keys that are missing and values out of range do not pass."""
    measure = FamiliarityMeasure(name="nuclei_size", value=28.0, low=23.0, typical=28.0, high=36.0)
    record = copy.deepcopy(json.loads(to_json(make_sidecar([[0.9, 0.1]], familiarity=[measure]))))
    spoil(record)

    with pytest.raises(ValidationError):
        validator.validate(record)


# --- Versions -------------------------------------------------------------------------------------

SINCE_2 = {"familiarity", "settings_sha256"}


@pytest.mark.parametrize("probabilities", [[[0.9, 0.1]], None])
def test_a_record_of_version_1_is_read_for_ever(
    make_sidecar: MakeSidecar, validator: Draft202012Validator, probabilities: Any
) -> None:
    """It has none of the later keys, and fits the schema of today."""
    old = json.loads(to_json(make_sidecar(probabilities)))
    old["schema"] = "colvi-edge.sidecar/1"

    validator.validate(old)
    read = Sidecar.model_validate_json(json.dumps(old))

    assert not SINCE_2 & old.keys()
    assert json.loads(to_json(read)) == old


def test_version_2_only_adds_optional_keys(make_sidecar: MakeSidecar) -> None:
    """Whoever reads version 1 and passes over keys that it does not know reads version 2."""
    measure = FamiliarityMeasure(name="nuclei_size", value=28.0, low=23.0, typical=28.0, high=36.0)
    image = Image(name="X.tif", mtime_ns=1)
    new = json.loads(
        to_json(make_sidecar([[0.9]], familiarity=[measure], settings_sha256="0" * 64, image=image))
    )
    old = json.loads(to_json(make_sidecar([[0.9]], image=Image(name="X.tif"))))

    assert new.keys() - old.keys() == SINCE_2
    assert new["image"].keys() - old["image"].keys() == {"mtime_ns"}
    for key in SINCE_2:
        new.pop(key)
    new["image"].pop("mtime_ns")
    assert new == old


@pytest.mark.parametrize(
    "add",
    [
        lambda record: record.update(interval={"low": 1, "high": 2}),
        lambda record: record.update(reading="later"),
        lambda record: record["image"].update(acquired="2026-11-29"),
        lambda record: record["patches"].update(p_other=[[0.1]]),
        lambda record: record["familiarity"][0].update(unit="px"),
        lambda record: record["engine"].update(threads=2),
    ],
)
def test_keys_of_later_versions_are_passed_over(
    make_sidecar: MakeSidecar, validator: Draft202012Validator, add: Callable[[dict[str, Any]], Any]
) -> None:
    """By the published schema and by our own reader, wherever they stand."""
    measure = FamiliarityMeasure(name="nuclei_size", value=28.0, low=23.0, typical=28.0, high=36.0)
    written = make_sidecar([[0.9]], familiarity=[measure])
    later = json.loads(to_json(written))
    add(later)

    validator.validate(later)

    assert Sidecar.model_validate_json(json.dumps(later)) == written
