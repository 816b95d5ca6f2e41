"""One self-contained page for people: which cultures look bad, where, and how each score goes over time.

    records beside the raw files ──▶ gather ──▶ entries ──▶ page.html, page.css, scripts and data in one file
                                                 ▲
              overlays ──▶ thumbnails ───────────┘

The page asks no network for anything. It may be opened from a disk, a share or a stick.
"""

from pathlib import Path

from colvi_edge.errors import UsageError

PAGE_SUFFIXES = (".html", ".htm")


def check_page_name(page: Path) -> None:
    """Refuse a page that would take the place of a raw file or a result, or be taken for one.

    Raises:
        UsageError: the name does not end as a page's does.
    """
    if not page.name.lower().endswith(PAGE_SUFFIXES):
        raise UsageError(f"{page}: expected a name that ends in .html; give the report one")
