"""The built site: complete, and nothing of it is fetched from elsewhere by a reader's browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from colvi_edge.outputs.sidecar import json_schema
from generated import commands, schemas
from generated.links import FILES, ROOT_PAGES
from generated.tables import TABLES
from tests.tools.alone import is_possible
from tests.tools.documents import PAGES, ROOT, links
from tests.tools.documents import read as read_page

pytestmark = pytest.mark.mkdocs

FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""What a browser fetches by itself, but for links to style sheets, icons and the like."""
NOT_FETCHED = {"canonical", "next", "prev", "license", "author", "help"}

_IN_CSS = re.compile(r"@import\s+(?:url\()?['\"]?([^'\")\s;]+)|url\(\s*['\"]?([^'\")]+)", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//|(?:https?|ftp|wss?):", re.IGNORECASE)


class Resources(HTMLParser):
    """What a page has a browser fetch, and where its links lead."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of a tag."""
        given = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        if tag == "link" and not NOT_FETCHED & set(given.get("rel", "").split()):
            self.fetched.append(given.get("href", ""))
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if name in given]
        self.fetched += in_css(given.get("style", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.anchors |= {given[name] for name in ("id", "name") if name in given}

    def handle_data(self, data: str) -> None:
        """Keep what a style sheet in the page fetches."""
        if self._style:
            self.fetched += in_css(data)


def in_css(text: str) -> list[str]:
    """Return what a style sheet fetches."""
    return [one or other for one, other in _IN_CSS.findall(text)]


def read(page: Path) -> Resources:
    """Return what is fetched by a page and linked on it."""
    resources = Resources()
    resources.feed(page.read_text(encoding="utf-8"))
    return resources


def from_elsewhere(site: Path) -> Iterator[str]:
    """Yield each thing that a page or a style sheet of the site fetches from elsewhere."""
    for path in site.rglob("*.html"):
        yield from (f"{path.name}: {one}" for one in read(path).fetched if _ELSEWHERE.match(one))
    for path in site.rglob("*.css"):
        found = in_css(path.read_text(encoding="utf-8"))
        yield from (f"{path.name}: {one}" for one in found if _ELSEWHERE.match(one))


def test_it_is_built_strictly_and_without_a_network(site: Path) -> None:
    """Where this machine lets a command be without one, else strictly."""
    assert (site / "index.html").is_file()
    if not is_possible():
        pytest.skip("no network namespace can be made here: built with whatever network there is")


def test_every_page_is_there(site: Path) -> None:
    """Those of docs/, of the root, and one for each command."""
    pages = [page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")]
    pages += [page for source, page in ROOT_PAGES.items() if (ROOT / source).is_file()]

    wanted = [*pages, *commands.paths()]
    assert [page for page in wanted if not (site / page).with_suffix(".html").is_file()] == []
    assert not (site / "hooks").exists()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """No font, no script, no style sheet and no picture."""
    assert len(list(site.rglob("*.html"))) > 40
    assert list(from_elsewhere(site)) == []


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img src="http://example/x.png">',
        '<p style="background: url(https://example/x.png)">',
        "<style>@import 'https://example/x.css';</style>",
    ],
)
def test_what_is_fetched_from_elsewhere_is_found(planted: str, tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "page.html").write_text(f"<html><body>{planted}</body></html>")

    assert len(list(from_elsewhere(tmp_path))) == 1


def test_every_link_within_leads_to_a_page_and_a_heading(site: Path) -> None:
    """Also those that are generated, such as the navigation."""
    pages = {path: read(path) for path in site.rglob("*.html") if path.name != "404.html"}
    wrong = []
    for path, resources in pages.items():
        for link in resources.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            known = pages[target].anchors if target in pages else {anchor}
            if not target.is_file() or (anchor and anchor not in known):
                wrong.append(f"{path.relative_to(site)} -> {link}")
    assert wrong == []


def test_records_and_schemas_are_part_of_it(site: Path) -> None:
    """A reader of the site gets the files that a checkout has."""
    records = {link.target.rpartition("../")[2] for page in PAGES for link in links(page)}
    linked = [name for name in records if name.startswith("benchmarks/results/")]

    assert linked
    for name in linked:
        assert (site / FILES / name).read_bytes() == (ROOT / name).read_bytes()
    for name in schemas.files():
        json.loads((site / "reference" / "schemas" / name).read_bytes())
    assert json.loads((site / "reference/schemas/sidecar.schema.json").read_bytes()) == json_schema()


def test_tables_are_where_pages_ask_for_them(site: Path) -> None:
    """No mark is left, and each table is on a page."""

    def shown(page: str) -> str:
        return unescape((site / page).read_text(encoding="utf-8"))

    left = [
        path.name for path in site.rglob("*.html") if "<!-- generated" in path.read_text(encoding="utf-8")
    ]
    assert left == []
    assert "COLVI_EDGE_PIXEL_SIZE_UM" in shown("reference/variables.html")
    assert "blocked_output" in shown("reference/exit-codes.html")
    assert "mtime_ns" in shown("reference/schemas.html")
    assert set(re.findall(r"<!-- generated: ([\w-]+) -->", "".join(map(read_page, PAGES)))) == set(TABLES)


def test_the_api_is_on_its_page(site: Path) -> None:
    """Whatever `colvi_edge.api` names, and every kind of error."""
    from colvi_edge import api, errors

    anchors = read(site / "reference/api.html").anchors
    names = [f"{api.__name__}.{name}" for name in api.__all__]
    kinds = [f"colvi_edge.errors.{name}" for name in vars(errors) if name.endswith("Error")]
    assert len(names) > 0
    assert {*names, *kinds} <= anchors


def test_every_page_says_research_use_only(site: Path) -> None:
    """No page may read as an offer of diagnoses without that line."""
    foot = re.compile(
        r'class="md-copyright__highlight">\s*Research use only. Not for use in diagnostic procedures.'
    )

    pages = list(site.rglob("*.html"))
    assert [path.name for path in pages if not foot.search(path.read_text(encoding="utf-8"))] == []


def test_a_checkout_stays_as_it_is(site: Path) -> None:
    """Nothing that is generated is written among the sources."""
    untracked = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "docs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    made = [*commands.paths(), *(f"{schemas.FOLDER}/{name}" for name in schemas.files())]

    assert [path for path in made if f"docs/{path}" in untracked] == []
