"""The watched folder and that of its results, as worker and publisher reach them: only on their mounts."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from colvi_edge.errors import AcquisitionError
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.words import Trouble


class ShareAwayError(AcquisitionError):
    """The watched folder, or that of the results, is not where it was."""

    kind: Trouble = "share away"


class Folders:
    """Both folders; each is opened anew for every use, and only on its mount.

    Attributes:
        apart: the results do not go beside the raw files.
    """

    def __init__(self, paths: FolderPaths) -> None:
        """Remember both; the scanner makes the folder of the results, as it alone knows on which mount."""
        self._root, self._results = paths.root, paths.results
        self.apart = paths.output_dir is not None

    def root(self, mount: Mount) -> AbstractContextManager[PinnedFolder]:
        """Hold the watched folder open, on the mount on which the scanner has it.

        Raises:
            ShareAwayError: it is not there.
        """
        return _pinned(self._root, mount)

    def results(self, mount: Mount, results_mount: Mount | None) -> AbstractContextManager[PinnedFolder]:
        """Hold the top folder of the results open.

        Args:
            mount: on which the scanner has the watched folder.
            results_mount: on which it has that of the results, where that is another one.

        Raises:
            ShareAwayError: it is not there.
        """
        if not self.apart:
            return _pinned(self._results, mount)
        if results_mount is None:
            raise ShareAwayError(f"{self._results} is not known to be mounted; it will be tried again")
        return _pinned(self._results, results_mount)


@contextmanager
def _pinned(path: Path, mount: Mount) -> Iterator[PinnedFolder]:
    try:
        folder = PinnedFolder(path)
    except OSError as error:
        raise ShareAwayError(f"{path} is not there: {error.strerror}; mount it again") from error
    with folder:
        if folder.mount() != mount:
            raise ShareAwayError(f"{path} is not on {mount.source} any more; mount it again")
        yield folder
