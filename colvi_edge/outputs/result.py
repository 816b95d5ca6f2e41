"""The files of one image in their folder: all of a result or an error record, never both.

The sidecar goes first when files are about to change and comes last when they have: while it is
there, every file that it lists is there with the listed hash. So does the index of a file that holds
several images. A result that gives way leaves its sidecar as `X.tif.colvi.prev.json`, until the next does.

All of that is so for each slot by itself: what is written for one bundle touches no file of another.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple

from colvi_edge.choices import OverlayChoice
from colvi_edge.outputs.names import NEVER_CUT, OutputKind, output_name, record_name
from colvi_edge.outputs.picture import overlay
from colvi_edge.outputs.read_back import read_record, read_sidecar, standing_record
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import MAX_REVISION, ErrorRecord, Index, OutputFile, Sidecar, to_json
from colvi_edge.outputs.views import Views, views_of
from colvi_edge.printable import printable_name
from colvi_edge.raw_files import is_container_name
from colvi_edge.stopwatch import Stopwatch
from colvi_edge.system.atomic import Aside, Drafts, refuse_blocked, remove, write_atomically
from colvi_edge.tasks.task import Answer

_SIDECAR, _ERROR = OutputKind.SIDECAR.value, OutputKind.ERROR.value
REPLACED = "in the place of a record that was damaged or none of this version"


class Written(NamedTuple):
    """A result as it was written.

    Attributes:
        sidecar: with its outputs and its revision.
        replaced: what stood before was another result, whose sidecar lies aside now.
    """

    sidecar: Sidecar
    replaced: bool


def write_result(
    folder_fd: int,
    raw_name: str,
    sidecar: Sidecar,
    shown: Shown,
    confirm: Callable[[], None],
    overlay_choice: OverlayChoice = OverlayChoice.PNG,
    note: Callable[[str], None] = lambda _: None,
    result: Answer | None = None,
) -> Written:
    """Write the files of a result, the sidecar last.

    A rejected image gets an overlay that says why, and no tables. The revision
    follows that of the sidecar that is replaced, if that was another result; at its maximum it stays.

    Args:
        folder_fd: of the folder of the results.
        raw_name: of the raw file, without folders.
        sidecar: the record that the files are views of, its outputs still missing.
        shown: the image.
        confirm: asked before each change in the folder; raises to leave it as it is.
        overlay_choice: whether there is an OME-TIFF beside the picture.
        note: is told, in words, when what stood there was no record.
        result: what was found, as arrays, where the record does not hold it all: regions and objects.

    Raises:
        OSError: a file cannot be written; then the older files are as they were.
    """
    views = views_of(sidecar, shown, result)
    slot = sidecar.slot or ""
    names = _names(raw_name, sidecar.image.key, slot)
    previous = standing_record(Sidecar, folder_fd, raw_name, sidecar.image.key, slot)
    replaced = previous is not None and previous.result_id != sidecar.result_id
    refuse_blocked(folder_fd, (names[kind] for kind in _kinds_of(views, overlay_choice)))
    spoilt = previous is None and _is_spoilt(names[OutputKind.SIDECAR], folder_fd)
    stopwatch = Stopwatch()
    with Drafts(folder_fd) as drafts:
        outputs = _draft_views(drafts, names, sidecar, views, overlay_choice, stopwatch)
        revision = 1 if previous is None else min(previous.revision + replaced, MAX_REVISION)
        written = sidecar.model_copy(
            update={
                "outputs": [
                    OutputFile(name=printable_name(names[kind]), sha256=outputs[kind]) for kind in outputs
                ],
                "revision": revision,
                "timings_ms": {**sidecar.timings_ms, **stopwatch.laps_ms},
            }
        )
        drafts.write(names[OutputKind.SIDECAR], to_json(written))
        confirm()
        with Aside(folder_fd) as old:
            if sidecar.image.key:
                spoilt |= _is_spoilt_index(folder_fd, raw_name, slot)
                old.put(output_name(raw_name, OutputKind.SIDECAR, slot=slot))
                os.fsync(folder_fd)
            if previous is None:
                _remove_all(folder_fd, names, but={OutputKind.PREVIOUS, *outputs})
            else:
                _put_aside(old, names, replaced)
                os.fsync(folder_fd)
            drafts.publish([names[kind] for kind in outputs], confirm)
            drafts.publish([names[OutputKind.SIDECAR]], confirm)
    if spoilt:
        note(REPLACED)
    return Written(written, replaced)


def _put_aside(old: Aside, names: Mapping[OutputKind, str], replaced: bool) -> None:
    """Put a result aside; its sidecar, which goes first, stays as the previous one where another comes."""
    if replaced:
        old.put(names[OutputKind.PREVIOUS])
    old.put(names[OutputKind.SIDECAR], names[OutputKind.PREVIOUS] if replaced else "")
    for kind in OutputKind:
        if kind not in (OutputKind.SIDECAR, OutputKind.PREVIOUS):
            old.put(names[kind])


def _kinds_of(views: Views, overlay_choice: OverlayChoice) -> list[OutputKind]:
    """Return which files a result consists of."""
    picture = [OutputKind.OME_TIFF] if overlay_choice is OverlayChoice.OME_TIFF else []
    return [OutputKind.SIDECAR, OutputKind.OVERLAY, *views.tables, *picture]


def _draft_views(
    drafts: Drafts,
    names: Mapping[OutputKind, str],
    sidecar: Sidecar,
    views: Views,
    overlay_choice: OverlayChoice,
    stopwatch: Stopwatch,
) -> dict[OutputKind, str]:
    """Draft every file of a result but the sidecar itself; return their SHA-256."""

    def drafted(kind: OutputKind, data: bytes) -> str:
        drafts.write(names[kind], data)
        return sha256(data).hexdigest()

    with stopwatch.lap("overlay"):
        canvas = views.draw()
    with stopwatch.lap("encode"):
        picture = overlay.encode(canvas, sidecar)
    # The tables are made while the picture goes to the disk. Made while it is compressed, they took
    # longer: two threads compress, and a third takes turns with them on the two cores of a small machine.
    with ThreadPoolExecutor(1, "picture") as aside:
        drafting = aside.submit(drafted, OutputKind.OVERLAY, picture)
        hashes = {}
        for kind, render in views.tables.items():
            with stopwatch.lap("tables"):
                data = render()
            hashes[kind] = drafted(kind, data)
        if overlay_choice is OverlayChoice.OME_TIFF:
            with stopwatch.lap("ome-tiff"):
                data = views.ome_tiff()
            hashes[OutputKind.OME_TIFF] = drafted(OutputKind.OME_TIFF, data)
        return {OutputKind.OVERLAY: drafting.result(), **hashes}


def write_error(
    folder_fd: int,
    raw_name: str,
    record: ErrorRecord,
    confirm: Callable[[], None],
    stays: Callable[[Sidecar | ErrorRecord], bool] = lambda _: False,
) -> int:
    """Write why a raw file, or one image of it, has no result; what had one before keeps its sidecar aside.

    Args:
        folder_fd: of the folder of the results.
        raw_name: of the raw file, without folders.
        record: to be written.
        confirm: as for `write_result`.
        stays: asked of the records of a file's images whether they are right, though it has no index of them.

    Returns:
        How many results are gone, whose sidecars lie aside now.

    Raises:
        OSError: the record cannot be written.
    """
    key, slot = record.image.key, record.slot or ""
    confirm()
    if key:
        remove(folder_fd, output_name(raw_name, OutputKind.SIDECAR, slot=slot))
    names = _names(raw_name, key, slot)
    gone = int(_retire(folder_fd, names, slot))
    _remove_all(folder_fd, names, but={OutputKind.ERROR, OutputKind.PREVIOUS})
    if not key and is_container_name(raw_name):
        for image in _images(folder_fd, raw_name, slot, stays):
            gone += _retire(folder_fd, image, slot)
            _remove_all(folder_fd, image, but={OutputKind.PREVIOUS})
    write_atomically(folder_fd, names[OutputKind.ERROR], to_json(record), confirm)
    return gone


def write_index(folder_fd: int, raw_name: str, index: Index, confirm: Callable[[], None]) -> None:
    """Write what became of each image of a file; what is left of images that it held before goes.

    Raises:
        OSError: the index cannot be written.
    """
    slot = index.slot or ""
    refuse_blocked(folder_fd, [output_name(raw_name, OutputKind.SIDECAR, slot=slot)])
    confirm()
    keys = {entry.key for entry in index.images}
    for image in _images(folder_fd, raw_name, slot, lambda record: record.image.key in keys):
        _remove_all(folder_fd, image)
    names = _names(raw_name, "", slot)
    _retire(folder_fd, names, slot)
    _remove_all(folder_fd, names, but={OutputKind.SIDECAR, OutputKind.PREVIOUS})
    write_atomically(folder_fd, names[OutputKind.SIDECAR], to_json(index), confirm)


def _names(raw_name: str, key: str, slot: str) -> dict[OutputKind, str]:
    return {kind: output_name(raw_name, kind, key, slot) for kind in OutputKind}


def _remove_all(
    folder_fd: int, names: Mapping[OutputKind, str], but: Collection[OutputKind] = frozenset()
) -> None:
    for kind in OutputKind:  # the sidecar first
        if kind not in but:
            remove(folder_fd, names[kind])


def _retire(folder_fd: int, names: Mapping[OutputKind, str], slot: str) -> bool:
    """Keep the sidecar of a slot's result as that of the previous one; return whether there was any."""
    sidecar, previous = names[OutputKind.SIDECAR], names[OutputKind.PREVIOUS]
    record = read_sidecar(sidecar, folder_fd)
    if record is not None and (record.slot or "") == slot:
        with suppress(IsADirectoryError):  # what is in the way there must not keep the truth from being told
            os.rename(sidecar, previous, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            os.fsync(folder_fd)
            return True
    return False


def _is_spoilt(name: str, folder_fd: int) -> bool:
    """Return whether what stands in the place of a sidecar is none, not even of another slot."""
    return _is_there(name, folder_fd) and read_sidecar(name, folder_fd) is None


def _is_spoilt_index(folder_fd: int, raw_name: str, slot: str) -> bool:
    """Return whether what stands in the place of an index is none."""
    name = output_name(raw_name, OutputKind.SIDECAR, slot=slot)
    return _is_there(name, folder_fd) and read_record(Index, name, folder_fd) is None


def _images(
    folder_fd: int, raw_name: str, slot: str, but: Callable[[Sidecar | ErrorRecord], bool]
) -> Iterator[dict[OutputKind, str]]:
    """Yield the names of a slot's outputs of each image of a file, but of those whose record is to stay."""
    for name in os.listdir(folder_fd):
        # A long name is cut, so that its key may not stand in it, but always in the record.
        if name.startswith(raw_name[:NEVER_CUT]) and name.endswith((_SIDECAR, _ERROR)):
            record: Sidecar | ErrorRecord | None = (
                read_record(ErrorRecord, name, folder_fd)
                if name.endswith(_ERROR)
                else read_sidecar(name, folder_fd)
            )
            if record is None or not record.image.key or but(record):
                continue
            if name == record_name(raw_name, record.status, record.image.key, slot):
                yield _names(raw_name, record.image.key, slot)


def _is_there(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return False
    return True
