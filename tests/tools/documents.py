"""The pages that people read in a checkout, and what stands in them: code, links, headings."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from generated.anchors import slug

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if "hooks" not in path.parts
)
"""Paths of all pages below the root."""

RUN = "<!-- run -->"
"""The line above a block of Python that is executed, and not only compiled."""

_COMMON = MarkdownIt("commonmark").enable("table")
_HTML_LINK = re.compile(r"(?:href|src)=\"([^\"]+)\"")
_HTML_ANCHOR = re.compile(r"(?:id|name)=\"([^\"]+)\"")


class Block(NamedTuple):
    """A block of code on a page."""

    page: str
    line: int
    language: str
    text: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Link(NamedTuple):
    """A link, or a picture, on a page."""

    page: str
    target: str


def read(page: str) -> str:
    """Return the Markdown of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code of a page; one that is only indented, but below !!! TITLE, has no language."""
    text = read(page)
    lines = text.splitlines()
    for token in _COMMON.parse(text):
        if token.type in ("fence", "code_block") and token.map:
            above = next((line.strip() for line in reversed(lines[: token.map[0]]) if line.strip()), "")
            if token.type == "code_block" and above.startswith("!!! "):
                continue  # the text of an admonition
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content, above == RUN)


def links(page: str) -> Iterator[Link]:
    """Yield the links and pictures of a page, also those that are HTML."""
    for token in _flat(_COMMON.parse(read(page))):
        if token.type in ("html_block", "html_inline"):
            yield from (Link(page, target) for target in _HTML_LINK.findall(token.content))
        elif target := token.attrs.get("href") or token.attrs.get("src"):
            yield Link(page, str(target))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: of its headings, as GitHub makes them, and those that it says itself."""
    found: set[str] = set()
    tokens = _COMMON.parse(text)
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            words = "".join(
                one.content for one in inline.children or () if one.type in ("text", "code_inline")
            )
            own = re.search(r"\{ ?#([\w-]+) ?\}\s*$", words)
            found.add(own[1] if own else _free(slug(words), found))
    for token in _flat(tokens):
        if token.type in ("html_block", "html_inline"):
            found.update(_HTML_ANCHOR.findall(token.content))
    return found


def _free(anchor: str, taken: set[str]) -> str:
    number, free = 0, anchor
    while free in taken:
        number += 1
        free = f"{anchor}-{number}"
    return free


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])
