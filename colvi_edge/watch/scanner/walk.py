"""A walk over the watched tree: which raw files are there, in which state, and with which result.

The walk is an iterator that pauses after every few entries, so that its owner can do other things meanwhile.
Each folder is opened below the pinned one without following a link.
"""

import os
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from colvi_edge.raw_files import MAX_DEPTH, is_raw_name, unread_suffix
from colvi_edge.system.atomic import is_temporary_name
from colvi_edge.watch.folder.away import away, is_unanswered
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.scanner.claimed_folders import ClaimedFolders
from colvi_edge.watch.scanner.result_files import ResultFiles

_PAUSE_AFTER = 64  # entries; on a share each may take a round trip


@dataclass(frozen=True)
class FoundFile:
    """A raw file that needs a closer look.

    Attributes:
        path: relative to the root.
        signature: as `lstat` gives it: of a link the link's own, and on NFS maybe seconds old.
        marked: its marker is there.
        counts: of its results, or error records, how many files of each bundle's are there; counted where
            that may be of interest only.
    """

    path: str
    signature: Signature
    marked: bool
    counts: tuple[int, ...] = ()

    @property
    def files(self) -> int:
        """How many files there are of all."""
        return sum(self.counts)


@dataclass(frozen=True)
class Leftover:
    """A temporary file of ours beside the results; stale if it stays as it is.

    Attributes:
        path: relative to the results' root.
        signature: its state.
    """

    path: str
    signature: Signature


class TreeWalk:
    """A walk; iterate to its end, once.

    It yields None at each pause, `Leftover`s, and `FoundFile` for each raw file whose signature is
    not the known one. 10^5 new files took 0.5 s of one core, as many known ones with five outputs each 1.6 s.

    Attributes:
        files: raw files seen so far.
        not_read: files in other image formats, by suffix; their names are all that is looked at.
        partial: raw files in their known state that have not all the usual files of a result: they were
            rejected, failed, hold several images, or something is gone. The ledger tells these apart.
        barred: folders whose entries, or those of whose results, this process may not see.
        unread: why other folders or files could not be looked at, a few words for each.
    """

    def __init__(
        self,
        folders: ClaimedFolders,
        known: Mapping[str, Signature],
        marker: str | None,
        ome_tiff: bool = False,
        slots: Sequence[str] = ("",),
        labelled: Sequence[str] = (),
    ) -> None:
        """Prepare a walk.

        Args:
            folders: the watched one, and where the results go.
            known: the state of each path in which it needs nothing.
            marker: suffix of the file that says that a raw file is finished.
            ome_tiff: one belongs to each result.
            slots: of the bundles that judge.
            labelled: those of them to each of whose results belongs a file of labels.
        """
        self.files = 0
        self.not_read: Counter[str] = Counter()
        self.partial: list[FoundFile] = []
        self.barred: set[str] = set()
        self.unread: list[str] = []
        self._folders = folders
        self._known = known
        self._marker = marker
        self._usual = (ome_tiff, slots, labelled)  # which files belong to a raw file, as for `ResultFiles`
        self._asked_at = 0.0  # when the file system was first asked for what comes next

    def __iter__(self) -> Iterator[FoundFile | Leftover | None]:
        """Walk.

        Raises:
            AwayError: the server does not answer.
        """
        self._asked_at = time.monotonic()
        for item in self._tree():
            yield item
            self._asked_at = time.monotonic()

    def _tree(self) -> Iterator[FoundFile | Leftover | None]:
        folders = [""]
        while folders:
            path = folders.pop()
            try:
                yield from self._walk(path, folders)
            except FileNotFoundError:  # removed since it was listed
                continue
            except OSError as error:
                self._note(path, error)

    def _note(self, folder: str, error: OSError) -> None:
        """Note that a folder, or something in it, could not be looked at."""
        took_s = time.monotonic() - self._asked_at
        if is_unanswered(error, took_s):
            raise away(str(self._folders.root.path), error, took_s) from error
        if isinstance(error, PermissionError):
            self.barred.add(folder)
        else:
            self.unread.append(error.strerror or str(error))

    def _walk(self, path: str, folders: list[str]) -> Iterator[FoundFile | Leftover | None]:
        folder = self._folders.root.open_folder(path)
        try:
            names: set[str] = set()
            hidden: list[str] = []
            raws: list[os.DirEntry[str]] = []
            with os.scandir(folder) as entries:
                while some := list(islice(entries, _PAUSE_AFTER)):
                    yield None
                    for entry in some:
                        name = entry.name
                        names.add(name)
                        if is_raw_name(name) and not entry.is_dir(follow_symlinks=False):
                            raws.append(entry)
                        elif name[0] == ".":
                            hidden.append(name)
                        elif entry.is_dir(follow_symlinks=False):
                            self._note_folder(path, name, folders)
                        elif suffix := unread_suffix(name):
                            self.not_read[suffix] += 1
            results = self._result_names(path) if self._folders.apart else names
            yield from self._judge(path, raws, names, results)
            yield from self._leftovers(path, (results or ()) if self._folders.apart else hidden)
        finally:
            os.close(folder)

    def _note_folder(self, path: str, name: str, folders: list[str]) -> None:
        folder = f"{path}/{name}" if path else name
        if folder.count("/") == MAX_DEPTH:
            self.unread.append(f"deeper than {MAX_DEPTH} folders")
        elif self._folders.is_walked(folder):
            folders.append(folder)

    def _result_names(self, path: str) -> set[str] | None:
        """Return what lies in a folder of results apart; None if that cannot be told."""
        try:
            folder = self._folders.results.open_folder(path)
            try:
                return set(os.listdir(folder))  # noqa: PTH208 - pathlib knows no descriptors
            finally:
                os.close(folder)
        except FileNotFoundError:
            return set()
        except OSError as error:
            self._note(path, error)
            return None

    def _judge(
        self, path: str, raws: "list[os.DirEntry[str]]", names: set[str], results: set[str] | None
    ) -> Iterator[FoundFile | None]:
        prefix = f"{path}/" if path else ""
        listed = None if results is None else ResultFiles(results, [raw.name for raw in raws], *self._usual)
        for entry in _pausing(raws):
            if entry is None:
                yield None
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._note(path, error)
                continue
            self.files += 1
            name = entry.name
            known = self._known.get(prefix + name)
            unchanged = known is not None and _is_state(known, status)
            if unchanged and (listed is None or listed.is_whole(name)):
                continue
            marked = self._marker is not None and name + self._marker in names
            if unchanged and known and listed:
                self.partial.append(FoundFile(prefix + name, known, marked, listed.counts(name)))
            else:
                yield FoundFile(prefix + name, Signature.of(status), marked)

    def _leftovers(self, path: str, names: Iterable[str]) -> Iterator[Leftover]:
        for name in filter(is_temporary_name, names):
            where = f"{path}/{name}" if path else name
            try:
                status = self._folders.results.status(where)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._note(path, error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield Leftover(where, Signature.of(status))


def _pausing(entries: "Iterable[os.DirEntry[str]]") -> "Iterator[os.DirEntry[str] | None]":
    for count, entry in enumerate(entries):
        if count % _PAUSE_AFTER == 0:
            yield None
        yield entry


def _is_state(signature: Signature, status: os.stat_result) -> bool:
    # Field by field: to make a Signature of each of 10^5 files doubled the time of a scan.
    return (
        signature.ctime_ns == status.st_ctime_ns
        and signature.mtime_ns == status.st_mtime_ns
        and signature.bytes == status.st_size
        and signature.inode == status.st_ino
    )
