"""docs/explanation/security.md names doors that exist: each with a test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(
    r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", (ROOT / "docs" / "explanation" / "security.md").read_text()
)


def test_every_row_names_a_test() -> None:
    """A door without one is a hope."""
    page = (ROOT / "docs" / "explanation" / "security.md").read_text()
    tables = re.findall(r"\| attack \| door \| test \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", page)
    rows = [row for table in tables for row in table.splitlines()]

    assert len(rows) > 40
    assert [row for row in rows if "`tests/" not in row.rsplit("|", 2)[1]] == []


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_what_is_named_is_there(file: str, test: str) -> None:
    """Renamed or removed, it is named here by the old name."""
    text = (ROOT / file).read_text()

    assert re.search(rf"^def {test}\(" if test else r"^def test_", text, re.MULTILINE)
