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
Path(s.__file__).with_name('sidecar.schema.json').write_text(json.dumps(s.json_schema(), indent=2) + chr(10))"
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


def test_a_judged_image_fits_the_schema(make_sidecar: MakeSidecar, validator: Draft202012Validator) -> None:
    """What is written for a judged image is valid, grids and all."""
    written = json.loads(to_json(make_sidecar([[0.9, 0.5], [0.1, 0.35]])))

    validator.validate(written)

    assert written["schema"] == "colvi-edge.sidecar/1"
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
        lambda record: record.update(operator="A. Name"),
        lambda record: record.update(status="fine"),
        lambda record: record.update(score=101),
        lambda record: record.update(result_id="not-a-uuid"),
        lambda record: record.pop("model"),
        lambda record: record["patches"]["band"][0].__setitem__(0, "green"),
        lambda record: record["patches"]["p_control"][0].__setitem__(0, 1.5),
        lambda record: record["image"].update(patient="A. Name"),
    ],
)
def test_the_schema_refuses_what_is_not_a_sidecar(
    make_sidecar: MakeSidecar, validator: Draft202012Validator, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    """The schema is closed: unknown keys and values out of range do not pass."""
    record = copy.deepcopy(json.loads(to_json(make_sidecar([[0.9, 0.1]]))))
    spoil(record)

    with pytest.raises(ValidationError):
        validator.validate(record)
