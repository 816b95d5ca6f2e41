"""Raw files whose result is no longer whole: to be judged again, but not again and again."""

import os
from collections.abc import Iterable, Iterator

from colvi_edge.raw_files import is_container_name
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.result_files import ResultFiles, lacks_files, result_names
from colvi_edge.watch.scanner.walk import FoundFile


class LostResults:
    """The results of which files are gone, told from those that never have all the usual ones."""

    def __init__(self, results: PinnedFolder, ledger: LedgerReader) -> None:
        """Begin with nothing known.

        Args:
            results: where the results go.
            ledger: what became of each file, and of how many files its result consists.
        """
        self._results = results
        self._ledger = ledger
        self._offered: set[str] = set()  # by an earlier scan, and its result has not come yet
        self._whole: dict[str, int] = {}  # files that are all of a result, if not the usual ones

    def among(self, partial: Iterable[FoundFile]) -> Iterator[FoundFile | None]:
        """Yield the files that are to be judged again, and None for each other one.

        Args:
            partial: raw files of a scan in their known state that have not all the usual files of a result.
        """
        offered, self._offered = self._offered, set()
        whole, self._whole = self._whole, {}
        for found in partial:
            entry = None
            is_whole = whole.get(found.path) == found.files
            if not is_whole and (entry := self._finished_entry(found)):
                is_whole = not self._lacks_files(found, entry)
            if is_whole:
                self._whole[found.path] = found.files
            elif found.path in offered:
                self._offered.add(found.path)
            elif entry:
                yield found
                continue
            yield None

    def offered(self, path: str) -> None:
        """Note that a file is going to be judged again; it is not offered until its result came and went."""
        self._offered.add(path)

    def _finished_entry(self, found: FoundFile) -> Entry | None:
        """Return what the ledger knows of a file in this very state; None if it is still worked on."""
        entry = self._ledger.entry(found.path)
        if entry is None or entry.state == "pending" or entry.signature != found.signature:
            return None
        return entry

    def _lacks_files(self, found: FoundFile, entry: Entry) -> bool:
        """Return whether files are gone of the result that the ledger takes for done."""
        folder, _, name = found.path.rpartition("/")
        failed = entry.state != "done"
        if not lacks_files(found.files, entry.files, name, failed=failed):
            return False
        # Counted once more: it may have been written since the folder was listed.
        return lacks_files(self._files_there(folder, name), entry.files, name, failed=failed)

    def _files_there(self, folder: str, name: str) -> int:
        if not is_container_name(name):
            prefix = f"{folder}/" if folder else ""
            return sum(self._results.exists(prefix + path) for path in result_names(name))
        try:
            listed = self._results.open_folder(folder)
        except OSError:
            return 0
        try:
            names = set(os.listdir(listed))  # noqa: PTH208 - pathlib knows no descriptors
            return ResultFiles(names, [name]).count(name)
        finally:
            os.close(listed)
