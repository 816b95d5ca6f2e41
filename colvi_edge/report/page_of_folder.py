"""The page of a folder: put together from what was gathered, and written."""

import base64
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from colvi_edge.errors import UsageError
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.printable import counted, printable_name
from colvi_edge.report.entries import Entry, link
from colvi_edge.report.gather import Gatherer
from colvi_edge.report.page import render
from colvi_edge.report.page_name import check_page_name
from colvi_edge.report.samples import NamePattern
from colvi_edge.report.thumbnails import Thumbnails
from colvi_edge.system.atomic import open_folder
from colvi_edge.system.writing import write_file

MAX_IMAGES = 2000
"""The newest; of 1024 x 1024 pixels they make a page of 7.6 MB, which opened in 0.7 s."""
MAX_THUMBNAILS = 120
"""Of the newest again; the others are shown as a map of their bands."""


class Contents(NamedTuple):
    """What a page holds, for who made it.

    Attributes:
        images: how many; each counts once for every bundle that judged it.
        unread: how many records or folders could not be read.
        undated: how many of them have no sample and date in their names.
        models: how many models answered the same question, in the same place: their answers do not compare.
        example: a name that tells sample and date; None if `sample` was given.
        several: several bundles judged, each for itself.
    """

    images: int
    unread: int
    undated: int
    models: int
    example: str | None
    several: bool = False

    @property
    def told(self) -> str:
        """How many there are, in words."""
        return counted(self.images, "result" if self.several else "image")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show or to tell of."""
        return not (self.images or self.unread)


class Report:
    """The page of a folder. Written again, it costs what changed meanwhile.

    Attributes:
        contents: of the page that was made last.
    """

    contents = Contents(0, 0, 0, 0, None)

    def __init__(
        self,
        folder: Path,
        page: Path,
        *,
        sample: str | None = None,
        refresh_s: float | None = None,
        places: Sequence[str] = (".",),
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            folder: with the results of raw files, in it and below it.
            page: where to write; the page shows overlays where they lie as seen from there.
            sample: regular expression with the groups `sample` and `date`; None takes `DEFAULT_PATTERN`.
            refresh_s: the page loads itself anew so often; None is never.
            places: folders in that one to which the page is confined.

        Raises:
            UsageError: the pattern is none, or the page has the name of another kind of file.
        """
        check_page_name(page)
        self._folder = folder
        self._page = page
        self._pattern = NamePattern(sample)
        self._refresh_s = refresh_s
        self._places = places
        self._gatherer = Gatherer(self._pattern)
        self._thumbnails = Thumbnails()

    def write(self) -> int:
        """Write the page; return how many images there are.

        Raises:
            UsageError: the folder cannot be listed or holds no results, the pattern does not come to an end
                on a name, or what stands in the page's place is no report.
            OutputError: the page cannot be written.
        """
        refuse_other(Named.REPORT, self._page)
        try:
            with open_folder(self._folder) as folder_fd:
                page, images = self.render(folder_fd)
        except OSError as error:
            raise UsageError(
                f"{self._folder} cannot be listed: {error.strerror}; give a folder with results"
            ) from error
        if self.contents.is_empty:
            raise UsageError(
                f"found no result in {self._folder} nor below it (files that end in .colvi.json); diagnose "
                "its images first with colvi-edge run, or give the folder that --output-dir named"
            )
        write_file(self._page, page)
        return images

    def render(self, folder_fd: int) -> tuple[bytes, int]:
        """Return the page, and how many images there are.

        Args:
            folder_fd: of the folder.

        Raises:
            UsageError: the pattern does not come to an end on a name.
            OSError: the folder cannot be listed.
        """
        entries, unread = self._gatherer.gather(folder_fd, self._places)
        newest = sorted(entries, key=lambda entry: entry.created, reverse=True)[:MAX_IMAGES]
        way = os.path.relpath(self._folder.absolute(), self._page.parent.absolute())
        images = [self._shown(folder_fd, entry, way, i < MAX_THUMBNAILS) for i, entry in enumerate(newest)]
        self._thumbnails.page_ended()
        self.contents = Contents(
            images=len(entries),
            unread=unread,
            undated=sum("sample" not in entry.shown for entry in entries),
            models=_rivals(entries),
            example=self._pattern.example,
            several=any("slot" in entry.shown for entry in entries),
        )
        page = render(
            {
                "folder": printable_name(self._folder.absolute().name or "/"),
                "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "refresh_s": self._refresh_s,
                "example": self._pattern.example,
                "unread": unread,
                "left_out": len(entries) - len(newest),
                "tasks": _told_once(images),
                "images": images,
            }
        )
        return page, len(entries)

    def _shown(self, folder_fd: int, entry: Entry, way: str, with_picture: bool) -> dict[str, Any]:
        """Return what the page is told of an image; `way` leads from the page to the folder."""
        shown = dict(entry.shown)
        if entry.overlay is None:
            return shown
        url = link(f"{way}/{entry.overlay.path}")
        if not with_picture:
            return shown | {"overlay": url}
        thumbnail = self._thumbnails.of(folder_fd, entry.overlay)
        if thumbnail.why:
            return shown | {"missing": thumbnail.why}
        preview = "data:image/webp;base64," + base64.b64encode(thumbnail.webp).decode()
        return shown | {"overlay": url, "preview": preview, "size": thumbnail.size_px}


def _told_once(images: list[dict[str, Any]]) -> list[Any]:
    """Return each task of the images once, and leave its place in that list with them."""
    tasks: list[Any] = []
    for image in images:
        if "task" in image:
            if image["task"] not in tasks:
                tasks.append(image["task"])
            image["task"] = tasks.index(image["task"])
    return tasks


def _rivals(entries: Sequence[Entry]) -> int:
    """Return how many models of one slot were asked the same: which classes, or regions, an image is of."""
    asked: dict[str, set[str]] = {}
    for shown in (entry.shown for entry in entries if "model" in entry.shown):
        regions = [name for name, *_ in shown.get("regions", ())]
        asked.setdefault(f"{shown.get('slot')} {shown.get('task')} {regions}", set()).add(shown["model"][2])
    return max(map(len, asked.values()), default=0)
