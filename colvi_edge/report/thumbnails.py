"""Small pictures of overlays, made only of files that are what their record says."""

import hashlib
import io
import os
import warnings
from typing import NamedTuple

from PIL import Image

from colvi_edge.report.entries import Overlay
from colvi_edge.system.bounded import read_bounded

SIDE_PX = 352  # 22 for each of 16 patches; 60 simulated images come to 30 kB each
_QUALITY = 60
_MAX_BYTES = 2**28
_MAX_PIXELS = 2**26  # 200 MB once decoded


class Thumbnail(NamedTuple):
    """A small picture, or why there is none.

    Attributes:
        webp: a WebP file; empty if there is none.
        why: in words; empty if there is one.
        size_px: (width, height) of the picture that it shows.
    """

    webp: bytes
    why: str = ""
    size_px: tuple[int, int] = (0, 0)


class Thumbnails:
    """Makes thumbnails, and keeps those of the last page: each takes 40 ms."""

    def __init__(self) -> None:
        """Begin with none."""
        self._before: dict[tuple[str, ...], Thumbnail] = {}
        self._kept: dict[tuple[str, ...], Thumbnail] = {}

    def of(self, folder_fd: int, overlay: Overlay) -> Thumbnail:
        """Return the thumbnail of an overlay.

        Args:
            folder_fd: of the folder reported on.
            overlay: below it.
        """
        try:
            status = os.stat(overlay.path, dir_fd=folder_fd, follow_symlinks=False)
        except OSError as error:
            return Thumbnail(b"", f"The overlay cannot be opened: {error.strerror}.")
        state = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        key = (overlay.path, overlay.sha256, state)
        self._kept[key] = self._before.get(key) or _made(folder_fd, overlay)
        return self._kept[key]

    def page_ended(self) -> None:
        """Forget what was not asked for since the last page."""
        self._before, self._kept = self._kept, {}


def _made(folder_fd: int, overlay: Overlay) -> Thumbnail:
    try:
        data = read_bounded(overlay.path, _MAX_BYTES, folder_fd)
    except OSError as error:
        return Thumbnail(b"", f"The overlay cannot be opened: {error.strerror}.")
    if hashlib.sha256(data).hexdigest() != overlay.sha256:
        return Thumbnail(b"", "The overlay is not the file that the record lists: it was changed since.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of its size, to which the limit is stricter; of what is odd in it
            return _shrunk(data, overlay)
    except Exception as error:  # noqa: BLE001 - Pillow has no one error: IndexError of an empty iCCP, and others
        return Thumbnail(b"", f"The overlay is damaged: {error}.")


def _shrunk(data: bytes, overlay: Overlay) -> Thumbnail:
    picture = Image.open(io.BytesIO(data), formats=["PNG"])
    width, height = picture.size
    if width * height > _MAX_PIXELS:
        return Thumbnail(b"", f"The overlay is too large for a preview: {width} x {height} pixels.")
    shown = overlay.size_px or picture.size
    size_px = (min(shown[0], width), min(shown[1], height))
    small = picture.convert("RGB").crop((0, 0, *size_px))
    small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=_QUALITY)
    return Thumbnail(file.getvalue(), "", size_px)
