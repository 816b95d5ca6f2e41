"""The schemas that the site offers: each has a name and is valid, and what is written and shipped fits it."""

import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from colvi_edge.bundle import demo_path
from colvi_edge.choices import DEMOS
from colvi_edge.outputs.sidecar import json_schema
from generated import schemas
from tests.tools.documents import anchors

FILES = schemas.files()


def bundle_parts() -> dict[str, Any]:
    """Return the parts of a manifest that says its task."""
    return {name: part for name, part in FILES["bundle.schema.json"]["$defs"].items() if name != "FlatConfig"}


def colvi_edge_part(manifest: str) -> dict[str, Any]:
    """Return `config.colvi_edge` of a manifest as JSON has it."""
    part: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(manifest)["config"]["colvi_edge"]))
    return part


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_is_a_schema_with_a_name(name: str) -> None:
    """The name is that of no other, and the dialect is told."""
    schema = FILES[name]
    Draft202012Validator.check_schema(schema)

    assert re.fullmatch(r"urn:colvi-edge:[a-z]+:\d", schema["$id"])
    assert [other["$id"] for other in FILES.values()].count(schema["$id"]) == 1
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_one_of_sidecars_is_the_package_s() -> None:
    """A reader of the site and one of the installation hold the same."""
    assert FILES["sidecar.schema.json"] == json_schema()
    assert json.loads(dict(schemas.pages())["reference/schemas/sidecar.schema.json"]) == json_schema()


@pytest.mark.parametrize("name", DEMOS)
def test_shipped_bundles_fit_theirs(name: str) -> None:
    """And a spoilt manifest does not."""
    part = colvi_edge_part((demo_path().with_name(f"{name}.colvi") / "bioimageio.yaml").read_text())
    validator = Draft202012Validator(FILES["bundle.schema.json"])

    validator.validate(part)
    with pytest.raises(ValidationError):
        validator.validate(part | {"windos": {}})


@pytest.mark.parametrize(
    ("table", "models"),
    [
        (schemas.sidecar(), json_schema()["$defs"]),
        (schemas.bundle(), bundle_parts()),
    ],
    ids=["sidecar", "bundle"],
)
def test_the_tables_have_every_key(table: str, models: dict[str, Any]) -> None:
    """Of every part, and each link leads to a part on the page."""
    for part, model in models.items():
        if "properties" not in model:
            continue
        section = table.split(f"### {part}\n")[1].split("\n### ")[0]
        keys = [key.replace("&#95;", "_") for key in re.findall(r"^\| <code>(.+?)</code> \|", section, re.M)]
        assert keys == list(model["properties"]), part
    assert set(re.findall(r"\]\(#(\w+)\)", table)) <= anchors(table)


def test_since_is_what_the_code_says() -> None:
    """Of keys that came with schema 2 both the description and the parts that it lists."""
    rows = dict(
        re.findall(
            r"^\| <code>([\w&#;]+)</code> \| .*? \| (?:always|optional) \| ([12]) \|", schemas.sidecar(), re.M
        )
    )

    later = {key.replace("&#95;", "_") for key, since in rows.items() if since == "2"}
    assert {"task", "regions", "familiarity", "settings_sha256", "mtime_ns", "at_least"} <= later
    assert not {"result_id", "p_control", "coverage", "revision"} & later
