"""Raw files whose result is no longer whole: to be judged again, but not again and again."""

import os
from collections.abc import Iterable, Iterator, Sequence

from colvi_edge.raw_files import is_container_name
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.result_files import ResultFiles, lacks_files, result_names
from colvi_edge.watch.scanner.walk import FoundFile


class LostResults:
    """The results of which files are gone, told from those that never have all the usual ones."""

    def __init__(self, results: PinnedFolder, ledger: LedgerReader, slots: Sequence[str] = ("",)) -> None:
        """Begin with nothing known.

        Args:
            results: where the results go.
            ledger: what became of each file, and of how many files its result consists.
            slots: of the bundles that judge.
        """
        self._results = results
        self._slots = slots
        self._ledgers = [ledger.of(slot) for slot in slots]
        self._offered: set[str] = set()  # by an earlier scan, and its result has not come yet
        self._whole: dict[str, tuple[int, ...]] = {}  # files that are all of the results, if not the usual

    def among(self, partial: Iterable[FoundFile]) -> Iterator[FoundFile | None]:
        """Yield the files that are to be judged again, and None for each other one.

        Args:
            partial: raw files of a scan in their known state that have not all the usual files of a result.
        """
        offered, self._offered = self._offered, set()
        whole, self._whole = self._whole, {}
        for found in partial:
            entries: list[Entry] = []
            is_whole = whole.get(found.path) == found.counts
            if not is_whole and (entries := self._finished_entries(found)):
                is_whole = not self._lacks_files(found, entries)
            if is_whole:
                self._whole[found.path] = found.counts
            elif found.path in offered:
                self._offered.add(found.path)
            elif entries:
                yield found
                continue
            yield None

    def offered(self, path: str) -> None:
        """Note that a file is going to be judged again; it is not offered until its result came and went."""
        self._offered.add(path)

    def _finished_entries(self, found: FoundFile) -> list[Entry]:
        """Return what the ledger knows of a file in this very state; nothing if it is still worked on."""
        entries = []
        for ledger in self._ledgers:
            entry = ledger.entry(found.path)
            if entry is None or entry.state == "pending" or entry.signature != found.signature:
                return []
            entries.append(entry)
        return entries

    def _lacks_files(self, found: FoundFile, entries: Sequence[Entry]) -> bool:
        """Return whether files are gone of a result that the ledger takes for done."""
        folder, _, name = found.path.rpartition("/")
        if not _lack(found.counts, entries, name):
            return False
        # Counted once more: it may have been written since the folder was listed.
        return _lack(self._files_there(folder, name), entries, name)

    def _files_there(self, folder: str, name: str) -> tuple[int, ...]:
        if not is_container_name(name):
            prefix = f"{folder}/" if folder else ""
            named = (result_names(name, slot) for slot in self._slots)
            return tuple(sum(self._results.exists(prefix + path) for path in paths) for paths in named)
        try:
            listed = self._results.open_folder(folder)
        except OSError:
            return (0,) * len(self._slots)
        try:
            names = set(os.listdir(listed))  # noqa: PTH208 - pathlib knows no descriptors
            return ResultFiles(names, [name], slots=self._slots).counts(name)
        finally:
            os.close(listed)


def _lack(counts: Sequence[int], entries: Sequence[Entry], name: str) -> bool:
    """Return whether one of a file's results lacks files."""
    return any(
        lacks_files(count, entry.files, name, failed=entry.state != "done")
        for count, entry in zip(counts, entries, strict=True)
    )
