"""A folder that is held open: what is opened below it stays below it, whatever is swapped meanwhile.

Paths come from names that anyone may have chosen. They are walked one folder at a time, from its descriptor,
and a link or ".." on the way ends the walk. The folder itself may be reached through links: its path is the
operator's.
"""

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from colvi_edge.watch.folder.away import is_unanswered
from colvi_edge.watch.folder.mounts import Mount, mount_of
from colvi_edge.watch.folder.signature import Signature

NO_FILE = {errno.ELOOP, errno.EINVAL}
"""What `PinnedFolder.open_raw` says of links, pipes, devices and folders."""

_RAW = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE}  # to open it anew tells what it is now
_THROUGH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # needs no right to list the folder


class PinnedFolder:
    """A folder held open, by which everything below it is opened.

    All paths are relative to it, as `os.fsdecode` gives them; "" is the folder itself. Descriptors that are
    returned are the caller's to close.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder.

        Raises:
            OSError: it is not there, is no folder, or may not be listed.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> "PinnedFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the folder's own descriptor."""
        return self._descriptor

    def real_path(self) -> str:
        """Return where the folder lies, behind all links."""
        return str(Path(f"/proc/self/fd/{self._descriptor}").readlink())

    def mount(self) -> Mount:
        """Return the mount that this very folder lies on.

        Raises:
            OSError: ESTALE, it was unmounted meanwhile.
        """
        return mount_of(self._descriptor)

    def is_current(self) -> bool:
        """Return whether the path still leads to this very folder: not so after a remount or `rm -r`.

        Raises:
            OSError: that cannot be told, as the server does not answer.
        """
        began = time.monotonic()
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError as error:
            if error.errno not in _GONE or is_unanswered(error, time.monotonic() - began):
                raise
            return False

    def open_raw(self, relative: str) -> int:
        """Open a raw file for reading, and nothing that is not a regular file.

        Raises:
            OSError: ELOOP, it is a link. EINVAL, a pipe, device or folder. EXDEV, the path leads out.
                ENOENT, EBUSY, EACCES, ...: as the file system gave it.
        """
        # Asked before opening: to open a device can make it act, and to open a pipe wakes its writer.
        _refuse_special(self.status(relative))
        raw = open_below(self._descriptor, relative, _RAW)
        try:
            _refuse_special(os.fstat(raw))
        except OSError:
            os.close(raw)
            raise
        return raw

    def signature(self, relative: str) -> Signature:
        """Return the state of a raw file by open and fstat; of what is no regular file, by lstat.

        Raises:
            OSError: as from `open_raw`, but for `NO_FILE`.
        """
        try:
            raw = self.open_raw(relative)
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            return Signature.of(self.status(relative))
        try:
            return Signature.of(os.fstat(raw))
        finally:
            os.close(raw)

    def status(self, relative: str) -> os.stat_result:
        """Return what `lstat` says of a path. On NFS that may be seconds old; open and fstat are not."""
        *folders, name = _names(relative) or ["."]
        parent = open_below(self._descriptor, "/".join(folders), _THROUGH)
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def exists(self, relative: str) -> bool:
        """Return whether something of that name is there; not so where that cannot be told."""
        try:
            self.status(relative)
        except OSError:
            return False
        return True

    def open_folder(self, relative: str, create: bool = False) -> int:
        """Open a folder, making it and those on the way if asked to; they outlast a power cut."""
        if not create:
            return open_below(self._descriptor, relative, _FOLDER)
        folder = os.dup(self._descriptor)
        for name in _names(relative):
            parent = folder
            try:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=parent)
                    os.fsync(parent)
                folder = os.open(name, _FOLDER, dir_fd=parent)
            finally:
                os.close(parent)
        return folder

    def close(self) -> None:
        """Close the folder."""
        os.close(self._descriptor)


def open_below(folder: int, relative: str, flags: int) -> int:
    """Open a path below a folder without following a link anywhere on the way.

    Args:
        folder: its descriptor.
        relative: path below it; "" is the folder itself.
        flags: of the last component; O_NOFOLLOW and O_CLOEXEC are added.

    Raises:
        OSError: EXDEV, the path is absolute or has a ".."; ENOTDIR, a link stands for a folder; ELOOP, the
            last component is a link; or as the file system gave it.
    """
    *folders, last = _names(relative) or ["."]
    here = folder
    try:
        for name in folders:
            above, here = here, os.open(name, _THROUGH, dir_fd=here)
            if above != folder:
                os.close(above)
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        if here != folder:
            os.close(here)


def _names(relative: str) -> list[str]:
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") for name in names):
        raise OSError(errno.EXDEV, "path leads out of the folder")
    return names


def _refuse_special(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "is a link, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is a folder, pipe or device, expected a file")
