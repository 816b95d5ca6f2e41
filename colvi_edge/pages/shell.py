"""The frame of a page: one HTML file that loads nothing, runs nothing, and can be mailed."""

from collections.abc import Iterable
from datetime import datetime
from html import escape
from importlib.resources import files

from colvi_edge import RESEARCH_USE_ONLY


def page(title: str, created: datetime, pieces: Iterable[str], package: str) -> str:
    """Return a page.

    Args:
        title: plain text; the day is added where a browser shows it.
        created: when its figures were made.
        pieces: HTML, one below the other; empty ones are left out.
        package: whose page.css stands behind the style that all pages share.
    """
    style = "".join(
        files(place).joinpath(name).read_text(encoding="utf-8")
        for place, name in (("colvi_edge.pages", "style.css"), (package, "page.css"))
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}, {created:%Y-%m-%d}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="use">{RESEARCH_USE_ONLY}</p></header>\n'
        + "\n".join(piece for piece in pieces if piece)
        + f'\n<footer><p class="use">{RESEARCH_USE_ONLY}</p></footer>\n</body>\n</html>\n'
    )
