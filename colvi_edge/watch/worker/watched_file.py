"""A raw file of the watched folder, as the pipeline takes it: opened and judged only as it was announced."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from colvi_edge.errors import (
    AcquisitionError,
    ColviEdgeError,
    IncompleteFileError,
    LastPlaneBlackError,
    NotAnImageError,
)
from colvi_edge.outputs.names import kind_of_name
from colvi_edge.outputs.sidecar import Image
from colvi_edge.system.writing import explained
from colvi_edge.watch.folder.folders import Folders, ShareAwayError
from colvi_edge.watch.folder.pinned import NO_FILE
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import RecordFailure, Work

PERMANENT = {
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EXDEV,
    errno.ELOOP,
    errno.EISDIR,
    errno.ENXIO,
    errno.ENODEV,
}
GONE = {errno.ENOENT, errno.ENOTDIR}
MAY_BE_HELD = {errno.EACCES, errno.EPERM}
"""What a share answers while another program holds the file: as for an unfinished file, patience ends."""


class ChangedFileError(IncompleteFileError):
    """The file is not in the state that was announced; the scanner will announce it again."""

    kind = "changed"


class QuarantinedError(AcquisitionError):
    """The file ended several workers that read it."""

    kind = "killed"


class WatchedFile:
    """A raw file below the watched root, as the pipeline takes it."""

    def __init__(self, work: Work | RecordFailure, folders: Folders, may_write: Callable[[], bool]) -> None:
        """Remember the work; nothing is opened yet.

        Args:
            work: what to do with the file.
            folders: where it lies, and where its results go.
            may_write: asked before each rename; not once this worker was given up.
        """
        self.work = work
        self._folder, _, self.name = work.path.rpartition("/")
        self.began = time.monotonic()
        self.notes: list[str] = []
        self._folders = folders
        self._may_write = may_write

    def open(self) -> int:
        """Return a descriptor of the raw file in the state that was announced."""
        if isinstance(self.work, RecordFailure):
            raise QuarantinedError(self.work.message)
        with self._folders.root(self.work.mount) as root:
            try:
                raw = root.open_raw(self.work.path)
            except OSError as error:
                if error.errno not in NO_FILE:
                    raise
                words = (error.strerror or "").removesuffix(", expected a file")
                raise NotAnImageError(f"{words}; expected an image file") from error
        if isinstance(self.work, Work) and Signature.of(os.fstat(raw)) != self.work.signature:
            os.close(raw)
            raise ChangedFileError("changed since it was found at rest; it will be looked at again")
        return raw

    def may_be(self, image: Image) -> bool:
        """Return whether the announced file has the length of what a record is of.

        Of a file that must not be read the time counts, too: nobody will hash it.
        """
        if isinstance(self.work, Work):
            return image.bytes in (None, self.work.signature.bytes)
        try:
            state = self._state()
        except (ColviEdgeError, OSError):
            return True
        return image.bytes in (None, state.bytes) and image.mtime_ns in (None, state.mtime_ns)

    @contextmanager
    def results(self) -> Iterator[int]:
        """Hold the folder of the results open."""
        mounts = self.work.mount, self.work.results_mount
        cannot_write = explained("the folder of the results", "results", kind_of_name)
        with cannot_write, self._folders.results(*mounts) as top:
            folder = top.open_folder(self._folder, create=self._folders.apart)
            try:
                yield folder
            finally:
                os.close(folder)

    def confirm(self) -> None:
        """Raise if the raw file is not any more what was read, or this worker was given up."""
        if not self._may_write():
            raise SystemExit
        try:
            state = self._state()
        except OSError as error:
            raise ChangedFileError(f"{self.name} went away while it was judged") from error
        if isinstance(self.work, Work) and state != self.work.signature:
            raise ChangedFileError(f"{self.name} changed while it was judged; it will be looked at again")

    def is_final(self, error: ColviEdgeError) -> bool:
        """Return whether no later try can help."""
        if isinstance(error, ChangedFileError | ShareAwayError):
            return False
        code = error_number(error)
        if isinstance(error, IncompleteFileError) or code in MAY_BE_HELD:
            if not isinstance(self.work, Work):
                return False
            seen = isinstance(error, LastPlaneBlackError) and self.work.kind == error.kind
            return seen or self.work.last
        return code is None or code in PERMANENT

    def note(self, words: str) -> None:
        """Keep what is to be told with the answer."""
        self.notes.append(words)

    def _state(self) -> Signature:
        with self._folders.root(self.work.mount) as root:
            return root.signature(self.work.path)


def error_number(error: BaseException) -> int | None:
    """Return the errno of what the file system said, where that is an error's cause."""
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None
