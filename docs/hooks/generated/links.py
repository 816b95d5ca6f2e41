"""Links that work in a checkout, led to where their target is on the site.

A page of docs/ is where it is. A page of the root, and any other file of the checkout that a page links to,
such as a record of a measurement, becomes part of the site.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releasing.md",
    "SECURITY.md": "project/security-policy.md",
}
"""Where pages of the root stand on the site; README's place is taken by the site's own first page."""

FILES = "files"
"""Below which folder of the site other files of the checkout stand."""

_LINK = re.compile(r"(\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))|((?:src|href)=\")([^\"]+)(\")")
_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1?\2`*[ ]*$", re.MULTILINE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


class Led(NamedTuple):
    """A page with its links led, and the files of the checkout that they need on the site."""

    markdown: str
    files: set[str]


def lead(markdown: str, source: str, page: str, root: Path) -> Led:
    """Lead the links of a page to where their targets stand on the site.

    Args:
        markdown: of the page.
        source: its path in the checkout.
        page: its path on the site.
        root: of the checkout.
    """
    needed: set[str] = set()

    def led(target: str) -> str:
        if _SCHEME.match(target):
            return target
        path, mark, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        on_site = place_of(place, root)
        if on_site is None:
            return target  # mkdocs tells that it leads nowhere
        if on_site.startswith(f"{FILES}/"):
            needed.add(place)
        return posixpath.relpath(on_site, posixpath.dirname(page) or ".") + mark + anchor

    return Led(outside_fences(markdown, lambda text: _LINK.sub(lambda found: _put(found, led), text)), needed)


def place_of(path: str, root: Path) -> str | None:
    """Return where on the site a file of the checkout stands; None if there is none."""
    if path in ROOT_PAGES:
        return ROOT_PAGES[path]
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
        return inside.removesuffix(".ipynb") + ".md" if inside.endswith(".ipynb") else inside
    return f"{FILES}/{path}" if not path.startswith("..") and (root / path).is_file() else None


def outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    """Return a page whose text is changed, but for its blocks of code."""
    parts, at = [], 0
    for block in _FENCE.finditer(markdown):
        parts += [change(markdown[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*parts, change(markdown[at:])])


def _put(found: re.Match[str], led: Callable[[str], str]) -> str:
    before, target, after = found.group(1, 2, 3) if found[1] else found.group(4, 5, 6)
    return f"{before}{led(target)}{after}"
