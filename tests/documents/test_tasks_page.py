"""What the page of tasks shows of bundles can be written into one, and what it says of results is so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from colvi_edge.bundle import Config
from colvi_edge.bundle.task import MOST_CLASSES, Classify, Segment
from colvi_edge.outputs.sidecar import json_schema
from colvi_edge.outputs.sidecar.cells import most_cells

PAGE = (Path(__file__).parents[2] / "docs/reference/tasks.md").read_text(encoding="utf-8")
CLASSIFY = PAGE.partition("## Classify\n")[2].partition("\n## ")[0]
EXAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", CLASSIFY, re.S)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["task"]["decision"]["rule"])
def test_its_examples_are_bundles(example: dict[str, Any]) -> None:
    """Each rule has one, which is taken as it stands."""
    rest = {"quality": "general", "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}}}
    config = Config.model_validate(json.loads(json.dumps({**example, **rest})))

    assert isinstance(config.task, Classify)


def test_its_segmentation_is_a_bundle() -> None:
    """Windows, decision and objects fit together."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.partition("## Segment\n")[2], re.S)
    rest = {"quality": "general", "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}}}

    assert isinstance(Config.model_validate({**yaml.safe_load(block), **rest}).task, Segment)


def test_every_rule_has_an_example() -> None:
    """And a row that explains it."""
    rules = {example["task"]["decision"]["rule"] for example in EXAMPLES}
    assert rules == {"majority", "threshold", "share"}
    assert {
        re.findall(r"`([a-z]+)`", row)[0] for row in re.findall(r"(?m)^\| (`[a-z]+`.*)$", CLASSIFY)
    } >= rules


def test_its_keys_are_the_schema_s() -> None:
    """Those of the record's task and of its cells."""
    definitions = json_schema()["$defs"]
    row = next(line for line in CLASSIFY.splitlines() if line.startswith("| `.colvi.json`"))
    named = set(re.findall(r"`([a-z_]+)`", row))

    keys = {*definitions["TaskRecord"]["properties"], *definitions["Cells"]["properties"]} - {"rows", "cols"}
    assert keys <= named


def test_its_numbers_are_those_of_the_code() -> None:
    """How many classes, and how many cells of them are recorded."""
    assert f"2 to {MOST_CLASSES} classes" in CLASSIFY
    assert f"{most_cells(2):,} patches of two classes" in CLASSIFY
    assert "1,048,576 / (K + 2)" in CLASSIFY
    assert most_cells(9) == 1_048_576 // 11
