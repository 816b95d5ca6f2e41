"""Lists as CommonMark has them, written so that Python-Markdown finds the same items.

CommonMark takes what is indented as far as an item's text for part of the item, Python-Markdown what is
indented by four spaces a level, and only after an empty line what follows a paragraph.
"""

from typing import NamedTuple

from markdown_it import MarkdownIt

_INDENT = 4
_COMMON = MarkdownIt("commonmark").enable("table")


class _Item(NamedTuple):
    first: int
    end: int
    depth: int


def indented(markdown: str) -> str:
    """Return a page whose items of lists are indented by four spaces a level."""
    lines = markdown.split("\n")
    inner: dict[int, _Item] = {}
    fences: dict[int, int] = {}
    depth = 0
    for token in _COMMON.parse(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            depth -= 1
        elif token.type == "list_item_open" and token.map:
            item = _Item(token.map[0], token.map[1], depth)
            inner.update((number, item) for number in range(item.first, item.end))
        elif token.type == "fence" and token.map:
            indent = _indent(lines[token.map[0]])
            fences.update((number, indent) for number in range(*token.map))
    made: list[str] = []
    for number, line in enumerate(lines):
        item_here = inner.get(number)
        if item_here and item_here.first == number and _needs_space(number, lines, inner):
            made.append("")
        made.append(_moved(line, number, item_here, fences.get(number)))
    return "\n".join(made)


def _needs_space(number: int, lines: list[str], inner: dict[int, _Item]) -> bool:
    """Return whether an empty line belongs before an item: behind a paragraph, or an item of several."""
    if number == 0 or not lines[number - 1].strip():
        return False
    before = inner.get(number - 1)
    return before is None or not all(map(str.strip, lines[before.first : number]))


def _moved(line: str, number: int, item: _Item | None, fence: int | None) -> str:
    if item is None or not line.strip():
        return line
    levels = item.depth - 1 if number == item.first else item.depth
    within = max(0, _indent(line) - fence) if fence is not None and number != item.first else 0
    return " " * (_INDENT * levels + within) + line.lstrip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
