"""Files that are written where somebody says: what may give way to them, and how ours are known.

Any name may be given, and a slip of the finger names a file of somebody else. So only a file of the same kind
gives way; in every version it is known by what it begins with.
"""

import errno
import html
import os
import re
import stat
from enum import Enum
from pathlib import Path

from colvi_edge.errors import UsageError
from colvi_edge.system.bounded import read_beginning

REPORT_TITLE = "colvi-edge report: "
"""What the title of a report begins with."""

_START_BYTES = 4096  # more than whatever stands before a page's title


class Named(Enum):
    """A kind of file that is written where somebody says: how it is called, and what its start holds."""

    REPORT = "page", "report", rb"<title>" + re.escape(html.escape(REPORT_TITLE)).encode()
    PAGE = "page", "page of figures", rb"<title>colvi-edge (?!report: )"
    TABLE = (
        "table",
        "table",
        rb"\A(path,status,diagnosis,score,|image_name,prediction,probability\r?\n"
        rb"|# header [sdl,]+\r?\nImage Name,status,)",
    )
    RECORD = "record", "record of bench", rb'"schema": ?"colvi-edge\.bench/'
    METRICS = "metrics", "file of metrics", rb"\A# HELP colvi_edge_"

    @property
    def noun(self) -> str:
        """What is written."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What gives way to it."""
        return self.value[1]

    def begins(self, start: bytes) -> bool:
        """Return whether a file that begins so is one."""
        return re.search(self.value[2], start) is not None


def refuse_other(kind: Named, path: str | Path, folder_fd: int | None = None) -> None:
    """Refuse to write into the place of a file that is none of ours, or of another kind.

    An empty file goes, and a link, whose target stays as it is; a folder is left to who writes.

    Args:
        kind: what is to be written.
        path: where to, or its name in the folder of a descriptor.
        folder_fd: that descriptor.

    Raises:
        UsageError: another file has the name.
    """
    remedy = f"give the {kind.noun} another name, or move that file away"
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, dir_fd=folder_fd)
        try:
            mode = os.fstat(handle).st_mode
            start = os.read(handle, _START_BYTES) if stat.S_ISREG(mode) else None
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise UsageError(f"{path} cannot be looked at: {error.strerror}; {remedy}") from error
    gives_way = stat.S_ISDIR(mode) if start is None else not start or kind.begins(start)
    if not gives_way:
        raise UsageError(f"{path} is no {kind.words} of colvi-edge and would be overwritten; {remedy}")


def is_named_file(path: Path) -> bool:
    """Return whether this is a file of ours of any of these kinds."""
    try:
        start = read_beginning(path, _START_BYTES)
    except OSError:
        return False
    return any(kind.begins(start) for kind in Named)
