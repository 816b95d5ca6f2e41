"""What another user truly may, asked of the kernel: by root, for the user of the service.

With setpriv(1) a process keeps root's capabilities for as long as it takes to look up and open the program
that it becomes: one that lies in a folder closed to the user is started. systemd drops them before.
"""

import ctypes
import os
import pwd
import subprocess
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_STRANGERS = range(61184, 65520)
"""Numbers that no administrator gives: systemd takes them for users that last as long as a service."""

_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES_VERSION = 0x20080522


def run_as(user: str, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command as the service would: as that user, in its groups, with no capability and no setuid.

    A user that has still to be made is one who owns nothing and is in no group.

    Raises:
        OSError: it cannot be started: EACCES, something on the way to it is closed to the user.
    """
    uid, gid, groups = _account(user)
    return subprocess.run(  # noqa: S603 - our own command
        command,
        cwd="/",
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
        preexec_fn=partial(_become, uid, gid, groups),
    )


def may(user: str, right: str, path: Path) -> bool:
    """Return whether a user has a right in a file or folder: "r", "w" or "x", as for test(1)."""
    return run_as(user, ["test", f"-{right}", str(path)]).returncode == 0


def closed_to(user: str, paths: Iterable[Path]) -> Path | None:
    """Return the first file or folder, on the way to some paths, that a user may not enter or read."""
    opened = set()
    for path in paths:
        real = path.resolve()  # the way of links leads past folders of its own
        for place in (*reversed(real.parents), real, *reversed(path.parents), path):
            if place in opened:
                continue
            # In a folder on the way nothing has to be listed; what is in one at the end, has.
            rights = "x" if place not in (path, real) else "rx" if path.is_dir() else "r"
            if not all(may(user, right, place) for right in rights):
                return place
            opened.add(place)
    return None


def _account(user: str) -> tuple[int, int, list[int]]:
    """Return the numbers of a user, of its group, and of all its groups."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        known = {account.pw_uid for account in pwd.getpwall()}
        number = next(number for number in _STRANGERS if number not in known)
        return number, number, [number]
    return account.pw_uid, account.pw_gid, os.getgrouplist(user, account.pw_gid)


def _become(uid: int, gid: int, groups: list[int]) -> None:
    """Turn the process that is about to become another program into that of a user, and of nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # Else securebits that this process was given could keep capabilities over the change of user.
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    for result in (
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
        libc.capset(header, nothing),
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    ):
        if result:
            raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")
