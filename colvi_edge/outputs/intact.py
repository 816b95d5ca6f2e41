"""What stands beside a raw file, and whether it is whole: each file that a record lists as it was written."""

from hashlib import sha256

from colvi_edge.outputs.names import OutputKind, output_name, record_name
from colvi_edge.outputs.read_back import MAX_RECORD_BYTES, parsed, standing_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, IndexEntry, Sidecar
from colvi_edge.printable import printable_name
from colvi_edge.system.bounded import read_bounded, sha256_bounded

_MAX_OUTPUT_BYTES = 2**32  # an OME-TIFF is as large as its projection


def read_result(folder_fd: int, raw_name: str, slot: str = "") -> Sidecar | Index | None:
    """Return the sidecar or the index of a raw file, in a slot, whatever became of what it lists."""
    return standing_record(Sidecar, folder_fd, raw_name, slot=slot) or standing_record(
        Index, folder_fd, raw_name, slot=slot
    )


def intact_sidecar(folder_fd: int, raw_name: str, key: str = "", slot: str = "") -> Sidecar | None:
    """Return the sidecar of an image if it and every file that it lists are as they were written."""
    sidecar = standing_record(Sidecar, folder_fd, raw_name, key, slot)
    return sidecar if sidecar is not None and is_intact(folder_fd, raw_name, sidecar) else None


def is_intact(folder_fd: int, raw_name: str, result: Sidecar | Index) -> bool:
    """Return whether every file that a sidecar or an index lists is as it was written."""
    slot = result.slot or ""
    if isinstance(result, Index):
        return all(
            _sha256(record_name(raw_name, entry.status, entry.key, slot), folder_fd) == entry.sha256
            and (entry.status == "error" or intact_sidecar(folder_fd, raw_name, entry.key, slot) is not None)
            for entry in result.images
        )
    listed = (output_name(raw_name, kind, result.image.key, slot) for kind in OutputKind)
    names = {printable_name(name): name for name in listed}
    return all(
        output.name in names and _sha256(names[output.name], folder_fd) == output.sha256
        for output in result.outputs
    )


def standing_entry(
    folder_fd: int, raw_name: str, key: str, raw_sha256: str, slot: str = ""
) -> IndexEntry | None:
    """Return the line of an index for the record of an image as it lies there.

    Args:
        folder_fd: of the folder of the results.
        raw_name: of the raw file, without folders.
        key: of the image.
        raw_sha256: of the raw file; a record of another content is none of this index.
        slot: of the bundle; a record of another one is none, either.
    """
    kind: type[Sidecar] | type[ErrorRecord]
    for status, kind in (("ok", Sidecar), ("error", ErrorRecord)):
        name = record_name(raw_name, status, key, slot)
        try:
            text = read_bounded(name, MAX_RECORD_BYTES, folder_fd)
        except OSError:
            continue
        record = parsed(kind, text)
        if record is not None and (record.image.sha256, record.slot or "") == (raw_sha256, slot):
            return index_entry(raw_name, record, text)
    return None


def index_entry(raw_name: str, record: Sidecar | ErrorRecord, text: bytes) -> IndexEntry:
    """Return the line of an index for a record that was written as this text."""
    key, status = record.image.key, record.status
    name = printable_name(record_name(raw_name, status, key, record.slot or ""))
    return IndexEntry(key=key, status=status, name=name, sha256=sha256(text).hexdigest())


def _sha256(name: str, folder_fd: int) -> str:
    try:
        return sha256_bounded(name, _MAX_OUTPUT_BYTES, folder_fd)
    except OSError:
        return ""
