"""Pieces of HTML that the page is put together from."""

from collections.abc import Iterable, Sequence
from html import escape


def section(title: str, words: str, body: str) -> str:
    """Return a card; `words`, which say how to read it, and `body` are HTML."""
    said = f'<p class="quiet">{words}</p>' if words else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def row(name: str, picture: str, value: str, style: str = "row") -> str:
    """Return a picture between its name and its value; all are HTML."""
    return f'<div class="{style}"><span>{name}</span>{picture}<span class="value">{value}</span></div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> str:
    """Return a table of plain text that scrolls by itself where it is too wide.

    Args:
        head: names of the columns.
        rows: their cells; the first names the row.
        styles: class of each row; none for plain rows.
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = ""
    for number, (name, *cells) in enumerate(rows):
        style = f' class="{styles[number]}"' if styles and styles[number] else ""
        body += f'<tr{style}><th scope="row">{escape(name)}</th>' + "".join(
            f"<td>{escape(c)}</td>" for c in cells
        )
        body += "</tr>"
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
