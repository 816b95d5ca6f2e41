"""Pieces of HTML that pages are put together from: given HTML as well, unless they say otherwise."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def section(title: str, words: str, body: str) -> str:
    """Return a card with a plain title; `words` say how to read it."""
    said = f'<p class="quiet">{words}</p>' if words else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def row(name: str, picture: str, value: str, style: str = "row") -> str:
    """Return a picture between its name and its value."""
    return f'<div class="{style}"><span>{name}</span>{picture}<span class="value">{value}</span></div>'


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    style: str = "",
    row_styles: Sequence[str] = (),
) -> str:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        head: names of the columns.
        rows: their cells; the first names the row.
        style: class of the table; none for a plain one.
        row_styles: class of each row; none for plain rows.
    """
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ""
    for number, (name, *cells) in enumerate(rows):
        body += f'<tr{_class(row_styles[number] if row_styles else "")}><th scope="row">{name}</th>'
        body += "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return (
        f'<div class="scroll"><table{_class(style)}><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def plain(rows: Iterable[Iterable[str]]) -> list[list[str]]:
    """Return rows of plain text as cells of a table."""
    return [[escape(cell) for cell in cells] for cells in rows]


def tiles(named: Iterable[tuple[str, str]]) -> str:
    """Return figures by their plain names, side by side."""
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in named)
    return f'<dl class="tiles">{shown}</dl>'


def facts(named: Mapping[str, str]) -> str:
    """Return facts by their names, in lines; all plain text."""
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in named.items())
    return f'<dl class="facts">{shown}</dl>'


def notices(sentences: Iterable[str]) -> str:
    """Return sentences of plain text that nobody should miss."""
    return "".join(f'<p class="notice">{escape(words)}</p>' for words in sentences)


def folded(title: str, body: str, *, is_open: bool = False) -> str:
    """Return what is seen when its plain title is clicked on."""
    return f"<details{' open' if is_open else ''}><summary><h3>{escape(title)}</h3></summary>{body}</details>"


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
