"""The file status.json: what the daemon says of itself, and anyone reads."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from colvi_edge.errors import OutputError
from colvi_edge.printable import counted, printable_name
from colvi_edge.system.atomic import write_whole
from colvi_edge.system.bounded import json_of, read_bounded
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ipc.model import Slot
from colvi_edge.watch.ipc.typed import made
from colvi_edge.watch.words import Trouble, WorkOutcome

WAITING_SHOWN = 100  # of the files that have to wait; there may be 10^5
_MAX_BYTES = 2**23  # a hundred of the longest paths and sentences take some five million
End = Literal["", "finished", "stopped"]
"""How a daemon ended: not yet, or without a word; with all done that was there; by a signal."""


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong.

    Attributes:
        name: its type.
        why: the reason, with the remedy where there is one.
        since: UTC.
        folder: the one below the watched one that it is about, "." for that itself; "" if it is about all of
            them. It is not logged.
    """

    name: Trouble
    why: str
    since: str
    folder: str = ""


@dataclass(frozen=True)
class Waiting:
    """A file that could not be judged yet, and why."""

    path: str
    kind: str
    words: str


@dataclass(frozen=True)
class Last:
    """The last final answer.

    Attributes:
        path: of the raw file.
        outcome: what became of it.
        words: of the answer, without the file's name.
        took_ms: from reading to the renamed sidecar; None for an answer of an earlier daemon.
        latency_ms: since the file came to rest; None for an answer of an earlier daemon.
        at: seconds since 1970.
        heard: it was seen being closed; else it was found by a scan, or is judged again.
    """

    path: str
    outcome: WorkOutcome
    words: str
    took_ms: float | None
    latency_ms: float | None
    at: float
    heard: bool = False


@dataclass(frozen=True)
class RefusedStart:
    """Why a daemon could not start, in a sentence, and when that was, in UTC."""

    why: str
    at: str


@dataclass(frozen=True)
class Bundled:
    """One of the bundles that judge.

    Attributes:
        slot: name that its results bear; "" of the first.
        model: what its worker said of itself; None before the first has started.
    """

    slot: Slot
    model: WorkerReady | None


@dataclass(frozen=True)
class Status:
    """What the daemon knows of itself.

    Attributes:
        folder: that is watched.
        started: when the daemon started, in UTC.
        said: when this status was written, in UTC.
        said_s: when this status was written, in seconds of the monotonic clock, which nobody sets.
        ready: the worker has started, and the folder was looked through once.
        states: what is wrong.
        pending: files without a final answer.
        settling: of the files seen, how many are not yet at rest.
        waiting: of the pending files, some that were tried in vain.
        last: the last final answer.
        model: what judges; of several bundles the first.
        not_read: files in image formats that are not read, by suffix, of the last whole scan.
        once: it diagnoses what is there, and ends.
        judged: files whose results were written since it started.
        errors: files that had none since.
        end: how it ended.
        looked: the folder was looked through, once at least.
        repeated: of pending, those with an answer that was given before, and is counted as long as it stands.
        settled_before: of settling, those that are pending too, or have such an answer.
        unmarked: files without an answer that wait for their marker, and are neither pending nor settling.
        answered: files with a final answer in the ledger when this was said; None is not known.
        refused: why the last start failed, until one succeeds; all else is of the daemon before that.
        bundles: what judges, if there are several bundles; the first one first.
    """

    folder: str
    started: str
    said: str
    said_s: float
    ready: bool
    states: list[Condition]
    pending: int
    settling: int
    waiting: list[Waiting]
    last: Last | None
    model: WorkerReady | None
    not_read: dict[str, int] = field(default_factory=dict)
    once: bool = False
    judged: int = 0
    errors: int = 0
    end: End = ""
    looked: bool = True
    repeated: int = 0
    settled_before: int = 0
    unmarked: int = 0
    answered: int | None = None
    refused: RefusedStart | None = None
    bundles: list[Bundled] = field(default_factory=list)


def count_words(counts: Mapping[str, int]) -> str:
    """Return how many files are in which state, those in none left out: `12 done, 1 error`."""
    said = {"unmarked": "waiting for a marker"}
    words = [
        counted(count, "error") if what == "failed" else f"{count:,} {said.get(what, what)}"
        for what, count in counts.items()
        if count
    ]
    return ", ".join(words) or "no files yet"


def in_work(status: Status, answered: int | None = None) -> dict[str, int]:
    """Return how many files without an answer are pending, settling, and without marker; none counts twice.

    Args:
        status: said a moment ago, or by a daemon that was killed.
        answered: files with an answer now: what got one since is not pending any more.
    """
    pending = status.pending - status.repeated
    if answered is not None and status.answered is not None:
        pending -= answered - status.answered
    unmarked = {"unmarked": status.unmarked} if status.unmarked else {}  # few folders have markers
    return {"pending": max(pending, 0), "settling": status.settling - status.settled_before, **unmarked}


def write_status(path: Path, status: Status) -> None:
    """Write a status, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    said = asdict(status)
    if not status.bundles:  # who reads one bundle's status need not know of several
        del said["bundles"]
    write_whole(path, json.dumps(said, indent=1).encode())


def note_refusal(path: Path, before: Status, why: str) -> None:
    """Add to what the daemon before had said why the next one could not start, unless the disk is full.

    Args:
        path: of the status.
        before: what it said.
        why: a sentence.
    """
    refused = RefusedStart(printable_name(why), datetime.now(timezone.utc).isoformat(timespec="seconds"))
    with suppress(OSError):
        write_status(path, replace(before, refused=refused))


def read_status(path: Path) -> Status | None:
    """Return the status at a path; None if there is none, or it is damaged or one of another version.

    Raises:
        OutputError: it may not be read.
    """
    try:
        return made(Status, json_of(read_bounded(path, _MAX_BYTES)))
    except PermissionError as error:
        raise OutputError(
            f"{path} may not be read: {error.strerror}; ask as root, or as the user of the service"
        ) from error
    except (OSError, ValueError):
        return None
