"""The table of mounts of Linux: which file system lies where."""

import re
from pathlib import Path
from typing import NamedTuple


class Mounted(NamedTuple):
    """One line of /proc/self/mountinfo.

    Attributes:
        number: of this mount, as /proc/self/fdinfo gives it too.
        parent: number of the mount that it is mounted upon.
        device: major:minor of the file system.
        inside: path of the mounted folder within that file system.
        point: where it is mounted.
        kind: type of the file system, such as "ext4" or "cifs".
        source: device or share.
    """

    number: int
    parent: int
    device: str
    inside: str
    point: str
    kind: str
    source: str


def mountinfo() -> str:
    """Return the text of /proc/self/mountinfo; undecodable bytes as `os.fsdecode` gives them."""
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")


def read_mounts(text: str) -> list[Mounted]:
    """Return the mounts of a mountinfo text; of two on one point the later lies on top."""
    return [_read_line(line) for line in text.split("\n") if line]


def file_system(path: Path, text: str) -> str:
    """Return the type of the file system that a path lies on, such as "ext4", or would if it existed.

    Args:
        path: any.
        text: of /proc/self/mountinfo.
    """
    real = path.resolve()
    kind, depth = "", -1
    for mount in read_mounts(text):
        point = Path(mount.point)
        if real.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = mount.kind, len(point.parts)
    return kind


def _read_line(line: str) -> Mounted:
    # 36 35 98:0 /inside /point rw,noatime [optional fields] - ext4 /dev/sda rw
    before, _, after = line.partition(" - ")
    number, parent, device, inside, point = before.split(" ")[:5]
    kind, source = after.split(" ")[:2]
    return Mounted(int(number), int(parent), device, _plain(inside), _plain(point), kind, _plain(source))


def _plain(field: str) -> str:
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), field)
