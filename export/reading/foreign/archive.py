"""Zip archives as torch writes them, read with bounds, and given to torch as exactly what was checked.

torch's own reader is another program than Python's: where two readers may differ on a strange archive
(two directories, overlapping members, names in other cases), the one checks what the other does not run.
So torch is never given the file, but a fresh archive of the members that were read here.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from colvi_edge.errors import ModelError
from colvi_edge.printable import printable_name

MOST_BYTES = 2**29
"""Of all members, unpacked: twice what a bundle can hold."""

_MOST_MEMBERS = 20_000
_MOST_EXPANSION = 100
"""Code of TorchScript shrinks to a sixth, weights hardly."""


def read_members(path: Path, known: re.Pattern[str], remedy: str) -> dict[str, bytes]:
    """Return the members of an archive, without their top folder; nothing is unpacked before all is counted.

    Args:
        path: of the archive.
        known: names that it may hold.
        remedy: how to save the network instead.

    Raises:
        ModelError: it is damaged, too large, or holds what its kind does not.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            names = _names(path, infos, known, remedy)
            _refuse_bombs(path, infos)
            return {name: _read(archive, info) for name, info in zip(names, infos, strict=True)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelError(f"{path} is damaged ({error}); copy or save it again") from error


def refuse_bombs(path: Path) -> None:
    """Raise ModelError if a file is an archive that unpacks to far more; torch packs no tensors."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _refuse_bombs(path, archive.infolist())


def rebuilt(members: Mapping[str, bytes]) -> io.BytesIO:
    """Return an archive of checked members for torch."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"model/{name}", data)
    buffer.seek(0)
    return buffer


def _names(path: Path, infos: list[zipfile.ZipInfo], known: re.Pattern[str], remedy: str) -> list[str]:
    if len(infos) > _MOST_MEMBERS:
        raise ModelError(f"{path} holds {len(infos)} members, expected at most {_MOST_MEMBERS}; {remedy}")
    tops = {info.filename.partition("/")[0] for info in infos}
    inside = [info.filename.partition("/")[2] or info.filename for info in infos]
    strange = [name for name in inside if not known.fullmatch(name)]
    if strange:
        name = printable_name(strange[0])[:200]
        if name.startswith("extra/"):
            raise ModelError(
                f"{path} says something in {name}, which is not read here; save it without extra files, and "
                "say it by options"
            )
        raise ModelError(f"{path} holds {name}, which could run any code; {remedy}")
    seen: set[str] = set()
    for name in inside:
        if name.lower() in seen or len(tops) > 1:
            raise ModelError(f"{path} holds {printable_name(name)[:200]} twice; {remedy}")
        seen.add(name.lower())
    return inside


def _refuse_bombs(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise ModelError(
            f"{path} unpacks to {total >> 20} MiB, expected at most {MOST_BYTES >> 20}; bundles hold smaller "
            "networks"
        )
    for info in infos:
        if info.file_size > _MOST_EXPANSION * info.compress_size + 1000:
            raise ModelError(
                f"{path} has {info.file_size} bytes packed into {info.compress_size}, which torch does not "
                "write; save it again"
            )


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise zipfile.BadZipFile(f"a member has {len(data)} bytes in place of {info.file_size}")
    return data
