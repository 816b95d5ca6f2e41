"""The site as a browser shows it: on a phone, on a projector, and opened from a disk."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tools.chromium import Chromium

pytestmark = [pytest.mark.mkdocs, pytest.mark.chromium]

SOME = (
    "index.html",
    "how-to/install-update-remove.html",
    "reference/commands/export.html",
    "reference/schemas.html",
    "reference/variables.html",
    "reference/api.html",
    "evidence/performance.html",
)


class Quiet(SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site on this machine alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Return a browser for all tests here."""
    with Chromium() as chromium:
        yield chromium


def overflow(browser: Chromium) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(browser.ask("document.documentElement.scrollWidth - window.innerWidth"))


def test_every_page_fits_a_phone(site: Path, address: str, browser: Chromium) -> None:
    """Wide tables and long lines of code scroll inside themselves; nothing is asked for elsewhere."""
    browser.resize(390, 844, mobile=True)
    wide = {}
    for path in sorted(site.rglob("*.html")):
        page = path.relative_to(site).as_posix()
        browser.open(f"{address}/{page}")
        if over := overflow(browser):
            wide[page] = over

    assert wide == {}
    assert {url for url in browser.requests() if not url.startswith((address, "data:", "blob:"))} == set()
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1920, 3840])
@pytest.mark.parametrize("page", SOME)
def test_pages_fit_a_projector(page: str, width: int, address: str, browser: Chromium) -> None:
    """Neither wider than it, nor a thin column in a corner of it."""
    browser.resize(width, width * 9 // 16)
    browser.open(f"{address}/{page}")

    left, across = browser.ask(
        "(() => { const box = document.querySelector('.md-content').getBoundingClientRect();"
        "return [box.left, box.width]; })()"
    )
    assert overflow(browser) == 0
    assert left >= 0
    assert across > 600


@pytest.mark.parametrize("kind", ["http", "file"])
def test_search_finds_a_page(kind: str, site: Path, address: str, browser: Chromium) -> None:
    """Served, and opened from a disk, where browsers start no worker."""
    browser.resize(1280, 800)
    seen = len(browser.requests())
    root = address if kind == "http" else site.as_uri()
    browser.open(f"{root}/index.html")
    browser.ask(
        "(() => { const field = document.querySelector('[data-md-component=search-query]'); field.focus();"
        "field.value = 'budget'; field.dispatchEvent(new Event('keyup'));"
        "field.dispatchEvent(new Event('input')); })()"
    )
    browser.until("document.querySelectorAll('.md-search-result__item').length > 0")

    found = "[...document.querySelectorAll('.md-search-result__link')].map(one => one.href).join(' ')"
    assert "commands/bench.html" in browser.ask(found)
    assert [url for url in browser.requests()[seen:] if not url.startswith((root, "data:", "blob:"))] == []
