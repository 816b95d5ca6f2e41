"""docs/reference/quality-flags.md has every flag of the code: its name, severity, limit and words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from colvi_edge.acquisition.model import SAME_SIZE
from colvi_edge.bundle.expected import Expected, MeasureName
from colvi_edge.quality import copies, nuclei, recording

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "quality-flags.md").read_text(encoding="utf-8")
HEAD = "| flag | severity | what is measured | limit | words | what to do |\n"

LIMITS = {
    "channels_swapped": (f"> {nuclei.UNEVEN:g}",),
    "no_cells": (f"< {nuclei.RELIEF:g}",),
    "few_cells": (f"> {nuclei.OUTSHONE:g}",),
    "out_of_focus": (f"< {nuclei.FOCUS_REJECT:g}", f"< {nuclei.FOCUS_WARN:g}"),
    "saturated_collagen": tuple(
        f">= {100 * share:g} %" for share in (recording.SATURATED_REJECT, recording.SATURATED_WARN)
    ),
    "nuclei_unclear": (f"> {nuclei.UNEVEN:g}",),
    "half_empty": (f"< {100 * nuclei.HALF:g} %",),
    "nuclei_size_off": (f"{nuclei.SIZE_FACTOR:g} times",),
    "few_grey_levels": (f"< {nuclei.GREY_LEVELS:g}",),
    "noisy": (f"< {nuclei.SIGNAL_TO_NOISE:g}",),
    "few_patches": (f"< {Expected().patches_at_least}",),
    "pixel_size_off": (f"{recording.PIXEL_SIZE_FACTOR:g} times",),
    "pixel_size_overruled": (f"{100 * SAME_SIZE:g} %",),
    "pixels_not_square": (f"{100 * (recording.PIXEL_ASPECT - 1):.0f} %",),
    "aspect_changed": (f"{100 * (recording.PIXEL_ASPECT - 1):.0f} %",),
}
"""What the cell of the limit has to say; of the others it says no number."""


def text(node: ast.expr) -> str:
    """Return what a string says, with a bar where something is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "|"


def given(call: ast.Call, place: int, name: str) -> ast.expr:
    """Return an argument of a call, by its place or by its name."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return call.args[place] if place < len(call.args) else named[name]


def raised() -> Iterator[tuple[str, str, str]]:
    """Yield name, severity ("" for one that is found out) and words of every flag that the code makes."""
    for path in sorted((ROOT / "colvi_edge" / "quality").glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            said = [
                (node.lineno, ast.unparse(node.targets[0]), text(node.value))
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
            ]
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "Flag":
                    sentence = given(call, 4, "words")
                    words = text(sentence)
                    if isinstance(sentence, ast.Name):  # the last that was assigned to it
                        words = max(one for one in said if one[0] < call.lineno and one[1] == sentence.id)[2]
                    severity = given(call, 1, "severity")
                    how = str(severity.value) if isinstance(severity, ast.Constant) else ""
                    name = text(given(call, 0, "name"))
                    for role in recording.ROLES if "|" in name else ("",):
                        yield name.replace("|", role), how, words


RAISED = list(raised())
ROWS = {
    name: [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.split(HEAD)[1].split("\n\n")[0].splitlines()[1:]
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}


def test_every_flag_has_a_row() -> None:
    """And every row is of a flag."""
    assert len(RAISED) > 25
    assert set(ROWS) == {name for name, _, _ in RAISED}


@pytest.mark.parametrize("name", ROWS)
def test_the_severity_is_that_of_the_code(name: str) -> None:
    """A row says all that a flag may have."""
    found = {severity for flag, severity, _ in RAISED if flag == name}
    known = {"reject", "warn"} if "" in found else found

    assert set(ROWS[name][1].split(", ")) == known


@pytest.mark.parametrize("name", ROWS)
def test_the_limit_is_that_of_the_code(name: str) -> None:
    """Numbers are those that the rules compare with."""
    limit = ROWS[name][3]
    told = LIMITS.get(name, LIMITS["saturated_collagen"] if name == "saturated_nuclei" else ())

    assert [words for words in told if words not in limit] == []
    assert bool(re.search(r"\d", limit)) == bool(told)


@pytest.mark.parametrize("name", ROWS)
def test_the_words_are_those_of_the_code(name: str) -> None:
    """Piece by piece between what is filled in."""
    said = [words for flag, _, words in RAISED if flag == name]
    quotes = re.findall(r'"([^"]+)"', ROWS[name][4])
    pieces = [piece.strip() for quote in quotes for piece in quote.split("...") if piece.strip()]

    assert pieces
    assert [piece for piece in pieces if not any(piece in words for words in said)] == []


def test_every_measure_of_familiarity_has_a_row() -> None:
    """In the order of the manifest."""
    section = PAGE.split("\n## Unfamiliar\n")[1].split("\n## ")[0]

    assert re.findall(r"(?m)^\| `(\w+)` \|", section) == list(get_args(MeasureName))


def test_the_numbers_of_the_text_are_those_of_the_code() -> None:
    """Where a limit stands in a sentence and not in the table."""
    for words in (
        f"explain {100 * copies.ALIKE:g} % of a channel's variance",
        f"a filter of {2 * copies.REACH_PX + 1} x {2 * copies.REACH_PX + 1} pixels",
        f"more than {copies.ROUNDINGS:g} times the",
        f"In fewer than {copies.LEVELS} grey levels",
        f"less than {nuclei.EVEN:g} of the contrast",
        f"bright on less than {100 * nuclei.NUCLEAR_AREA:g} % of the field",
        f"{nuclei.NUCLEUS_UM:g} for nuclei 12 to 20",
        f"below {nuclei.RELIEF_OF_CELLS:g} typical steps",
    ):
        assert words in PAGE, words
