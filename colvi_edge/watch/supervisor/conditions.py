"""The conditions of the daemon: what is wrong right now, logged when it begins and when it is over."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timezone

from colvi_edge.watch.status_file import Condition
from colvi_edge.watch.supervisor.telling.journal import LOGGER, shown_to_systemd, told
from colvi_edge.watch.words import Trouble

_REMEDIES: dict[Trouble, str] = {
    "folder not readable": "let that user list and enter it",
    "folder not writable": "let that user write to it",
}

log = logging.getLogger(LOGGER)


class Conditions:
    """What is wrong, each condition raised and cleared by the part of the daemon that knows of it."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._raised: dict[str, Condition] = {}  # by source
        self._of_files: set[str] = set()  # sources whose words may name files

    def __iter__(self) -> Iterator[Condition]:
        """Yield what is wrong."""
        return iter(self._raised.values())

    def raise_(self, source: str, name: Trouble, why: str, *, of_files: bool = False) -> None:
        """Raise a condition; a source has one at a time, and raises it again as often as it likes.

        Args:
            source: what raises it, and will clear it.
            name: its type.
            why: the reason, with the remedy where there is one.
            of_files: the words were made of files, and may name them.
        """
        (self._of_files.add if of_files else self._of_files.discard)(source)
        before = self._raised.get(source)
        if before and (before.name, before.why) == (name, why):
            return
        same = before is not None and before.name == name
        since = before.since if before and same else datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._raised[source] = Condition(name, why, since)
        if not same:
            words = told(why) if of_files else why
            log.warning("%s: %s", name, words, extra={"COLVI_EVENT": "state", "COLVI_STATE": name})

    def of(self, slot: str) -> "Conditions":
        """Return where one bundle raises its own: under the name that its results bear, if they bear one."""
        return _Named(self, slot) if slot else self

    def raise_barred(self, name: Trouble, folders: Iterable[str]) -> None:
        """Raise a condition for each folder that is closed to the daemon, and clear those of all others.

        Args:
            name: type of the condition.
            folders: relative to the watched one, which is "".
        """
        closed = {f"{name} {folder}": folder or "." for folder in folders}
        for source in [source for source in self._raised if source.startswith(f"{name} ")]:
            if source not in closed:
                self.clear(source)
        for source, folder in closed.items():
            why = f"{_named(folder)} is closed to the user of this daemon; {_REMEDIES[name]}"
            self.raise_(source, name, why)
            self._raised[source] = replace(self._raised[source], folder=folder)

    def clear(self, source: str) -> None:
        """Clear the condition of a source, if it has one."""
        if over := self._raised.pop(source, None):
            what = f"{over.name}: {_named(over.folder)}" if over.folder else over.name
            log.info("over: %s", what, extra={"COLVI_EVENT": "state over", "COLVI_STATE": over.name})

    def words(self, told: Callable[[str], str]) -> list[str]:
        """Return what is wrong, where `told` says what may be told of words that were made of files."""
        return [
            f"{condition.name}: {told(condition.why) if source in self._of_files else condition.why}"
            for source, condition in self._raised.items()
        ]


class _Named(Conditions):
    """What is wrong with one of several bundles."""

    def __init__(self, of_all: Conditions, slot: str) -> None:
        super().__init__()
        self._of_all, self._slot = of_all, slot

    def raise_(self, source: str, name: Trouble, why: str, *, of_files: bool = False) -> None:
        self._of_all.raise_(f"{source} of {self._slot}", name, f"{self._slot}: {why}", of_files=of_files)

    def clear(self, source: str) -> None:
        self._of_all.clear(f"{source} of {self._slot}")


def _named(folder: str) -> str:
    return "the watched folder" if folder == "." else f"folder {shown_to_systemd(folder)}"
