"""Every test, script and make target by which a page of evidence says that it is run again is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "evidence").glob("*.md"))
COMMANDS = [
    pytest.param(page, command, id=f"{page.stem}: {command}")
    for page in PAGES
    for command in sorted(
        set(
            re.findall(r"(?m)(?:^|`|&& )((?:nice )?(?:pytest|python|make) [^`\n#]+)", page.read_text("utf-8"))
        )
    )
]
TARGETS = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))


def test_every_row_says_how_it_is_run() -> None:
    """What nobody can run again is no evidence; what was done by hand says so."""
    page = (ROOT / "docs" / "evidence" / "what-ran-where.md").read_text(encoding="utf-8")
    tables = re.findall(r"\| part \| what was shown \| run by \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", page)
    rows = [row.split("|")[1:-1] for table in tables for row in table.splitlines()]

    assert len(rows) > 35
    assert [part for part, _, how in rows if "`" not in how and "by hand" not in how] == []


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_what_is_named_can_be_run(page: Path, command: str) -> None:
    """Files of tests and scripts, modules, and targets of make."""
    words = command.split()
    for path in [word.partition("::")[0] for word in words if word.startswith(("tests/", "benchmarks/"))]:
        assert (ROOT / path).exists(), path
    if "-m" in words and "python" in words:
        module = words[words.index("-m") + 1].replace("colvi_edge.kernels", "kernels").replace(".", "/")
        assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists(), module
    if words[0] == "make":
        assert set(words[1:]) <= set(TARGETS)


def test_records_that_are_named_are_there() -> None:
    """By their links."""
    named = {
        name for page in PAGES for name in re.findall(r"benchmarks/results/[\w-]+\.json", page.read_text())
    }

    assert len(named) > 8
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
