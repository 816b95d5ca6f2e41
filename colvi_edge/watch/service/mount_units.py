"""The mounts that a watched folder depends on: the names of their units, and what will go wrong."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from colvi_edge.system.file_systems import promises
from colvi_edge.system.mount_table import mountinfo, read_mounts
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.service.systemd import escaped, systemctl


def mount_units(service: Service, folders: Iterable[Path]) -> list[str]:
    """Return the units of the mounts that some folders lie on, each once; the root's is always there.

    Args:
        service: whose system is looked at: this one as it is, another one by its /etc/fstab.
        folders: as that system knows them; they need not be there.
    """
    points = [Path(mounted.point) for mounted in read_mounts(mountinfo())]
    if not service.is_here:
        points = list(_fstab(service.root))
    places = [folder.resolve() if service.is_here else folder for folder in folders]
    mounts = dict.fromkeys(_lies_on(place, points) for place in places)
    return [f"{escaped(mount)}.mount" for mount in mounts if mount != HERE]


def remarks(service: Service, units: Sequence[str]) -> list[str]:
    """Return what will go wrong with the mounts of this system, in words.

    Args:
        service: for whose folder.
        units: of the mounts that it depends on.
    """
    said = []
    for unit in units:
        if not systemctl("show", "--property=FragmentPath", "--value", unit):
            said.append(
                f"{unit}: it was mounted by hand, so it is away after the next start of the machine, and the "
                "service waits; give it a line in /etc/fstab"
            )
    for mounted in read_mounts(mountinfo()):
        is_share = not promises(mounted.kind).hears_others
        if is_share and service.folder in Path(mounted.point).parents:
            said.append(
                f"{mounted.point} is a share of its own below {service.folder}: when it is away its results "
                "would be taken for deleted; watch the share's own mount point"
            )
    return said


def _lies_on(place: Path, points: Iterable[Path]) -> Path:
    above = (point for point in points if place.is_relative_to(point))
    return max(above, key=lambda point: len(point.parts), default=HERE)


def _fstab(root: Path) -> Iterator[Path]:
    try:
        text = (root / "etc/fstab").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) > 1 and not fields[0].startswith("#") and fields[1].startswith("/"):
            yield Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
