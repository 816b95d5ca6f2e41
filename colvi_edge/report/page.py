"""Puts page.html, page.css, the scripts and the data together into one file that needs no other.

The policy in the page's head lets this very style and script run, by their hashes, and nothing else: what a
name holds could not act even if it came to stand among the tags, which it does not.
"""

import base64
import hashlib
import html
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import orjson

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bands import BANDS
from colvi_edge.outputs.named import REPORT_TITLE

_SCRIPTS = ("elements.js", "models.js", "gallery.js", "trend.js", "viewer.js", "page.js")
"""Make one script, in this order: the last one begins, once everything is there."""

_UNSAFE_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
"""What could end a script element, begin a comment in it, or end a line of it."""


def render(data: Mapping[str, Any]) -> bytes:
    """Return the page as UTF-8.

    Args:
        data: what the scripts show, see elements.js; the five bands are added.
    """
    bands = [[band.name, band.at_least, list(band.rgb)] for band in BANDS]
    known = orjson.dumps({"tasks": [], **data, "bands": bands}).decode()
    style, script = _source("page.css"), "\n".join(map(_source, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: 'self' file:; base-uri 'none'; form-action 'none'"
    )
    page = Template(_source("page.html")).substitute(
        policy=policy,
        title=html.escape(f"{REPORT_TITLE}{data['folder']}"),
        intended_use=html.escape(RESEARCH_USE_ONLY),
        style=style,
        data=known.translate(_UNSAFE_IN_SCRIPT),
        script=script,
    )
    return page.encode()


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
