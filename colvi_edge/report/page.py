"""Puts page.html, page.css, the scripts and the data together into one file that needs no other.

The policy in the page's head lets this very style and script run, by their hashes, and nothing else: what a
name holds could not act even if it came to stand among the tags, which it does not.
"""

import base64
import errno
import hashlib
import html
import os
import stat
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import orjson

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.diagnosis import BANDS
from colvi_edge.errors import UsageError

TITLE = "colvi-edge report: "
"""What a page's title begins with, in every version: by it a page is known as ours."""

_SCRIPTS = ("elements.js", "models.js", "gallery.js", "trend.js", "viewer.js", "page.js")
"""Make one script, in this order: the last one begins, once everything is there."""

_START_BYTES = 4096  # more than whatever stands before the title
_OTHER_NAME = "give the page another name, or move that file away"

_UNSAFE_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
"""What could end a script element, begin a comment in it, or end a line of it."""


def render(data: Mapping[str, Any]) -> bytes:
    """Return the page as UTF-8.

    Args:
        data: what the scripts show, see elements.js; the five bands are added.
    """
    bands = [[band.name, band.at_least, list(band.rgb)] for band in BANDS]
    known = orjson.dumps({**data, "bands": bands}).decode()
    style, script = _source("page.css"), "\n".join(map(_source, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: 'self' file:; base-uri 'none'; form-action 'none'"
    )
    page = Template(_source("page.html")).substitute(
        policy=policy,
        title=html.escape(f"{TITLE}{data['folder']}"),
        intended_use=html.escape(RESEARCH_USE_ONLY),
        style=style,
        data=known.translate(_UNSAFE_IN_SCRIPT),
        script=script,
    )
    return page.encode()


def refuse_other_page(page: str | Path, folder_fd: int | None = None) -> None:
    """Refuse to put a report in the place of a file that is none of ours.

    An empty file goes, and a link, whose target stays as it is; a folder is left to who writes.

    Args:
        page: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.

    Raises:
        UsageError: another file has the name.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(page, flags, dir_fd=folder_fd)
        try:
            kind = os.fstat(handle).st_mode
            start = os.read(handle, _START_BYTES) if stat.S_ISREG(kind) else None
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise UsageError(f"{page} cannot be looked at: {error.strerror}; {_OTHER_NAME}") from error
    if start is None:
        ours = stat.S_ISDIR(kind)
    else:
        ours = start == b"" or f"<title>{html.escape(TITLE)}".encode() in start
    if not ours:
        raise UsageError(f"{page} is no report of colvi-edge and would be overwritten; {_OTHER_NAME}")


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
