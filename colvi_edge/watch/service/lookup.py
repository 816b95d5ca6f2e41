"""Finds what a daemon keeps of a folder, for an operator who asks: this user's daemon, or a service."""

import shlex
from contextlib import suppress
from pathlib import Path

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.printable import printable_name
from colvi_edge.watch.folder.paths import absolute
from colvi_edge.watch.folder.share_lock import LOCK_NAME
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.state_folder import StateFolder, is_held, state_directories


def find_state_folder(root: Path, system: Path = HERE) -> StateFolder:
    """Return the state folder that a daemon of this machine has made; of two, that of the one that runs.

    Args:
        root: the watched folder; it need not be there any more.
        system: root of the system whose services are known.

    Raises:
        UsageError: no daemon of this machine ever watched the folder.
        OutputError: it may not be looked into, or was removed under a daemon.
    """
    states = state_directories()
    found = [folder for state in states if (folder := StateFolder.within(state, root)).exists()]
    if found:
        return next((folder for folder in found if is_held(folder.lock)), found[0])
    places = " or ".join(map(str, states))
    if _is_locked(root):
        raise OutputError(
            f"a daemon watches {printable_name(str(root))}, but what it keeps is not in {places}; it was "
            "removed, or is another user's or machine's: ask there, or restart the daemon"
        )
    if not root.exists():
        raise UsageError(
            f"{printable_name(str(root))} does not exist, and nothing of that name was watched on this "
            "machine; check the name"
        )
    raise UsageError(
        f"{printable_name(str(root))} was never watched on this machine; expected its state in {places}; "
        f"start with: {_start_command(root, system)}"
    )


def _start_command(root: Path, system: Path) -> str:
    """Return how the watching of a folder begins: that of its service, where one is installed."""
    path = absolute(root)  # as the state folder is named
    with suppress(UsageError, OSError):
        service = Service(path, system)
        if service.drop_ins.is_dir():
            return f"sudo systemctl enable --now {shlex.quote(service.name.removesuffix('.service'))}"
    return printable_name(f"colvi-edge watch {shlex.quote(str(root))} --bundle BUNDLE")


def _is_locked(root: Path) -> bool:
    """Return whether a daemon holds the watched folder itself, which it does where results go there."""
    try:
        return is_held(root / LOCK_NAME)
    except OutputError:
        return False
