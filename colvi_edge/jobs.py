"""Which raw files a command is about, and where the results of each go."""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from colvi_edge.acquisition import OPEN_FLAGS, is_raw_name
from colvi_edge.errors import ColviEdgeError, UsageError
from colvi_edge.outputs.folder import open_results
from colvi_edge.outputs.sidecar import Image


@dataclass(frozen=True)
class Job:
    """A raw file that was named on the command line.

    Attributes:
        raw: where it is.
        folder: that its outputs go to.
        place: that folder as lists name it: relative to the folder that was named, to the common parent of
            several, or to the one that mirrors them; "" is that itself. No two folders have one.
        notes: what is to be told beside its result.
    """

    raw: Path
    folder: Path
    place: str = ""
    notes: list[str] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name of the raw file, without folders."""
        return self.raw.name

    @property
    def path(self) -> str:
        """How lists name the raw file; no two have one, whatever folders they lie in."""
        return f"{self.place}/{self.name}" if self.place else self.name

    def open(self) -> int:
        """Open the raw file."""
        return os.open(self.raw, OPEN_FLAGS)

    def may_be(self, image: Image) -> bool:
        """Return whether the raw file has the length of what a record is of, or nobody can tell."""
        try:
            return image.bytes in (None, self.raw.stat().st_size)
        except OSError:
            return True

    def results(self) -> AbstractContextManager[int]:
        """Hold the folder of the outputs open."""
        return open_results(self.folder)

    def confirm(self) -> None:
        """Let everything be written: who names a file wants its result."""

    def is_final(self, _: ColviEdgeError) -> bool:
        """Return True: there is no second try, so that every error gets its record."""
        return True

    def note(self, words: str) -> None:
        """Keep what is to be told."""
        self.notes.append(words)


def find_jobs(paths: Iterable[Path], output_dir: Path | None = None) -> list[Job]:
    """Return a job for each file named and each raw file below each folder named, in order.

    Args:
        paths: files are taken whatever their name is; folders are searched, links in them are
            not followed, and hidden, temporary and our own files are passed over.
        output_dir: gets the results, folders mirrored; None leaves them beside the raw files.

    Raises:
        UsageError: a path is not there, nothing was found, or two results would collide.
    """
    jobs: dict[Path, Job] = {}
    paths = list(paths)
    top = _common_folder(paths, output_dir)
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} is not there; name raw files or folders that hold them")
        if not (path.is_dir() or path.is_file()):
            raise UsageError(
                f"{path} is neither a file nor a folder; name raw files or folders that hold them"
            )
        root = _root(path)
        for raw in _raw_files(path, output_dir) if path.is_dir() else [path]:
            folder = output_dir / raw.parent.relative_to(root) if output_dir else raw.parent
            jobs.setdefault(raw.resolve(), Job(raw, folder, _place(folder, top)))
    if not jobs:
        raise UsageError("found no .tif or .lif file; name raw files or folders that hold them")
    _refuse_collisions(jobs.values())
    return list(jobs.values())


def _root(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _common_folder(paths: Iterable[Path], output_dir: Path | None) -> Path:
    """Return the folder that places are relative to; links on the way to it are followed."""
    # Followed, because one folder may be reached in two ways, and "link/.." is not where "link" lies.
    roots = [output_dir] if output_dir else [_root(path) for path in paths]
    return Path(os.path.commonpath([os.path.realpath(root) for root in roots])) if roots else Path()


def _place(folder: Path, top: Path) -> str:
    place = os.path.relpath(os.path.realpath(folder), top)
    return "" if place == os.curdir else place


def _raw_files(root: Path, output_dir: Path | None) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, onerror=_refuse_unlisted):
        here = Path(folder)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".")
            and not (output_dir and (here / name).resolve() == output_dir.resolve())
        )
        yield from (here / name for name in sorted(names) if is_raw_name(name))


def _refuse_unlisted(error: OSError) -> None:
    # Passed over in silence, the images in it would look as if they had been diagnosed.
    raise UsageError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    taken: dict[str, Path] = {}
    for job in jobs:
        if taken.setdefault(job.path, job.raw) != job.raw:
            raise UsageError(
                f"{taken[job.path]} and {job.raw} would both leave {job.folder / job.name}.colvi.*; "
                "name their common folder, or run them one by one"
            )
