"""Plain text as Markdown that shows exactly that text."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~])")


def escaped(text: str) -> str:
    """Return a text in one line that Markdown shows as it is, also in a cell of a table."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: f"&#{ord(found[1])};", line)


def code(text: str) -> str:
    """Return a text as code, also in a cell of a table."""
    return f"<code>{escaped(text)}</code>" if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def spoken(text: str | None) -> str:
    """Return words of the code in one line of Markdown; `code` in them stays code."""
    parts = " ".join((text or "").split()).split("`")
    return "".join(code(part) if number % 2 else _kept(part) for number, part in enumerate(parts))


def _kept(text: str) -> str:
    """Return a text that Markdown shows as it is, with the spaces at its ends."""
    words = escaped(text)
    return f"{' ' * text.startswith(' ')}{words}{' ' * text.endswith(' ')}" if words else text
