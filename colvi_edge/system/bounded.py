"""Reading of files in folders that others may write to: no link is followed, no pipe waited for."""

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, NoReturn

_CHUNK = 1 << 20


def read_bounded(name: str | Path, most_bytes: int, folder_fd: int | None = None) -> bytes:
    """Return the content of a regular file; a link in its place is not followed.

    Args:
        name: its path, or its path below the folder of a descriptor.
        most_bytes: that it may hold.
        folder_fd: that descriptor.

    Raises:
        OSError: it is none, is larger, or cannot be read.
    """
    with _opened(name, most_bytes, folder_fd) as (file, size):
        return file.read(size)


def read_beginning(name: str | Path, most_bytes: int, folder_fd: int | None = None) -> bytes:
    """Return the first bytes of a regular file, however long it is; else as `read_bounded`.

    Raises:
        OSError: it is none, or cannot be read.
    """
    with _opened(name, None, folder_fd) as (file, _):
        return file.read(most_bytes)


def sha256_bounded(name: str | Path, most_bytes: int, folder_fd: int | None = None) -> str:
    """Return the hash of a file as `read_bounded` reads it, but without holding it in memory.

    Raises:
        OSError: as from `read_bounded`.
    """
    with _opened(name, most_bytes, folder_fd) as (file, size):
        return sha256_of(file, size)


def sha256_of(stream: BufferedReader | RawIOBase, most_bytes: int = sys.maxsize) -> str:
    """Return the hash of a stream from where it is to its end, without holding it in memory.

    Args:
        stream: to be read.
        most_bytes: after which it ends, whatever is there.

    Raises:
        OSError: it cannot be read.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(min(most_bytes, _CHUNK)))
    while taken := stream.readinto(buffer[:most_bytes]):
        digest.update(buffer[:taken])
        most_bytes -= taken
    return digest.hexdigest()


def json_of(text: str | bytes) -> Any:
    """Return what a text of bounded length holds as JSON; for processes that load no parser of their own.

    Raises:
        ValueError: it holds none, or is nested deeper than Python's parser goes, some 1,000 levels.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


@contextmanager
def _opened(
    name: str | Path, most_bytes: int | None, folder_fd: int | None
) -> Iterator[tuple[BufferedReader, int]]:
    handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)  # of a folder, `fdopen` would not
        raise OSError(errno.EINVAL, "no file")
    with os.fdopen(handle, "rb") as file:
        if most_bytes is not None and found.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes, expected at most {most_bytes}")
        yield file, found.st_size
