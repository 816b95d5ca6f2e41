"""Raw files whose result is no longer whole: to be judged again, but not again and again."""

import os
from collections.abc import Iterable, Iterator, Sequence, Set

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
        # The bundles whose results lacked files when a raw file was offered, until those are whole again.
        self._offered: dict[str, frozenset[str]] = {}
        self._lacking: frozenset[str] = frozenset()  # the same of the file that was yielded last
        self._asked: dict[str, frozenset[str]] = {}  # the same of those that settle
        self._whole: dict[str, tuple[int, ...]] = {}  # files that are all of the results, if not the usual

    def among(self, partial: Iterable[FoundFile]) -> Iterator[FoundFile | None]:
        """Yield the files that are to be judged again, and None for each other one.

        Args:
            partial: raw files of a scan in their known state that have not all the usual files of a result.
        """
        whole, self._whole = self._whole, {}
        seen = set()
        for found in partial:
            path = found.path
            seen.add(path)
            if whole.get(path) == found.counts:
                self._whole[path] = found.counts
                self._offered.pop(path, None)
                yield None
                continue
            entries = self._finished_entries(found)
            lacking = self._lacking_files(found, entries)
            if not lacking and all(entries):
                self._whole[path] = found.counts
            waits = self._offered.pop(path, frozenset())
            # What is worked on, or was asked for, is waited for.
            waits &= lacking | {slot for slot, entry in zip(self._slots, entries, strict=True) if not entry}
            if waits:
                self._offered[path] = waits
            self._lacking = lacking - waits
            yield found if self._lacking else None
        self._offered = {path: slots for path, slots in self._offered.items() if path in seen}

    def offered(self, path: str) -> None:
        """Note that the file that was yielded last is going to be judged again.

        It is not offered again for the same bundle until its result came and went.
        """
        self._offered[path] = self._offered.get(path, frozenset()) | self._lacking
        self._asked[path] = self._lacking

    def settled(self, path: str) -> list[str]:
        """Return, once, the bundles whose results lack files; none if the file was not offered."""
        return sorted(self._asked.pop(path, ()))

    def _finished_entries(self, found: FoundFile) -> list[Entry | None]:
        """Return what the ledger has of a file in this very state; None of what is still worked on."""
        known = (ledger.entry(found.path) for ledger in self._ledgers)
        return [
            entry if entry and entry.state != "pending" and entry.signature == found.signature else None
            for entry in known
        ]

    def _lacking_files(self, found: FoundFile, entries: Sequence[Entry | None]) -> frozenset[str]:
        """Return the bundles whose results lack files, though the ledger takes them for done."""
        folder, _, name = found.path.rpartition("/")
        if not _lack(found.counts, entries, name):
            return frozenset()
        # Counted once more: it may have been written since the folder was listed.
        lack = _lack(self._files_there(folder, name), entries, name)
        return frozenset(self._slots[number] for number in lack)

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


def _lack(counts: Sequence[int], entries: Sequence[Entry | None], name: str) -> Set[int]:
    """Return which of a file's results lack files.

    Of a container all, if one does: names alone do not always tell whose a file is, but the workers see it.
    """
    lack = {
        number
        for number, (count, entry) in enumerate(zip(counts, entries, strict=True))
        if entry and lacks_files(count, entry.files, name, failed=entry.state != "done")
    }
    if lack and is_container_name(name):
        return {number for number, entry in enumerate(entries) if entry}
    return lack
