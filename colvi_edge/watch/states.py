"""What ails the daemon right now, said in the log when it begins and ends."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, get_args

from colvi_edge.watch.journal import LOGGER

StateName = Literal[
    "share away",
    "taken",
    "stuck",
    "disk full",
    "read-only",
    "blocked output",
    "ledger",
    "reload failed",
    "degraded",
]
STATES: tuple[StateName, ...] = get_args(StateName)
"""share away: the folder, or its mount, is gone. taken: another machine's daemon has the folder. stuck: what
was asked of the share does not come back. disk full, read-only: results cannot be written. blocked output:
folders have the names of a file's result and error record. ledger: the state folder cannot be written. reload
failed: the bundle that SIGHUP asked for was refused; the old one goes on. degraded: it works, less well than
it should."""

log = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class State:
    """One thing that is wrong.

    Attributes:
        name: what kind of thing.
        why: in words, with the remedy where there is one.
        since: UTC.
    """

    name: StateName
    why: str
    since: str


class States:
    """The things that are wrong, each held by the part of the daemon that knows when it ends."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._held: dict[str, State] = {}

    def __iter__(self) -> Iterator[State]:
        """Yield what is wrong."""
        return iter(self._held.values())

    def hold(self, holder: str, name: StateName, why: str) -> None:
        """Say that something is wrong; a holder has one thing at a time."""
        held = self._held.get(holder)
        if held and (held.name, held.why) == (name, why):
            return
        same = held is not None and held.name == name
        since = held.since if held and same else datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._held[holder] = State(name, why, since)
        if not same:
            log.warning("%s: %s", name, why, extra={"COLVI_EVENT": "state", "COLVI_STATE": name})

    def end(self, holder: str) -> None:
        """Say that what a holder had said is over."""
        if held := self._held.pop(holder, None):
            log.info("over: %s", held.name, extra={"COLVI_EVENT": "state over", "COLVI_STATE": held.name})
