"""The exit codes: each stands once in the code and once in README, whose table tells them all."""

import re
from pathlib import Path

from colvi_edge import errors
from colvi_edge.errors import ColviEdgeError

CODES = {name: code for name, code in vars(errors).items() if name.startswith("EXIT_")}


def kinds(of: type[ColviEdgeError]) -> list[type[ColviEdgeError]]:
    """Return a kind of error and all below it."""
    return [of, *(below for kind in of.__subclasses__() for below in kinds(kind))]


def test_readme_tells_each_of_them() -> None:
    """Every one, and no other; two causes never share a number."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.split("| exit code | meaning |\n")[1].split("\n\n")[0]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(CODES.values())
    assert len(set(CODES.values())) == len(CODES)
    assert sorted(CODES.values()) == [*range(8), 130]


def test_errors_end_with_one_of_them() -> None:
    """Whatever cause is ever raised."""
    assert len(kinds(ColviEdgeError)) > 20
    assert {kind.exit_code for kind in kinds(ColviEdgeError)} <= set(CODES.values()) - {errors.EXIT_DONE}
