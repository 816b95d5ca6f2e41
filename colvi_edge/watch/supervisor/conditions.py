"""What ails the daemon right now, said in the log when it begins and ends."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from colvi_edge.watch.ipc.words import Trouble
from colvi_edge.watch.supervisor.telling.journal import LOGGER, shown_to_systemd, told

_REMEDIES: dict[Trouble, str] = {
    "folder not readable": "let that user list and enter it",
    "folder not writable": "let that user write to it",
}

log = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class State:
    """One thing that is wrong.

    Attributes:
        name: what kind of thing.
        why: in words, with the remedy where there is one.
        since: UTC.
        folder: the one below the watched one that it is about, "." for that itself; "" if it is about all of
            them. It is not logged.
    """

    name: Trouble
    why: str
    since: str
    folder: str = ""


class States:
    """The things that are wrong, each held by the part of the daemon that knows when it ends."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._held: dict[str, State] = {}
        self._of_files: set[str] = set()  # holders whose words may name files

    def __iter__(self) -> Iterator[State]:
        """Yield what is wrong."""
        return iter(self._held.values())

    def hold(self, holder: str, name: Trouble, why: str, *, of_files: bool = False) -> None:
        """Say that something is wrong; a holder has one thing at a time.

        Args:
            holder: who says so.
            name: of the state.
            why: in words.
            of_files: the words were made of files, and may name them.
        """
        (self._of_files.add if of_files else self._of_files.discard)(holder)
        held = self._held.get(holder)
        if held and (held.name, held.why) == (name, why):
            return
        same = held is not None and held.name == name
        since = held.since if held and same else datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._held[holder] = State(name, why, since)
        if not same:
            words = told(why) if of_files else why
            log.warning("%s: %s", name, words, extra={"COLVI_EVENT": "state", "COLVI_STATE": name})

    def hold_barred(self, name: Trouble, folders: Iterable[str]) -> None:
        """Say which folders are closed to the daemon, each a state; of those before, the others are over.

        Args:
            name: in what way.
            folders: relative to the watched one, which is "".
        """
        closed = {f"{name} {folder}": folder or "." for folder in folders}
        for holder in [holder for holder in self._held if holder.startswith(f"{name} ")]:
            if holder not in closed:
                self.end(holder)
        for holder, folder in closed.items():
            why = f"{_named(folder)} is closed to the user of this daemon; {_REMEDIES[name]}"
            self.hold(holder, name, why)
            self._held[holder] = replace(self._held[holder], folder=folder)

    def end(self, holder: str) -> None:
        """Say that what a holder had said is over."""
        if held := self._held.pop(holder, None):
            what = f"{held.name}: {_named(held.folder)}" if held.folder else held.name
            log.info("over: %s", what, extra={"COLVI_EVENT": "state over", "COLVI_STATE": held.name})

    def words(self, told: Callable[[str], str]) -> list[str]:
        """Return what is wrong, where `told` says what may be told of words that were made of files."""
        return [
            f"{state.name}: {told(state.why) if holder in self._of_files else state.why}"
            for holder, state in self._held.items()
        ]


def _named(folder: str) -> str:
    return "the watched folder" if folder == "." else f"folder {shown_to_systemd(folder)}"
