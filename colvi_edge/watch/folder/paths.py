"""Where the watched folder and that of its results are, as they were named."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FolderPaths:
    """Where raw files are, and where their results go.

    Attributes:
        root: the watched folder.
        output_dir: gets the results, folders mirrored; None leaves them beside the raw files.
    """

    root: Path
    output_dir: Path | None = None

    @property
    def results(self) -> Path:
        """The top folder of the results."""
        return self.output_dir or self.root

    def absolute(self) -> "FolderPaths":
        """Return the same with absolute paths, as children have another working directory."""
        return FolderPaths(absolute(self.root), self.output_dir and absolute(self.output_dir))


def absolute(path: Path) -> Path:
    """Return an absolute path; links stay, as to resolve them would touch the share."""
    return Path(os.path.abspath(path))  # noqa: PTH100
