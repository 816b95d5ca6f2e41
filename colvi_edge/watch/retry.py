"""`colvi-edge retry`: the operator wants failed and quarantined files diagnosed again."""

import errno
import os
from contextlib import closing
from pathlib import Path

from colvi_edge.errors import OutputError
from colvi_edge.watch.ledger import LedgerReader
from colvi_edge.watch.state_folder import StateFolder, is_held


def retry(folder: Path) -> int:
    """Leave word for the daemon of a folder, which looks for it each second, or when it starts; return 0.

    Raises:
        UsageError: none ever watched the folder.
        OutputError: its state folder may not be written.
    """
    state = StateFolder.find(folder)
    with closing(LedgerReader(state.ledger)) as ledger, ledger.explained():
        counts = ledger.counts()
    try:
        if state.retry.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        state.retry.touch()
    except OSError as error:
        raise OutputError(
            f"{state.retry} cannot be made: {error.strerror}; retry as root, or as the user of the service"
        ) from error
    files = f"{counts['failed']} failed and {counts['quarantined']} quarantined files"
    when = "are" if is_held(state.lock) else "will, when the daemon runs again, be"
    print(f"{files} {when} diagnosed again")  # noqa: T201 - the answer
    return 0
