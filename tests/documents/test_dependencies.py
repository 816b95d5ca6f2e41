"""Every dependency has a lower bound, and docs/evidence/dependencies.md says why."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.tools.floors import build_requirements, constraints, floor, requirements

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence" / "dependencies.md"
TOOLS = ("dev", "docs")
"""Extras that work on the package and are no part of it: their bounds are the versions that ran."""
ROW = re.compile(r"^\| ([\w-]+)(, Python 3\.10)? \| ([\d.]+) \| (.+) \|$", re.MULTILINE)
MENDED = re.compile(r"(CVE-\d{4}-\d+) \(([\d.]+)\)")


def is_of(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement is an extra's alone."""
    return f'extra == "{extra}"' in str(requirement.marker)


@pytest.fixture(scope="module")
def declared() -> list[Requirement]:
    """What the package and its build require, but for its own extras."""
    return [one for one in [*requirements(), *build_requirements()] if one.name != "colvi-edge"]


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, bool, str, str]]:
    """Name, whether for Python 3.10 alone, version and reason of each row of the table."""
    found = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return [(name, bool(old), version, why) for name, old, version, why in found]


def test_every_dependency_has_a_lower_bound(declared: list[Requirement]) -> None:
    """Without one, pip may keep a version that an advisory forbids."""
    assert len(declared) > 40
    assert [str(one) for one in declared if floor(one) is None] == []


def test_the_page_has_the_bounds_of_pyproject(
    declared: list[Requirement], rows: list[tuple[str, bool, str, str]]
) -> None:
    """Neither is changed without the other."""
    wanted = {
        (one.name, 'python_version < "3.11"' in str(one.marker), (floor(one) or "").removesuffix(".*"))
        for one in declared
        if not any(is_of(one, extra) for extra in TOOLS)
    }

    assert {(name, old, version) for name, old, version, _ in rows} == wanted


def test_no_bound_is_below_a_mended_release(rows: list[tuple[str, bool, str, str]]) -> None:
    """A bound that is lowered again would let in what its row warns of."""
    mended = [(name, version, *found) for name, _, version, why in rows for found in MENDED.findall(why)]

    assert len(mended) > 20
    assert [one for one in mended if Version(one[1]) < Version(one[3])] == []


def test_the_page_says_what_each_is_for(declared: list[Requirement]) -> None:
    """A dependency that nobody can say a word for is not needed."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (table,) = [one for one in sections if one.startswith("What each is for")]
    others = (*TOOLS, "kernels")  # tools, and NVRTC, which has a name in words there
    names = {one.name for one in declared if not any(is_of(one, extra) for extra in others)} - {"setuptools"}

    assert {"numpy", "torch", "pycuda"} < names
    assert {name for name in names if not re.search(rf"\b{name}\b", table)} == set()


def test_the_oldest_versions_are_those_of_this_python() -> None:
    """`make floors` installs exactly one version of each, and none of another extra."""
    names = [line.split("==")[0] for line in constraints("onnxruntime")]

    assert sorted(names) == sorted(set(names))
    assert {"numpy", "pillow", "onnxruntime"} < set(names)
    assert not {"torch", "h5py", "pytest"} & set(names)
