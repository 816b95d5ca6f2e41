"""What the daemon says of itself in status.json, and `colvi-edge status`, which shows that and the ledger."""

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from colvi_edge.choices import Replace
from colvi_edge.errors import EXIT_AILING, EXIT_DONE, OutputError
from colvi_edge.printable import counted, printable_json, printable_name, unambiguous_name
from colvi_edge.raw_files import unread_words
from colvi_edge.system.atomic import write_whole
from colvi_edge.system.bounded import json_of, read_bounded
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ipc.typed import made
from colvi_edge.watch.ledger.ledger import Entry, Judged, LedgerReader
from colvi_edge.watch.ledger.ledger import State as LedgerState
from colvi_edge.watch.rollout import asked_line, model_lines, others_of
from colvi_edge.watch.state_folder import StateFolder, is_held
from colvi_edge.watch.supervisor.answers import Last
from colvi_edge.watch.supervisor.conditions import Condition

if TYPE_CHECKING:
    from rich.console import Console

SILENT_AFTER_S = 30.0
WAITING_SHOWN = 100  # of the files that have to wait; there may be 10^5
_LISTED = 20  # of each list of files in the table; JSON has all
_MAX_BYTES = 2**23  # a hundred of the longest paths and sentences take some five million
End = Literal["", "finished", "stopped"]
"""How a daemon ended: not yet, or without a word; with all done that was there; by a signal."""

_COUNTED = {"pending", "settling", "repeated", "settled_before", "answered"}
"""Fields that are told as "files"."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)


@dataclass(frozen=True)
class Waiting:
    """A file that could not be judged yet, and why."""

    path: str
    kind: str
    words: str


@dataclass(frozen=True)
class RefusedStart:
    """Why a daemon could not start, in a sentence, and when that was, in UTC."""

    why: str
    at: str


@dataclass(frozen=True)
class Status:
    """What the daemon knows of itself.

    Attributes:
        folder: that is watched.
        started, said: UTC, of the daemon and of this status.
        said_s: the latter on the monotonic clock, which nobody sets.
        ready: the worker has started, and the folder was looked through once.
        states: what is wrong.
        pending: files without a final answer.
        settling: of the files seen, how many are not yet at rest.
        waiting: of the pending files, some that were tried in vain.
        last: the last final answer.
        model: what judges.
        not_read: files in image formats that are not read, by suffix, of the last whole scan.
        once: it diagnoses what is there, and ends.
        judged: files whose results were written since it started.
        errors: files that had none since.
        end: how it ended.
        looked: the folder was looked through, once at least.
        repeated: of pending, those with an answer that was given before, and is counted as long as it stands.
        settled_before: of settling, those that are pending too, or have such an answer.
        answered: files with a final answer in the ledger when this was said; None is not known.
        refused: why the last start failed, until one succeeds; all else is of the daemon before that.
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
    answered: int | None = None
    refused: RefusedStart | None = None


def count_words(counts: Mapping[str, int]) -> str:
    """Return how many files are in which state, those in none left out: `12 done, 1 error`."""
    words = [
        counted(count, "error") if what == "failed" else f"{count:,} {what}"
        for what, count in counts.items()
        if count
    ]
    return ", ".join(words) or "no files yet"


def in_work(status: Status, answered: int | None = None) -> dict[str, int]:
    """Return how many files without an answer are pending, and settling; no file counts twice.

    Args:
        status: said a moment ago, or by a daemon that was killed.
        answered: files with an answer now: what got one since is not pending any more.
    """
    pending = status.pending - status.repeated
    if answered is not None and status.answered is not None:
        pending -= answered - status.answered
    return {"pending": max(pending, 0), "settling": status.settling - status.settled_before}


def write_status(path: Path, status: Status) -> None:
    """Write a status, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(path, json.dumps(asdict(status), indent=1).encode())


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


def show_status(folder: Path, as_json: bool) -> int:
    """Print how the daemon of a folder is; return 0 if it runs, or did all it was to do, and nothing ails it.

    Returns:
        0, or `EXIT_AILING`.

    Raises:
        UsageError: none ever watched the folder.
        OutputError: what it keeps may not be read.
    """
    state = StateFolder.find(folder)
    status = read_status(state.status)
    running = is_held(state.lock)
    if running and status and (trouble := _disk_trouble(state.path)):
        status = replace(status, states=[*status.states, trouble])
    silent_s = max(time.monotonic() - status.said_s, 0.0) if running and status else 0.0
    with closing(_ledger(state.ledger, status if running else None)) as ledger, ledger.explained():
        if as_json:
            plain = _as_plain(folder, status, running, silent_s, ledger)
            print(printable_json(json.dumps(plain)))  # noqa: T201 - data for a pipe
        else:
            _print(folder, status, running, silent_s, ledger, Replace.OWN if running else _asked(state))
    well = status is not None and not status.states and status.refused is None and silent_s <= SILENT_AFTER_S
    return EXIT_DONE if well and (running or _did_all(status)) else EXIT_AILING


def _asked(state: StateFolder) -> Replace:
    """Return what `colvi-edge retry` asked for, and no daemon has taken up yet."""
    with suppress(OSError):
        return state.wanted_again()
    return Replace.OWN


def _did_all(status: Status | None) -> bool:
    """Return whether a daemon that runs no more was to diagnose what was there, and did."""
    if status is None or status.end != "finished":
        return False
    return status.looked and not status.pending + status.settling


def _disk_trouble(path: Path) -> Condition | None:
    """Return what keeps a daemon from saying it itself: the disk of its state takes nothing."""
    disk = os.statvfs(path)
    if disk.f_flag & os.ST_RDONLY:
        words = "read-only; make it writable"
    elif not disk.f_bfree or (disk.f_files and not disk.f_ffree):
        words = "full; make room there"
    else:
        return None
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Condition("ledger", f"the disk of the state folder is {words}", now)


class _NoLedger:
    """Stands for a ledger that is being made anew."""

    def counts(self) -> dict[str, int]:
        """See `LedgerReader`."""
        return {}

    def in_state(self, _: LedgerState) -> Iterable[Entry]:
        """See `LedgerReader`."""
        return ()

    def models(self) -> list[Judged]:
        """See `LedgerReader`."""
        return []

    def wanted_count(self) -> int:
        """See `LedgerReader`."""
        return 0

    def explained(self) -> AbstractContextManager[None]:
        """See `LedgerReader`."""
        return nullcontext()

    def close(self) -> None:
        """See `LedgerReader`."""


def _ledger(path: Path, status: Status | None) -> LedgerReader | _NoLedger:
    """Return the ledger; what stands for it if a daemon that runs tells what is wrong."""
    try:
        return LedgerReader(path)
    except OutputError:
        if status is None or not status.states:
            raise
        return _NoLedger()


def _as_plain(
    folder: Path, status: Status | None, running: bool, silent_s: float, ledger: LedgerReader | _NoLedger
) -> dict[str, Any]:
    said = {} if status is None else asdict(status)
    said.pop("said_s", None)
    current = _current(status)
    plain = {
        **said,
        "folder": str(folder.absolute()),
        "running": running,
        "silent_s": round(silent_s, 1) if running else _age_s(status.said if status else ""),
        "files": _counts(status, ledger),
        "failed": [_entry(entry) for entry in ledger.in_state("failed")],
        "quarantined": [_entry(entry) for entry in ledger.in_state("quarantined")],
        "models": [
            {**asdict(found.model), "results": found.results, "current": found.model == current != UNKNOWN}
            for found in _by_model(status, ledger)
        ],
        "again": ledger.wanted_count(),
    }
    return {name: value for name, value in plain.items() if name not in _COUNTED}


def _age_s(utc: str) -> float | None:
    """Return how many seconds ago a time was; None if it is none."""
    try:
        age = datetime.now(timezone.utc) - datetime.fromisoformat(utc)
    except (ValueError, TypeError):
        return None
    return round(max(age.total_seconds(), 0.0), 1)


def _current(status: Status | None) -> Model:
    """Return the model that judges, or did last."""
    return status.model.judge if status and status.model else UNKNOWN


def _by_model(status: Status | None, ledger: LedgerReader | _NoLedger) -> list[Judged]:
    """Return how many results are of which model, that of the daemon first."""
    current, judged = _current(status), ledger.models()
    if current == UNKNOWN:
        return judged
    mine = sum(found.results for found in judged if found.model.sha256 == current.sha256)
    return [Judged(current, mine), *others_of(judged, current)]


def _counts(status: Status | None, ledger: LedgerReader | _NoLedger) -> dict[str, int]:
    done = {name: count for name, count in ledger.counts().items() if name != "pending"}
    return {**done, **(in_work(status, sum(done.values())) if status else {"pending": 0, "settling": 0})}


def _entry(entry: Entry) -> dict[str, str]:
    words = {"kind": entry.kind, "words": entry.words, "at": entry.at}
    plain = {name: printable_name(text) for name, text in words.items()}  # JSON forbids undecodable bytes
    return {"path": unambiguous_name(entry.path), **plain}


def _print(
    folder: Path,
    status: Status | None,
    running: bool,
    silent_s: float,
    ledger: LedgerReader | _NoLedger,
    asked: Replace,
) -> None:
    from colvi_edge.terminal.console import shown, wide_console

    console = wide_console()
    name = shown(str(folder.absolute()))
    refused = status and status.refused
    could_not = f"[red]could not start[/] at {_time(refused.at)}: {shown(refused.why)}" if refused else ""
    if not running:
        console.print(f"{name}: {could_not or _end_words(status)}")
    elif status is None or silent_s > SILENT_AFTER_S:
        console.print(f"{name}: [red]the daemon runs, but has said nothing for {silent_s:.0f} s[/]")
    elif not status.ready:
        console.print(f"{name}: starting since {_time(status.started)}")
    else:
        what = "diagnosing what is there" if status.once else "watching"
        console.print(f"{name}: [green]{what}[/] since {_time(status.started)}")
    if running and refused:
        console.print(could_not)
    elif refused and status and status.ready:
        console.print(f"before that: {_end_words(status)}")
    for state in status.states if status else ():
        console.print(f"[red]{shown(state.name)}[/] since {_time(state.since)}: {shown(state.why)}")
        if state.folder:
            console.print("    " + shown(unambiguous_name(str(folder.absolute() / state.folder))))
    again = status.repeated + status.settled_before if status else 0
    console.print(
        count_words(_counts(status, ledger))
        + (f" ({again:,} of them {'is' if again == 1 else 'are'} looked at again)" if again else "")
    )
    for suffix, count in sorted(status.not_read.items()) if status else ():
        console.print(shown(unread_words(suffix, count)))
    if status and status.model:
        model = status.model
        console.print(shown(f"model: {model.model} on {model.runtime} {model.precision}, {model.device}"))
    judged = _by_model(status, ledger)
    waits = asked_line(judged, _current(status), asked)
    for line in model_lines(judged, ledger.wanted_count(), folder.absolute(), waits):
        console.print(shown(line))
    if status and status.last:
        words = shown(f"{status.last.path}: {status.last.words}")
        at = _time(_utc(status.last.at))
        latency_ms = status.last.latency_ms if status.last.heard else None
        took = "" if latency_ms is None else f", {latency_ms:,.0f} ms after its close"
        console.print(f"last: {words}, at {at}{took}")
    _print_files(console, "error", ledger.in_state("failed"))
    _print_files(console, "quarantined", ledger.in_state("quarantined"))
    _print_files(console, "waiting", status.waiting if status else ())


def _end_words(status: Status | None) -> str:
    """Return why no daemon runs, as markup."""
    if status is None:
        return "[red]the daemon is not running[/]"
    at = _time(status.said)
    if status.end == "finished" and not status.looked:
        return f"[red]ended without having looked at the folder[/] at {at}"
    if status.end == "finished":
        colour = "green" if _did_all(status) else "yellow"
        left = status.pending + status.settling
        did = [
            *([f"judged {counted(status.judged, 'file')}"] if status.judged else []),
            *([counted(status.errors, "error")] if status.errors else []),
            *([f"{left:,} left"] if left else []),
        ]
        return f"[{colour}]finished[/] at {at}, {', '.join(did) or 'nothing was to be judged'}"
    what = "--once was interrupted" if status.once else "the daemon is not running"
    return (
        f"[red]{what}[/]; it was stopped at {at}"
        if status.end
        else f"[red]{what}[/]; its last word was at {at}"
    )


def _print_files(console: "Console", title: str, files: Iterable[Entry | Waiting]) -> None:
    from rich.table import Table

    from colvi_edge.terminal.console import shown

    rows = list(files)
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold")
    table.add_column("kind")
    table.add_column("why", overflow="fold")
    for row in rows[:_LISTED]:
        table.add_row(*map(shown, (unambiguous_name(row.path), row.kind, row.words)))
    console.print()
    console.print(table)
    if len(rows) > _LISTED:
        console.print(f"... and {len(rows) - _LISTED} more, which --json lists")


def _utc(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, timezone.utc).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):  # after the year 9999
        return ""


def _time(utc: str) -> str:
    return f"{utc[:19].replace('T', ' ')} UTC" if _TIME.match(utc) else "an unknown time"
