"""Lists on the site are those of CommonMark, as a checkout is shown, however far they are indented."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from generated.lists import indented
from tests.tools.documents import PAGES, read

markdown = pytest.importorskip("markdown")

EXTENSIONS = ["tables", "attr_list", "md_in_html"]


def items(html: str) -> int:
    """Count the items of lists."""
    return len(re.findall(r"<li\b", html))


def on_the_site(text: str) -> str:
    """Return the HTML that Python-Markdown makes of a page."""
    return str(markdown.markdown(indented(text), extensions=[*EXTENSIONS, "pymdownx.superfences"]))


@pytest.mark.mkdocs
@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("1. one\n\n   ```sh\n   ls\n   ```\n\n2. two\n", r"<p>one</p>\s*<div.*ls.*</li>\s*<li>\s*<p>two"),
        ("1. one\n\n    more\n2. two\n", r"<p>one</p>\s*<p>more</p>\s*</li>\s*<li>\s*<p>two"),
        ("words\n- one\n- two\n", r"<p>words</p>\s*<ul>\s*<li>one</li>\s*<li>two</li>"),
        ("- one\n  - within\n- two\n", r"<li>one\s*<ul>\s*<li>within</li>\s*</ul>\s*</li>\s*<li>two"),
        ("10. one\n    goes on\n\n    more\n", r"<li>\s*<p>one\s*goes on</p>\s*<p>more</p>\s*</li>"),
        ("- one\n\n  | a | b |\n  |---|---|\n  | c | d |\n", r"<li>\s*<p>one</p>\s*<table>.*<td>d</td>"),
    ],
    ids=["code", "an item of several", "behind a paragraph", "within", "two digits", "a table"],
)
def test_what_an_item_holds_stays_in_it(text: str, held: str) -> None:
    """Code, paragraphs, tables and other lists."""
    assert re.search(held, on_the_site(text), re.DOTALL), on_the_site(text)


@pytest.mark.mkdocs
@pytest.mark.parametrize("page", PAGES)
def test_pages_have_the_same_lists(page: str) -> None:
    """As many items on the site as in a checkout."""
    common = MarkdownIt("commonmark").enable("table")

    assert items(on_the_site(read(page))) == items(common.render(read(page)))


def test_other_text_stays_as_it_is() -> None:
    """Tables, code and paragraphs outside lists."""
    text = Path(__file__).parents[2].joinpath("docs/reference/exit-codes.md").read_text(encoding="utf-8")
    head = text.partition("\n- ")[0]

    assert indented(head) == head
