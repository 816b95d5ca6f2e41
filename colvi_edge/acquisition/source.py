"""The raw file as bytes: opened for reading only, for as long as it is read, and the same all the while."""

import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from colvi_edge.acquisition.bounds import allowing
from colvi_edge.acquisition.model import Limits
from colvi_edge.errors import AcquisitionError, ImageTooLargeError, IncompleteFileError, NotAnImageError

OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""How a raw file is opened. Without O_NONBLOCK a pipe that nobody writes to would be waited for for ever."""

CHANGED = "changed while it was read; try again when it is finished"

AT_REST_S = 10.0
"""A program that is still writing has changed the file since."""


def is_at_rest(handle: int, begin: int, end: int) -> bool:
    """Return whether a file was left alone for a while and these bytes of it were written by somebody.

    Bytes that were reserved and never written are a hole, where the file system tells holes; elsewhere
    the time decides alone.
    """
    if time.time() - os.fstat(handle).st_mtime < AT_REST_S:
        return False
    try:
        return os.lseek(handle, begin, os.SEEK_HOLE) >= end
    except OSError:  # this one does not tell
        return True


@contextmanager
def held(opened: Callable[[], int]) -> Iterator[int]:
    """Hold a raw file open; gives its descriptor.

    Args:
        opened: opens the file; its errors are those of the file.

    Raises:
        AcquisitionError: it cannot be opened or read, is no file, or changed meanwhile.
    """
    try:
        handle = opened()
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise NotAnImageError("is a folder, pipe or device; expected an image file")
            yield handle
            after = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EAGAIN):
            raise IncompleteFileError(
                "is held open by the program that writes it; try again later"
            ) from error
        raise AcquisitionError(
            f"cannot be read: {os.strerror(error.errno or 0)}; check its path and permissions"
        ) from error
    if _state(before) != _state(after):
        raise IncompleteFileError(CHANGED)


class Source(io.RawIOBase):
    """A raw file: read whole in one go, or, if it is too long for that, as a stream that is opened at will.

    A program on the microscope cannot write a file that is open here (seen on SMB), and the images
    of a container take their time: between two of them it is closed. Each time it must be as it was
    at first.

    Attributes:
        end: where the stream ends, in bytes: a reader cannot be led beyond it.
        mtime_ns: when the file was last changed; 0 before it was read.
    """

    def __init__(self, opened: Callable[[], int]) -> None:
        """Remember how the file is opened; nothing is yet."""
        self.end = self.mtime_ns = 0
        self._opened = opened
        self._known: tuple[int, ...] | None = None
        self._handle = -1
        self._position = 0

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Open the stream for reading; gives the file's length in bytes.

        Raises:
            AcquisitionError: as from `held`; or the file is not what it was at first.
        """
        with held(self._opened) as self._handle:
            status = os.fstat(self._handle)
            found = (status.st_dev, status.st_ino, *_state(status))
            if self._known not in (None, found):
                raise IncompleteFileError(CHANGED)
            if self._known is None:
                self._known, self.end, self.mtime_ns = found, status.st_size, status.st_mtime_ns
            try:
                yield status.st_size
            finally:
                self._handle = -1

    def beginning(self, length: int) -> bytes:
        """Return the first bytes of the file, so many or all; only while the stream may be read."""
        return os.pread(self._handle, length, 0)

    def whole(self, limits: Limits) -> bytes:
        """Return all bytes of the file; only while the stream may be read.

        Raises:
            ImageTooLargeError: there are more than the limits allow.
            IncompleteFileError: there are fewer than the file was long when it was opened, or more.
        """
        if self.end > limits.file_bytes:
            raise ImageTooLargeError(
                f"is {self.end:,} bytes long, but at most {limits.file_bytes:,} are read "
                f"(limit 'file_bytes'); crop the image or allow it with {allowing(file_bytes=self.end)}"
            )
        with os.fdopen(self._handle, "rb", closefd=False) as file:
            data = file.read(self.end + 1)
        if len(data) != self.end:
            raise IncompleteFileError(CHANGED)
        return data

    def is_at_rest(self, begin: int, end: int) -> bool:
        """Return what `is_at_rest` says of these bytes; only while the stream may be read."""
        return is_at_rest(self._handle, begin, end)

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # the stubs want Buffer of 3.12
        """Fill the buffer as far as the file goes; return how many bytes it took."""
        rest = memoryview(buffer).cast("B")[: max(self.end - self._position, 0)]
        done = 0
        while rest and (taken := os.preadv(self._handle, [rest], self._position)):  # at most 2 GiB a call
            rest = rest[taken:]
            done += taken
            self._position += taken
        return done

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}[whence]
        self._position = begin + offset
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
