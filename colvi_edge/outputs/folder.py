"""The files of one image in their folder: all of a result or an error record, never both.

The sidecar goes first when files are about to change and comes last when they have: while it is
there, every file that it lists is there with the listed hash. So does the index of a file that holds
several images.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from colvi_edge.choices import OverlayChoice
from colvi_edge.clock import Clock
from colvi_edge.errors import BlockedOutputError, OutputError
from colvi_edge.outputs import geojson, overlay, rois, table
from colvi_edge.outputs.atomic import Drafts, open_folder, refuse_blocked, remove, write_atomically
from colvi_edge.outputs.names import OutputKind, output_name, record_label
from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.reading import sha256_bounded
from colvi_edge.outputs.sidecar import MAX_REVISION, ErrorRecord, Index, OutputFile, Sidecar, to_json
from colvi_edge.printable import printable_name, unambiguous_name

_MAX_OUTPUT_BYTES = 2**32  # an OME-TIFF is as large as its projection
_NAME_START = 50  # characters, of at most four bytes, that no cut takes away

REPLACED = "in the place of a record that was damaged or none of this version"

_TABLES: dict[OutputKind, Callable[[Sidecar], bytes]] = {
    OutputKind.TABLE: table.render,
    OutputKind.GEOJSON: geojson.render,
    OutputKind.ROIS: rois.render,
}


def write_result(
    folder_fd: int,
    raw_name: str,
    sidecar: Sidecar,
    collagen: NDArray[Any],
    nuclei: NDArray[Any],
    confirm: Callable[[], None],
    overlay_choice: OverlayChoice = OverlayChoice.PNG,
    pixel_height_um: float | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Sidecar:
    """Write the files of a result, the sidecar last; return the sidecar as written.

    A rejected image has no patches, so it gets an overlay that says why, and no tables. The revision
    follows that of the sidecar that is replaced, if that was another result; at its maximum it stays.

    Args:
        folder_fd: from `open_results`.
        raw_name: of the raw file, without folders.
        sidecar: the record that the files are views of, its outputs still missing.
        collagen: (H, W) projection.
        nuclei: (H, W) projection.
        confirm: asked before each change in the folder; raises to leave it as it is.
        overlay_choice: whether there is an OME-TIFF beside the picture.
        pixel_height_um: for it, where the height is not the width, which the sidecar has.
        note: is told, in words, when what stood there was no record.

    Raises:
        OSError: a file cannot be written; then the older files are as they were, or there is no
            sidecar.
    """
    names = {kind: output_name(raw_name, kind, sidecar.image.key) for kind in OutputKind}
    refuse_blocked(folder_fd, (names[kind] for kind in _kinds_of(sidecar, overlay_choice)))
    previous = read_sidecar(names[OutputKind.SIDECAR], folder_fd)
    spoilt = previous is None and _is_there(names[OutputKind.SIDECAR], folder_fd)
    clock = Clock()
    with Drafts(folder_fd) as drafts:
        outputs = _draft_views(
            drafts, names, sidecar, (collagen, nuclei), overlay_choice, pixel_height_um, clock
        )
        revision = 1
        if previous is not None:
            revision = min(previous.revision + (previous.result_id != sidecar.result_id), MAX_REVISION)
        written = sidecar.model_copy(
            update={
                "outputs": [
                    OutputFile(name=printable_name(names[kind]), sha256=outputs[kind]) for kind in outputs
                ],
                "revision": revision,
                "timings_ms": {**sidecar.timings_ms, **clock.laps_ms},
            }
        )
        drafts.write(names[OutputKind.SIDECAR], to_json(written))
        confirm()
        spoilt |= _remove_index(folder_fd, raw_name, sidecar.image.key)
        for kind in OutputKind:
            if kind not in outputs:
                remove(folder_fd, names[kind])
        drafts.publish([names[kind] for kind in outputs], confirm)
        drafts.publish([names[OutputKind.SIDECAR]], confirm)
    if spoilt:
        note(REPLACED)
    return written


def _kinds_of(sidecar: Sidecar, overlay_choice: OverlayChoice) -> list[OutputKind]:
    """Return which files a result consists of."""
    tables = list(_TABLES) if sidecar.status == "ok" else []
    picture = [OutputKind.OME_TIFF] if overlay_choice is OverlayChoice.OME_TIFF else []
    return [OutputKind.SIDECAR, OutputKind.OVERLAY, *tables, *picture]


def _draft_views(
    drafts: Drafts,
    names: Mapping[OutputKind, str],
    sidecar: Sidecar,
    channels: tuple[NDArray[Any], NDArray[Any]],
    overlay_choice: OverlayChoice,
    pixel_height_um: float | None,
    clock: Clock,
) -> dict[OutputKind, str]:
    """Draft every file of a result but the sidecar itself; return their SHA-256."""

    def drafted(kind: OutputKind, data: bytes) -> str:
        drafts.write(names[kind], data)
        return sha256(data).hexdigest()

    with clock.lap("overlay"):
        canvas = overlay.draw(sidecar, *channels)
    with clock.lap("encode"):
        picture = overlay.encode(canvas, sidecar)
    # The tables are made while the picture goes to the disk. Made while it is compressed, they took
    # longer: two threads compress, and a third takes turns with them on the two cores of a small machine.
    with ThreadPoolExecutor(1, "picture") as aside:
        drafting = aside.submit(drafted, OutputKind.OVERLAY, picture)
        hashes = {}
        if sidecar.status == "ok":
            for kind, render in _TABLES.items():
                with clock.lap("tables"):
                    data = render(sidecar)
                hashes[kind] = drafted(kind, data)
        if overlay_choice is OverlayChoice.OME_TIFF:
            from colvi_edge.outputs import ome_tiff  # its XML and TIFF writers take 30 ms that few need

            with clock.lap("ome-tiff"):
                data = ome_tiff.render(sidecar, *channels, pixel_height_um)
            hashes[OutputKind.OME_TIFF] = drafted(OutputKind.OME_TIFF, data)
        return {OutputKind.OVERLAY: drafting.result(), **hashes}


def write_error(
    folder_fd: int,
    raw_name: str,
    record: ErrorRecord,
    confirm: Callable[[], None],
    keep: Set[str] = frozenset(),
) -> None:
    """Write why a raw file, or one image of it, has no result, and remove the result that it had before.

    Args:
        folder_fd: from `open_results`.
        raw_name: of the raw file, without folders.
        record: to be written.
        confirm: as for `write_result`.
        keep: keys of the images whose results stay: they are right, though the file has no index of them.

    Raises:
        OSError: the record cannot be written.
    """
    key = record.image.key
    confirm()
    _remove_index(folder_fd, raw_name, key)
    for kind in OutputKind:
        if kind is not OutputKind.ERROR:
            remove(folder_fd, output_name(raw_name, kind, key))
    if not key and raw_name.lower().endswith(".lif"):
        _remove_images(folder_fd, raw_name, keep)
    write_atomically(folder_fd, output_name(raw_name, OutputKind.ERROR, key), to_json(record), confirm)


def write_index(folder_fd: int, raw_name: str, index: Index, confirm: Callable[[], None]) -> None:
    """Write what became of each image of a file; what is left of images that it held before goes.

    Raises:
        OSError: the index cannot be written.
    """
    refuse_blocked(folder_fd, [output_name(raw_name, OutputKind.SIDECAR)])
    confirm()
    _remove_images(folder_fd, raw_name, {entry.key for entry in index.images})
    for kind in OutputKind:
        if kind is not OutputKind.SIDECAR:
            remove(folder_fd, output_name(raw_name, kind))
    write_atomically(folder_fd, output_name(raw_name, OutputKind.SIDECAR), to_json(index), confirm)


def _remove_index(folder_fd: int, raw_name: str, key: str) -> bool:
    """Remove the index above an image that has a key; return whether what stood there was none."""
    name = output_name(raw_name, OutputKind.SIDECAR)
    if not key or not _is_there(name, folder_fd):
        return False
    spoilt = read_record(Index, name, folder_fd) is None
    remove(folder_fd, name)
    return spoilt


def _remove_images(folder_fd: int, raw_name: str, but: Set[str]) -> None:
    """Remove the outputs of all images of a file but those of some keys."""
    records = (OutputKind.SIDECAR.value, OutputKind.ERROR.value)
    for name in os.listdir(folder_fd):
        # A long name is cut, so that its key may not stand in it, but always in the record.
        if name.startswith(raw_name[:_NAME_START]) and name.endswith(records):
            key = _key_in(name, folder_fd)
            if key and key not in but:
                for kind in OutputKind:
                    remove(folder_fd, output_name(raw_name, kind, key))


def write_table(
    path: Path, folders: Mapping[str, Path], render: Callable[[Iterable[table.Listed]], bytes]
) -> int:
    """Write a table of every result that lies in the folders, such as `table.result_csv` renders it.

    Returns:
        How many files are called as sidecars are, but are none, nor the index of images.

    Args:
        path: of the table.
        folders: each by its place, see `jobs.Job`.
        render: makes the table.

    Raises:
        OutputError: the table cannot be written.
    """
    unread: list[Path] = []
    write_file(path, render(_listed(folders, unread)))
    return len(unread)


def _listed(folders: Mapping[str, Path], unread: list[Path]) -> Iterator[table.Listed]:
    for place, folder in sorted(folders.items()):
        for record in sorted(folder.glob(f"*{OutputKind.SIDECAR.value}")):
            if sidecar := read_sidecar(record):
                label = record_label(record.name, sidecar.image.name, sidecar.image.key)
                yield table.Listed(unambiguous_name(f"{place}/{label}" if place else label), sidecar)
            elif read_record(Index, record) is None:
                unread.append(record)


def check_writable(path: Path) -> None:
    """Find out before long work whether a file can be written; nothing stays.

    Raises:
        OutputError: it cannot.
    """
    with open_results(path.parent) as folder_fd, Drafts(folder_fd) as drafts:
        drafts.write(path.name, b"")


def write_file(path: Path, data: bytes) -> None:
    """Write a file that somebody named, whole or not at all; its folder is made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    with open_results(path.parent) as folder_fd:
        write_atomically(folder_fd, path.name, data)


def read_sidecar(name: str | Path, folder_fd: int | None = None) -> Sidecar | None:
    """Return a sidecar; None if there is none, or it is not one of this version.

    Args:
        name: its path, or its name in the folder of a descriptor.
        folder_fd: that descriptor.
    """
    return read_record(Sidecar, name, folder_fd)


def intact_result(folder_fd: int, raw_name: str) -> Sidecar | Index | None:
    """Return the sidecar or index of a raw file if it and every file below it are as they were written."""
    return intact_sidecar(folder_fd, raw_name) or _intact_index(folder_fd, raw_name)


def intact_sidecar(folder_fd: int, raw_name: str, key: str = "") -> Sidecar | None:
    """Return the sidecar of an image if it and every file that it lists are as they were written."""
    sidecar = read_sidecar(output_name(raw_name, OutputKind.SIDECAR, key), folder_fd)
    if sidecar is None:
        return None
    names = {printable_name(name): name for kind in OutputKind if (name := output_name(raw_name, kind, key))}
    for output in sidecar.outputs:
        if output.name not in names or _sha256(names[output.name], folder_fd) != output.sha256:
            return None
    return sidecar


def record_name(raw_name: str, status: str, key: str = "") -> str:
    """Return the name of the record that tells of an image: its sidecar, or its error record."""
    return output_name(raw_name, OutputKind.ERROR if status == "error" else OutputKind.SIDECAR, key)


def _intact_index(folder_fd: int, raw_name: str) -> Index | None:
    index = read_record(Index, output_name(raw_name, OutputKind.SIDECAR), folder_fd)
    if index is None:
        return None
    for entry in index.images:
        if _sha256(record_name(raw_name, entry.status, entry.key), folder_fd) != entry.sha256:
            return None
        if entry.status != "error" and intact_sidecar(folder_fd, raw_name, entry.key) is None:
            return None
    return index


def _key_in(name: str, folder_fd: int) -> str:
    """Return the key of the image that a record is about; "" if it is of none, or no record."""
    failed = name.endswith(OutputKind.ERROR.value)
    record = read_record(ErrorRecord, name, folder_fd) if failed else read_record(Sidecar, name, folder_fd)
    return record.image.key if record else ""


@contextmanager
def open_results(folder: Path) -> Iterator[int]:
    """Hold a folder for results open, made if need be; gives its descriptor.

    Raises:
        OutputError: it cannot be opened; or, while it is held, written.
    """
    with explained(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        with open_folder(folder) as folder_fd:
            yield folder_fd


@contextmanager
def explained(folder: str, *, names: bool = True) -> Iterator[None]:
    """Turn what the file system says against writing into a folder into an OutputError.

    Args:
        folder: how it is called.
        names: what is in the way is named in full, and not by its end only, which says nothing of people.
    """
    try:
        yield
    except IsADirectoryError as error:
        name = os.fsdecode(error.filename2 or error.filename)
        if not names:
            name = f"*{next((kind.value for kind in OutputKind if name.endswith(kind.value)), '')}"
        raise BlockedOutputError(
            f"cannot write results into {folder}: {error.strerror}; a folder named {printable_name(name)} "
            "is in the way, rename or remove it"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write results into {folder}: {error.strerror}; make room, make the folder "
            "writable, or choose another"
        ) from error


def _sha256(name: str, folder_fd: int) -> str:
    try:
        return sha256_bounded(name, _MAX_OUTPUT_BYTES, folder_fd)
    except OSError:
        return ""


def _is_there(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return False
    return True
