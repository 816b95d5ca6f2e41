"""A file from a folder that others may write to: never a link, a pipe or a flood."""

import errno
import os
import stat
from pathlib import Path


def read_bounded(name: str | Path, most_bytes: int, folder_fd: int | None = None) -> bytes:
    """Return the content of a regular file; a link in its place is not followed.

    Args:
        name: its path, or its path below the folder of a descriptor.
        most_bytes: that it may hold.
        folder_fd: that descriptor.

    Raises:
        OSError: it is none, is larger, or cannot be read.
    """
    handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)  # of a folder, `fdopen` would not
        raise OSError(errno.EINVAL, "no file")
    with os.fdopen(handle, "rb") as file:
        if found.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes, expected at most {most_bytes}")
        return file.read(found.st_size)
