"""Which raw files a command is about, and where the results of each go."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import ColviEdgeError, UsageError
from colvi_edge.outputs.named import is_named_file
from colvi_edge.outputs.names import image_label, is_output_name
from colvi_edge.outputs.sidecar import Image
from colvi_edge.printable import counted, in_a_row
from colvi_edge.raw_files import RAW_SUFFIXES, is_raw_name
from colvi_edge.system.writing import hold_folder

_KINDS_LISTED = 5
_LONGEST_KIND = 12  # characters


@dataclass(frozen=True)
class InputFile:
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
        return hold_folder(self.folder, "results")

    def confirm(self) -> None:
        """Raise nothing: who names a file wants its result."""

    def is_final(self, _: ColviEdgeError) -> bool:
        """Return True: there is no second try, so that every error gets its record."""
        return True

    def note(self, words: str) -> None:
        """Keep what is to be told."""
        self.notes.append(words)


def find_inputs(
    paths: Iterable[Path], output_dir: Path | None = None, tell: Callable[[str], None] = lambda _: None
) -> list[InputFile]:
    """Return each file that is named, and each raw file below each folder that is named, in order.

    Args:
        paths: files, and links to them, are taken whatever their name is, but for our own, which a shell
            names among others; folders are searched, links in them are not followed, and hidden, temporary
            and our own files are passed over.
        output_dir: gets the results, folders mirrored; None leaves them beside the raw files.
        tell: takes, in a sentence, what was passed over and may be missed.

    Raises:
        UsageError: a path is not there, nothing was found, or two results would collide.
    """
    files: dict[Path, InputFile] = {}
    seen = _Seen()
    named = list(paths)
    paths = [path for path in named if not _is_ours(path)]
    ours = f"{counted(len(named) - len(paths), 'file')} of ours"
    if named and not paths:
        raise UsageError(
            f"found only {ours}: results, pages, tables; name raw files or folders that hold them"
        )
    top = _common(_real_roots(paths, output_dir))
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} is not there; name raw files or folders that hold them")
        if not (path.is_dir() or path.is_file()):
            raise UsageError(
                f"{path} is neither a file nor a folder; name raw files or folders that hold them"
            )
        root = _root(path)
        for raw in _raw_files(path, output_dir, seen) if path.is_dir() else [path]:
            folder = output_dir / raw.parent.relative_to(root) if output_dir else raw.parent
            files.setdefault(raw.resolve(), InputFile(raw, folder, _place(folder, top)))
    if not files:
        raise UsageError(_nothing_found(paths, seen))
    refuse_collisions(files.values())
    if paths != named:
        tell(
            f"{ours} {'was' if len(named) - len(paths) == 1 else 'were'} passed over: results, pages, tables"
        )
    if seen.links:
        tell(f"{seen.words_of_links()}; what they lead to is diagnosed where you name it")
    return list(files.values())


def refuse_collisions(files: Iterable[InputFile], slots: Sequence[str] = ("",)) -> None:
    """Refuse files of which two would leave results of one name, also as slots make it.

    Raises:
        UsageError: such as X.tif in the slot `nuclei`, and a file that is called X.tif.nuclei.
    """
    taken: dict[str, Path] = {}
    for file in files:
        for slot in slots:
            label = image_label(file.path, "", slot)
            if taken.setdefault(label, file.raw) != file.raw:
                raise UsageError(
                    f"{taken[label]} and {file.raw} would both leave "
                    f"{file.folder / image_label(file.name, '', slot)}.colvi.*; "
                    "name their common folder, or run them one by one"
                )


def places_of(paths: Iterable[Path], output_dir: Path | None = None) -> tuple[Path, list[str]]:
    """Return where the results of what was named lie: a folder, and which folders in it.

    Those of a folder lie in it and below it, of a file beside it. None of the folders lies in another.
    """
    roots = _real_roots(paths, output_dir)
    top = _common(roots)
    places = sorted({os.path.relpath(root, top) for root in roots})
    outermost = [place for place in places if not any(_is_below(place, other) for other in places)]
    return top, outermost


def folders_of(paths: Iterable[Path], output_dir: Path | None = None) -> list[Path]:
    """Return the folders that `places_of` tells of, as they were named."""
    named = [output_dir] if output_dir else list(map(_root, paths))
    real = {os.path.realpath(folder): folder for folder in reversed(named)}
    outermost = {place for place in real if not any(_is_below(place, other) for other in real)}
    return [real[place] for place in dict.fromkeys(map(os.path.realpath, named)) if place in outermost]


def _is_below(place: str, other: str) -> bool:
    return place != other and (other == os.curdir or place.startswith(f"{other.rstrip('/')}/"))


def _root(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _is_ours(path: Path) -> bool:
    """Return whether a file is one of ours by its name, or a page, table or record by its content."""
    if is_raw_name(path.name) or not path.is_file():
        return False
    return is_output_name(path.name) or is_named_file(path)


def _real_roots(paths: Iterable[Path], output_dir: Path | None) -> list[str]:
    """Return the folders that were named; links on the way to them are followed."""
    # Followed, because one folder may be reached in two ways, and "link/.." is not where "link" lies.
    return [os.path.realpath(root) for root in ([output_dir] if output_dir else map(_root, paths))]


def _common(roots: list[str]) -> Path:
    return Path(os.path.commonpath(roots)) if roots else Path()


def _place(folder: Path, top: Path) -> str:
    place = os.path.relpath(os.path.realpath(folder), top)
    return "" if place == os.curdir else place


@dataclass
class _Seen:
    """What a search met that is no raw file.

    Attributes:
        links: which it did not follow.
        hidden: how many files and folders are.
        ours: how many files are results.
        others: how many files there are of each other kind, by suffix.
    """

    links: list[Path] = field(default_factory=list)
    hidden: int = 0
    ours: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def is_raw(self, name: str) -> bool:
        """Return whether a file is a raw one by its name; count it if not."""
        if is_raw_name(name):
            return True
        if is_output_name(name):
            self.ours += 1
        elif name.startswith("."):
            self.hidden += 1
        else:
            kind = Path(name).suffix.lower()
            self.others[kind if 0 < len(kind) <= _LONGEST_KIND else "without suffix"] += 1
        return False

    def words_of_links(self) -> str:
        """Return how many links were not followed, and which is one of them."""
        if len(self.links) == 1:
            return f"1 link was not followed ({self.links[0]})"
        return f"{len(self.links)} links were not followed ({self.links[0]} is one)"

    def words(self) -> list[str]:
        """Return what there is, in words; empty if there is nothing."""
        words = []
        if others := self.others.total():
            kinds = [f"{count} {kind}" for kind, count in self.others.most_common(_KINDS_LISTED)]
            kinds += ["..."] if len(self.others) > _KINDS_LISTED else []
            words.append(f"{counted(others, 'file')} of other kinds: {', '.join(kinds)}")
        if self.ours:
            words.append(counted(self.ours, "result file") + " of colvi-edge")
        if self.hidden:
            words.append(f"{self.hidden} hidden")
        return words + ([self.words_of_links()] if self.links else [])


def _nothing_found(folders: list[Path], seen: _Seen) -> str:
    wanted = in_a_row(RAW_SUFFIXES)
    where = str(folders[0]) if len(folders) == 1 else f"{len(folders)} folders"
    found = "; ".join(seen.words()) or "nothing at all"
    return f"found no {wanted} file below {where}, but {found}; name raw files or folders that hold them"


def _raw_files(root: Path, output_dir: Path | None, seen: _Seen) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, onerror=_refuse_unlisted):
        here = Path(folder)
        searched = []
        for name in sorted(subfolders):
            if name.startswith("."):
                seen.hidden += 1
            elif (here / name).is_symlink():
                seen.links.append(here / name)
            elif not (output_dir and (here / name).resolve() == output_dir.resolve()):
                searched.append(name)
        subfolders[:] = searched
        for name in sorted(names):
            if seen.is_raw(name):
                if (here / name).is_symlink():
                    seen.links.append(here / name)
                else:
                    yield here / name


def _refuse_unlisted(error: OSError) -> None:
    # Passed over in silence, the images in it would look as if they had been diagnosed.
    raise UsageError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error
