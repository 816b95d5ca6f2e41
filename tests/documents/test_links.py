"""Every link on the pages that people read leads to a file, a page or a heading that is there."""

import posixpath
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from generated.commands import paths
from generated.tables import filled
from tests.tools.documents import PAGES, ROOT, anchors, links, read

LINKS = [link for page in PAGES for link in links(page)]
MADE = frozenset(f"docs/{path}" for path in paths())
"""Pages that are made when the site is built: pages of docs/ may lead to them, those of the root not."""


def wrong() -> Iterator[str]:
    """Yield each link that leads nowhere."""
    for link in LINKS:
        if re.match(r"[a-z]+:", link.target):
            continue
        path, _, anchor = link.target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(link.page), path)) if path else link.page
        is_made = place in MADE and link.page.startswith("docs/")
        if place.startswith(("..", "/")) or not (is_made or (ROOT / place).exists()):
            yield f"{link.page} -> {link.target}"
        elif anchor and not is_made and anchor not in anchors(filled(read(place))):
            yield f"{link.page} -> {link.target}: no such heading"


def test_every_link_leads_somewhere() -> None:
    """Files, pages, and the headings of pages."""
    assert len(LINKS) > 50
    assert list(wrong()) == []


def test_pages_link_pages_and_records_only() -> None:
    """A file of the source is named as code: on the site it would be a download, and it moves."""
    allowed = (".md", ".ipynb", ".png", ".json", ".schema.json", ".cff", "LICENSE")

    found = [link for link in LINKS if not re.match(r"[a-z]+:|#", link.target)]
    assert [
        f"{link.page} -> {link.target}"
        for link in found
        if link.page.startswith("docs/") and not link.target.partition("#")[0].endswith(allowed)
    ] == []


def test_every_picture_is_shown() -> None:
    """One that no page shows is forgotten, and grows old."""
    notebooks = [path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.ipynb")]
    shown = chain((link.target for link in LINKS), notebooks)
    named = set(re.findall(r"images/([\w.-]+)", "\n".join(shown)))

    assert {path.name for path in Path(ROOT, "docs/images").iterdir()} == named


def test_pictures_say_what_they_show() -> None:
    """For those who do not see them."""
    nameless = [(page, found) for page in PAGES for found in re.findall(r"!\[\s*\]\([^)]+\)", read(page))]

    assert nameless == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What it is, and is not", "what-it-is-and-is-not"),
        ("`--bundle` & `COLVI_EDGE_BUNDLE`", "--bundle--colvi_edge_bundle"),
        ("5.2 Bundle", "52-bundle"),
    ],
)
def test_anchors_are_github_s(heading: str, anchor: str) -> None:
    """Where pages are read in a checkout, they are GitHub's."""
    assert anchors(f"# {heading}\n") == {anchor}
