"""What `colvi-edge retry` asks of a daemon: to diagnose again what failed, or also what has a result."""

import errno
import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.system.atomic import write_whole
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.entries import ModelResults
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.rollout import others_of
from colvi_edge.watch.service.lookup import find_state_folder
from colvi_edge.watch.service.status import started_of
from colvi_edge.watch.state_folder import StateFolder, is_held
from colvi_edge.watch.status_file import read_status

_STRENGTH = list(Replace)
"""Of a request: the later ones of these ask for more."""


@dataclass(frozen=True)
class Retried:
    """What is diagnosed again.

    Attributes:
        replace: results that are judged again beside what failed.
        is_running: a daemon runs and does it at once; else the next one does it when it starts.
        failed: how many files with an error, by each bundle.
        quarantined: how many files that ended the worker, likewise.
        results: how many results, of which models.
        by_model: how many results there are of which model.
        model: that judges, or did last; of several bundles the first.
        has_waiting: the daemon has files that it tried in vain, and tries them at once.
    """

    replace: Replace
    is_running: bool
    failed: int
    quarantined: int
    results: list[ModelResults]
    by_model: list[ModelResults]
    model: Model
    has_waiting: bool

    @property
    def has_files(self) -> bool:
        """Return whether there is a file that is diagnosed again."""
        return bool(self.failed or self.quarantined or self.results)

    @property
    def waits_for_bundle(self) -> bool:
        """Return whether there will be such files if the next daemon has another bundle."""
        is_open = self.replace is Replace.STALE and not self.is_running
        return is_open and bool(self.by_model) and not self.has_files


def retry(folder: Path, replace: Replace = Replace.OWN) -> Retried:
    """Leave a request for the daemon of a folder, which looks for it each second, or when it starts.

    Where there is nothing to do, none is left.

    Args:
        folder: that is watched.
        replace: results that are judged again beside what failed.

    Raises:
        UsageError: no daemon ever watched the folder.
        OutputError: its state folder may not be written.
    """
    state = find_state_folder(folder)
    with closing(LedgerReader(state.ledger)) as ledger, ledger.explained():
        of_each = {slot: ledger.of(slot) for slot in ledger.slots}
        counts = [one.counts() for one in of_each.values()]
        by_model = {slot: one.models() for slot, one in of_each.items()}
    is_running, status = is_held(state.lock), read_status(state.status)
    models = {slot: ready.judge if ready else UNKNOWN for slot, ready in started_of(status).items()}
    retried = Retried(
        replace,
        is_running,
        sum(count["failed"] for count in counts),
        sum(count["quarantined"] for count in counts),
        [
            result
            for slot, results in by_model.items()
            for result in _replaced(results, replace, models.get(slot, UNKNOWN))
        ],
        [result for results in by_model.values() for result in results],
        models.get("", UNKNOWN),
        has_waiting=bool(is_running and status and status.waiting),
    )
    if retried.has_files or retried.waits_for_bundle or retried.has_waiting:
        _leave_request(state, replace)
    return retried


def _replaced(by_model: list[ModelResults], replace: Replace, model: Model) -> list[ModelResults]:
    """Return of which models results are judged again."""
    if replace is Replace.OWN:
        return []
    return by_model if replace is Replace.ALL else others_of(by_model, model)


def _leave_request(state: StateFolder, replace: Replace) -> None:
    """Write a request that the user of the daemon can read; one that waits there is never weakened."""
    path = state.retry
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileNotFoundError):
            replace = max(replace, state.wanted_again(), key=_STRENGTH.index)
        # Whatever root's umask is; others cannot enter the folder.
        write_whole(path, f"{replace.value}\n".encode(), for_all=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made: {error.strerror}; retry as root, or as the user of the service"
        ) from error
