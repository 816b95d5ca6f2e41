"""What the page of a report may be called: never as a raw file or a result is."""

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
