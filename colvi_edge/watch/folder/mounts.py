"""What a folder's mount tells the daemon: which one it is, and whether its share is away."""

import errno
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from colvi_edge.system.mount_table import Mounted, mountinfo, read_mounts


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Where a folder is mounted. Never a device number: a share has another one after each boot.

    Attributes:
        point: where it is mounted.
        kind: type of the file system, such as "ext4" or "cifs".
        source: device or share.
        inside: path of the mounted folder within that file system.
    """

    point: str
    kind: str
    source: str
    inside: str


def mount_of(descriptor: int) -> Mount:
    """Return the mount that an open file or folder lies on.

    A mount that only shows the folder that would be there without it does not count: the sandbox of a
    service makes such ones, over a share as well as over the bare folder that a share has left behind.

    Raises:
        OSError: ESTALE, it was unmounted from under the descriptor.
    """
    number = _mount_number(descriptor)
    table = {mounted.number: mounted for mounted in read_mounts(mountinfo())}
    if number not in table:
        raise OSError(errno.ESTALE, "the file system was unmounted")
    mounted = table[number]
    while (below := table.get(mounted.parent)) and _shows_what_is_there(mounted, below):
        mounted = below
    return Mount(point=mounted.point, kind=mounted.kind, source=mounted.source, inside=mounted.inside)


def is_away(found: Mount, remembered: Mount | None) -> bool:
    """Return whether a mount has ended: what is found now lies on the one below it."""
    if remembered is None or found.point == remembered.point:
        return False
    return PurePosixPath(remembered.point).is_relative_to(found.point)


def _mount_number(descriptor: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    raise OSError(errno.ENOSYS, "this kernel does not tell an open file's mount")


def _shows_what_is_there(mounted: Mounted, below: Mounted) -> bool:
    point = PurePosixPath(mounted.point)
    if mounted.device != below.device or not point.is_relative_to(below.point):
        return False
    return mounted.inside == str(below.inside / point.relative_to(below.point))
