"""Lists as CommonMark has them, written so that Python-Markdown finds the same items.

CommonMark takes what is indented as far as an item's text for part of the item, Python-Markdown what is
indented by four spaces a level, and only after an empty line what follows a paragraph.
"""

import re
from typing import NamedTuple

from markdown_it import MarkdownIt

_INDENT = 4
_MARKER = re.compile(r" *(?:[-+*]|\d{1,9}[.)])( +|$)")
_COMMON = MarkdownIt("commonmark").enable("table")


class _Item(NamedTuple):
    first: int
    end: int
    depth: int
    text_at: int


def indented(markdown: str) -> str:
    """Return a page whose items of lists are indented by four spaces a level."""
    lines = markdown.split("\n")
    inner: dict[int, _Item] = {}
    firsts: set[int] = set()
    depth = 0
    for token in _COMMON.parse(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            depth += 1
            if depth == 1 and token.map:
                firsts.add(token.map[0])
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            depth -= 1
        elif token.type == "list_item_open" and token.map:
            marker = _MARKER.match(lines[token.map[0]])
            text_at = marker.end() if marker and marker[1] else _indent(lines[token.map[0]]) + 2
            item = _Item(token.map[0], token.map[1], depth, text_at)
            inner.update((number, item) for number in range(item.first, item.end))
    made: list[str] = []
    for number, line in enumerate(lines):
        if number in firsts and made and made[-1].strip():
            made.append("")
        made.append(_moved(line, number, inner.get(number)))
    return "\n".join(made)


def _moved(line: str, number: int, item: _Item | None) -> str:
    if item is None or not line.strip():
        return line
    if number == item.first:
        return " " * (_INDENT * (item.depth - 1)) + line.lstrip()
    more = max(0, _indent(line) - item.text_at)
    return " " * (_INDENT * item.depth + more) + line.lstrip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
