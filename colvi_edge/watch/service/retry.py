"""`colvi-edge retry`: the operator wants files diagnosed again: what failed, or what has a result, too."""

import errno
import os
from contextlib import closing, suppress
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.printable import counted
from colvi_edge.system.atomic import write_whole
from colvi_edge.watch.ipc.model import UNKNOWN
from colvi_edge.watch.ledger.ledger import Judged, LedgerReader
from colvi_edge.watch.rollout import told_apart
from colvi_edge.watch.service.status import read_status
from colvi_edge.watch.state_folder import StateFolder, is_held

_STRENGTH = list(Replace)
"""Of a request: the later ones of these ask for more."""


def retry(folder: Path, anew: Replace = Replace.OWN) -> int:
    """Leave word for the daemon of a folder, which looks for it each second, or when it starts; return 0.

    Args:
        folder: that is watched.
        anew: results that are judged again beside what failed.

    Raises:
        UsageError: none ever watched the folder.
        OutputError: its state folder may not be written.
    """
    state = StateFolder.find(folder)
    with closing(LedgerReader(state.ledger)) as ledger, ledger.explained():
        counts, judged = ledger.counts(), ledger.models()
    runs, status = is_held(state.lock), read_status(state.status)
    current = status.model.judge.sha256 if status and status.model else ""
    what = _failed(counts["failed"], counts["quarantined"])
    if runs or anew is not Replace.STALE:
        what += _results(judged, anew, current)
    elif _results(judged, anew, current):  # which bundle it will have is not known yet
        what.append("the results of other models")
    elif judged and not what:
        _leave_word(state, anew)
        print(  # noqa: T201 - the answer
            f"nothing is of another model than {status.model.judge if status and status.model else UNKNOWN}; "
            "with another bundle all is diagnosed again when the daemon runs again"
        )
        return 0
    waiting = bool(runs and status and status.waiting)
    if what or waiting:
        _leave_word(state, anew)
    if what:
        when = "now" if runs else "when the daemon runs again"
        print(f"{' and '.join(filter(None, (', '.join(what[:-1]), what[-1])))}: diagnosed again {when}")  # noqa: T201 - the answer
    elif waiting:
        print("nothing failed; what waits is tried at once")  # noqa: T201 - the answer
    else:
        print(f"{_NOTHING[anew]}; nothing is diagnosed again")  # noqa: T201 - the answer
    return 0


_NOTHING = {
    Replace.OWN: "nothing failed",
    Replace.STALE: "nothing failed, and nothing is of another model",
    Replace.ALL: "there is no result yet",
}


def _failed(failed: int, quarantined: int) -> list[str]:
    words = [counted(failed, "error")] if failed else []
    return [*words, counted(quarantined, "quarantined file")] if quarantined else words


def _results(judged: list[Judged], anew: Replace, current: str) -> list[str]:
    """Return how many results are judged again, of which other models."""
    if anew is Replace.OWN:
        return []
    wanted = [found for found in judged if anew is Replace.ALL or found.model.sha256 != current]
    return [f"{counted(found.results, 'result')} of {told_apart(found.model, judged)}" for found in wanted]


def _leave_word(state: StateFolder, anew: Replace) -> None:
    """Write a request that the user of the daemon can read; one that waits there is never weakened."""
    path = state.retry
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileNotFoundError):
            anew = max(anew, state.wanted_again(), key=_STRENGTH.index)
        # Whatever root's umask is; others cannot enter the folder.
        write_whole(path, f"{anew.value}\n".encode(), for_all=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made: {error.strerror}; retry as root, or as the user of the service"
        ) from error
