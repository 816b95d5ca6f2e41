"""The state directory, where this machine keeps what it can make again: built engines and the like."""

import os
from pathlib import Path

from colvi_edge.errors import OutputError
from colvi_edge.system.file_systems import promises
from colvi_edge.system.mount_table import file_system, mountinfo


def state_directory() -> Path:
    """Return the state directory: $STATE_DIRECTORY, else $XDG_STATE_HOME/colvi-edge, else the home's.

    It need not exist. systemd sets the first; where a unit has several, the first of them counts.

    Raises:
        OutputError: it lies on a network file system or on a folder of a virtual machine's host, or there is
            no home.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    path = Path(given) if given else _user_state() / "colvi-edge"
    kind = file_system(path, mountinfo())
    if not promises(kind).locks_hold:
        # Locks there depend on the server, and two machines with one home would undo each other's engines.
        raise OutputError(
            f"{path} lies on {kind}, expected a local disk; set STATE_DIRECTORY or XDG_STATE_HOME to one"
        )
    return path


def _user_state() -> Path:
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    if given.is_absolute():  # the XDG specification has relative ones ignored
        return given
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OutputError("this user has no home folder; set STATE_DIRECTORY to a local folder") from error
