"""The glossary says what is: keys, columns, outcomes, files and exit codes are those of the code."""

import re
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli.show.outcomes import OUTCOMES
from colvi_edge.engines.precisions import precision_for
from colvi_edge.errors import ColviEdgeError
from colvi_edge.outputs.names import OutputKind
from colvi_edge.outputs.patches.table import PATCH_COLUMNS
from colvi_edge.outputs.regions.table import OBJECT_COLUMNS
from colvi_edge.outputs.sidecar import json_schema
from colvi_edge.outputs.table import FOLDER_COLUMNS, OMERO_COLUMNS, RESULT_COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "glossary.md").read_text()


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table that begins with this head."""
    (table,) = re.findall(rf"(?m)^\| {re.escape(head)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def named(cell: str) -> list[str]:
    """Return what stands in code's letters."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_line_is_a_row_with_a_meaning() -> None:
    """Each word stands once in its table, and has words of its own."""
    tables = re.findall(r"(?m)^\|[-|]+\|\n((?:\|.*\n)+)", PAGE)
    assert len(tables) == 9
    for table in tables:
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        assert len({tuple(line[:2]) for line in lines}) == len(lines)
        assert len({len(line) for line in lines}) == 1
        assert all(line[0] and (len(line[1]) > 3 or len(line[2]) > 3) for line in lines)


def test_its_keys_are_the_schema_s() -> None:
    """Each key of the sidecar that it names can be written there."""
    definitions = json_schema()["$defs"]

    def has(schema: dict[str, Any], path: list[str]) -> bool:
        found = schema.get("properties", {}).get(path[0])
        if found is None or not path[1:]:
            return found is not None
        inner = [one["$ref"] for one in (found, *found.get("anyOf", [])) if "$ref" in one]
        return any(has(definitions[name.rsplit("/", 1)[1]], path[1:]) for name in inner)

    keys = [key for *_, cell in rows("word | meaning | key in `X.tif.colvi.json`") for key in named(cell)]
    assert len(keys) > 15
    for key in keys:
        assert has(definitions["Sidecar"], key.split(".")), key


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("patches", PATCH_COLUMNS),
        ("objects", (*OBJECT_COLUMNS, "axis-0", "axis-1", "axis-2")),
        ("`--result-csv`", RESULT_COLUMNS),
        ("`--omero-csv`", tuple(OMERO_COLUMNS)),
        ("`table`", FOLDER_COLUMNS),
    ],
)
def test_its_columns_are_those_of_the_tables(table: str, columns: tuple[str, ...]) -> None:
    """Every public column, and no other."""
    told = [column for cell, of, _ in rows("column") if of == table for column in named(cell)]

    assert len(told) == len(set(told))
    assert sorted(told) == sorted(columns)


def test_its_outcomes_are_those_of_the_terminal() -> None:
    """In the order in which they are counted there."""
    assert [named(row[0])[0] for row in rows("outcome")] == list(OUTCOMES)


def test_its_files_are_those_that_are_written() -> None:
    """Both ways, but for the overlay as data, which stands on the page of files."""
    told = {name for row in rows("word | file") for name in named(row[1])}

    kinds = {kind.value for kind in OutputKind} - {OutputKind.OME_TIFF.value}
    assert told == {f"X.tif{kind}" for kind in kinds} | {f"X.lif{OutputKind.SIDECAR.value}"}


def test_its_precisions_can_be_asked_for() -> None:
    """And the two that `int8` stands for."""
    words = set(named(PAGE.split("## Models")[1].split("\n## ")[0]))
    assert {choice.value for choice in PrecisionChoice} - {"auto"} <= words
    meant = {precision_for(engine, PrecisionChoice.INT8) for engine in EngineName if engine.value != "auto"}
    assert meant == {word for word in words if word.startswith("int8-")}


def test_its_exit_codes_are_those_of_the_errors() -> None:
    """Each code with which an error ends a command is explained."""
    told = [int(row[0]) for row in rows("code")]

    def codes(kind: type[ColviEdgeError]) -> set[int]:
        return {kind.exit_code}.union(*map(codes, kind.__subclasses__()))

    assert told == [0, 1, 2, 3, 4, 5, 6, 7, 130]
    assert codes(ColviEdgeError) <= set(told)
