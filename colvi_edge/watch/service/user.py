"""The user that the services run as: who it is, how it is made, and what it may not."""

import grp
import pwd
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

from colvi_edge.watch.service.as_user import closed_to, may
from colvi_edge.watch.service.paths import HERE


def command_to_make(root: Path, user: str) -> list[str]:
    """Return the command that makes a user where it is missing; nothing where it is not."""
    if _group_number(root, user) is not None:
        return []
    home = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    where = [] if root == HERE else ["--prefix", str(root)]
    return ["useradd", *where, "--system", "--user-group", *home, "--", user]


def group_of(root: Path, user: str) -> str:
    """Return the name of a user's own group; that of the user where it is still to be made."""
    number = _group_number(root, user)
    if root == HERE and number is not None:
        with suppress(KeyError):
            return grp.getgrgid(number).gr_name
    return next((name for name, own in _numbers(root / "etc/group", 2).items() if own == number), user)


def _group_number(root: Path, user: str) -> int | None:
    """Return the number of a user's own group; None if there is no such user."""
    if root != HERE:
        return _numbers(root / "etc/passwd", 3).get(user)
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return None


def _numbers(table: Path, column: int) -> dict[str, int]:
    """Return one number for each name of another system's table; its users may be strange to this one."""
    try:
        rows = [line.split(":") for line in table.read_text(errors="replace").splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[column]) for row in rows if len(row) > column and row[column].isdecimal()}


def missing_rights(folder: Path, user: str, wanted: str) -> list[str]:
    """Return which rights a user lacks in a folder, and how to give them, as lines for the operator.

    Args:
        folder: that the service reads or writes.
        user: of the service.
        wanted: any of "r", "w" and "x".
    """
    there, name = _nearest(folder.parent), shlex.quote(str(folder))
    is_missing = _nearest(folder) != folder
    on_the_way = closed_to(user, [there])
    if not (is_missing or on_the_way) and all(may(user, right, folder) for right in wanted):
        return []
    lines = [f"{user} has not the rights {wanted} in {folder}, so the service will wait. Give them with"]
    if is_missing:
        lines = [
            f"{folder}: no such folder, so the service will wait. Make it, and let {user} write to it:",
            f"    sudo mkdir --parents {name}",
        ]
    if not shutil.which("setfacl"):
        lines.append("    sudo apt install acl    # brings setfacl, which is not installed")
    if on_the_way:
        lines.append(f"    sudo setfacl --modify u:{user}:x {shlex.quote(str(on_the_way))}")
    return [
        *lines,
        f"    sudo setfacl --recursive --modify u:{user}:rwX,d:u:{user}:rwX {name}",
        f"    or, on a share, by mounting it with uid={user}",
    ]


def _nearest(folder: Path) -> Path:
    """Return a folder, or where it is missing the nearest above it; one that cannot be looked at is there."""
    for place in (folder, *folder.parents):
        try:
            place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass
        return place
    return folder
