"""One daemon for a folder of results, also among several machines and users on one share.

The lock may vanish with the server that keeps it. That is no danger, as results are the same whoever writes
them, and whole or absent; it only spares the work of doing everything twice.

It is read by whoever reads the share, so it holds no name of a host or process, only the mark of the machine
whose daemon took it last: `colvi-edge 3f2a9c1b5d6e`. By that the waiting daemon says whether it waits for one
of its own machine, and `colvi-edge doctor`, asked on each of the others, which of them it is. Locks of
earlier versions, `HOST PROCESS`, are understood.
"""

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path

from colvi_edge.system.machine import machine_mark
from colvi_edge.watch.folder.away import is_unanswered
from colvi_edge.watch.folder.pinned import PinnedFolder

LOCK_NAME = ".colvi-edge.lock"

# A lock that another client holds is the second on NFS and the first on CIFS.
_HELD = {errno.EACCES, errno.EAGAIN}


class FolderTakenError(Exception):
    """Another daemon holds the folder; the words say which."""


class ShareLock:
    """The lock file of a folder of results, which is made and left there; no raw file is ever locked."""

    def __init__(self, results: PinnedFolder) -> None:
        """Take the lock, which lasts until `close` or the end of the process.

        Raises:
            FolderTakenError: another daemon has it.
            OSError: the folder can be neither written to nor locked.
        """
        self._results = results
        self._file = _open(results)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, f"{LOCK_NAME} is no file")
            self._take()
        except BaseException:
            self.close()
            raise

    def is_held(self) -> bool:
        """Return whether the locked file still is the one in the folder: not so if somebody removed it.

        Raises:
            OSError: that cannot be told, as the server does not answer.
        """
        began = time.monotonic()
        try:
            return os.path.samestat(os.fstat(self._file), self._results.status(LOCK_NAME))
        except OSError as error:
            if is_unanswered(error, time.monotonic() - began):
                raise  # to lock it anew, the same server would have to be asked
            return False

    def close(self) -> None:
        """Release the lock."""
        with suppress(OSError):  # a server that is away; the descriptor is closed all the same
            os.close(self._file)

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise FolderTakenError(f"{_holder(self._file)} watches this folder") from error
            raise
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"colvi-edge {machine_mark()}\n".encode(), 0)
        except OSError:  # another user's, or a full disk: the lock holds without words
            pass


def hold_off(folder: Path) -> int | None:
    """Keep daemons from a folder of results for as long as the descriptor that is returned is open.

    Returns:
        The descriptor; None if no daemon ever watched the folder, or nothing can be told.

    Raises:
        FolderTakenError: a daemon watches it.
    """
    try:
        file = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # on NFS an exclusive one needs a right to write
    except OSError as error:
        words = _holder(file)
        os.close(file)
        if error.errno in _HELD:
            raise FolderTakenError(f"{words} watches this folder") from error
        return None
    return file


def _open(results: PinnedFolder) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(LOCK_NAME, os.O_RDWR | os.O_CREAT | flags, 0o644, dir_fd=results.fileno())
    except PermissionError as error:
        try:  # another user's can be locked all the same
            return os.open(LOCK_NAME, os.O_RDONLY | flags, dir_fd=results.fileno())
        except FileNotFoundError:
            raise error from None


def _holder(file: int) -> str:
    try:
        words = os.pread(file, 300, 0)
    except OSError:  # on CIFS a locked file cannot be read
        words = b""
    # Everything else is no word of ours: its holder died while writing, or somebody wrote what they liked.
    if marked := re.fullmatch(rb"colvi-edge ([0-9a-f]{12})\n", words):
        mark = marked[1].decode()
        if mark == machine_mark():
            return "another colvi-edge of this machine"
        return f"the colvi-edge of the machine {mark}, as 'colvi-edge doctor' calls it there,"
    if named := re.fullmatch(rb"([A-Za-z0-9._-]{1,253}) (\d{1,10})\n", words):
        return f"colvi-edge on {named[1].decode()}, process {named[2].decode()},"
    return "another colvi-edge"
