"""Records read back: from folders that others may write to, and written perhaps by another version.

What is not a record in all its bounds is none at all: nobody is told a part of it. The length is bounded
before a file is read, the number of values before it is parsed, and the depth by the parser, which gives up
at 200 levels; every number, text and list by the models.
"""

from pathlib import Path
from typing import TypeVar

from pydantic_core import from_json

from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, SidecarPart
from colvi_edge.system.bounded import read_bounded

MAX_RECORD_BYTES = 2**25
"""The longest sidecar, of 2^18 patches, takes some 27 MB."""
MAX_VALUES, MAX_PARTS = 2**21, 2**19
"""Commas; and brackets, braces and colons: twice what the longest sidecar and the longest index hold. Of 2^21
empty lists the errors took 2.6 GB."""
_MAX_ERROR_BYTES = 2**21

Kind = TypeVar("Kind", bound=SidecarPart)
Record = TypeVar("Record", Sidecar, ErrorRecord, Index)


def read_record(kind: type[Kind], name: str | Path, folder_fd: int | None = None) -> Kind | None:
    """Return a record; None if there is none of this kind, or it is not one of this version.

    Args:
        kind: what it is to be: `Sidecar`, `ErrorRecord` or `Index`.
        name: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.
    """
    try:
        return parsed(kind, read_bounded(name, _most_bytes(kind), folder_fd))
    except OSError:
        return None


def read_sidecar(name: str | Path, folder_fd: int | None = None) -> Sidecar | None:
    """Return a sidecar; None if there is none, or it is not one of this version.

    Args:
        name: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.
    """
    return read_record(Sidecar, name, folder_fd)


def standing_record(
    kind: type[Record], folder_fd: int, raw_name: str, key: str = "", slot: str = ""
) -> Record | None:
    """Return the record that lies in its place, if it is one of this kind, and says that it is of this slot.

    The name alone does not tell that where a series is called as a slot is: X.lif.0003-a.nuclei.colvi.json.

    Args:
        kind: what it is to be.
        folder_fd: of the folder of the results.
        raw_name: of the raw file, without folders.
        key: of the image; "" for the file itself.
        slot: of the bundle.
    """
    name = output_name(raw_name, OutputKind.ERROR if kind is ErrorRecord else OutputKind.SIDECAR, key, slot)
    record = read_record(kind, name, folder_fd)
    return record if record is not None and (record.slot or "") == slot else None


def parsed(kind: type[Kind], text: bytes) -> Kind | None:
    """Return the record that a text of bounded length is; None if it is none of this kind and version."""
    if text.count(b",") > MAX_VALUES or sum(map(text.count, (b"[", b"{", b":"))) > MAX_PARTS:
        return None
    try:
        # In two steps: in one, each error of a flood kept a copy of it, which took 2.6 GB.
        return kind.model_validate(from_json(text, allow_inf_nan=False))
    except ValueError:
        return None


def _most_bytes(kind: type[SidecarPart]) -> int:
    return _MAX_ERROR_BYTES if kind is ErrorRecord else MAX_RECORD_BYTES
