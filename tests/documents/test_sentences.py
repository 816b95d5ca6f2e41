"""What the how-to pages quote is what the program says: a reader searches for what was printed."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
HEADS = ("it says", "it says of an image", "it says of the container")
SHORTEST = 8
"""Characters of a piece of a sentence that is looked for."""
COVERED = 0.6
"""Share of a quoted sentence that the program's own words make up; the rest are names and numbers."""


def quoted(page: Path) -> list[str]:
    """Return the sentences in the first column of tables of what the program says."""
    found, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cell = line.split(" | ")[0].strip("| ")
        if cell.startswith(HEADS):
            inside = True
        elif inside:
            found += [words for words in re.findall(r"`([^`]+)`", cell) if len(words) > 2 * SHORTEST]
    return found


@cache
def said() -> str:
    """Return every text in the code, a line each, without what is put into it."""
    found: set[str] = set()
    for folder in ("colvi_edge", "export", "kernels"):
        for module in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value.replace("\n", " "))
    return "\n".join(found)


def made_up(sentence: str) -> str:
    """Return those words of a sentence that the program does not say itself, such as names and numbers."""
    left = []
    for part in sentence.split("..."):
        words = part.split()
        while words:
            ends = range(len(words), 0, -1)
            end = next((end for end in ends if _is_said(" ".join(words[:end]))), 0)
            left += words[: 1 if not end else 0]
            words = words[max(end, 1) :]
    return " ".join(left)


def _is_said(words: str) -> bool:
    return len(words) >= SHORTEST and words in said()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_what_a_page_quotes_is_what_the_program_says(page: Path) -> None:
    """At least the most part of each sentence, as names and numbers are made up."""
    for sentence in quoted(page):
        rest = made_up(sentence)
        assert len(rest) <= (1 - COVERED) * len(sentence), (
            f"{page.name} quotes {sentence!r}; left over: {rest!r}"
        )


def test_pages_quote() -> None:
    """Else the test above would pass for want of sentences."""
    assert sum(len(quoted(page)) for page in PAGES) > 50
