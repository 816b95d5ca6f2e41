"""From a raw file to planes: gate, read, find the channels; or refuse with one sentence.

The raw file is opened once, read whole and closed at once: it is never locked, mapped or
opened for writing, all of which can disturb the program that writes it (a locked file on a
share stops the microscope's own program; a mapped one that is cut short kills ours). What is
hashed, checked and decoded are the same bytes.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from colvi_edge.acquisition.model import Acquisition, Limits, Provenance, Role
from colvi_edge.errors import (
    AcquisitionError,
    ImageTooLargeError,
    IncompleteFileError,
    NotAnImageError,
)
from colvi_edge.printable import printable_name

__all__ = ["Acquisition", "Limits", "Provenance", "Role", "acquire", "acquire_opened", "is_raw_name"]

OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""How a raw file is opened. Without O_NONBLOCK a pipe that nobody writes to would be waited for for ever."""

DEFAULT_LIMITS = Limits()
RAW_SUFFIXES = (".tif", ".tiff")

OTHER_FORMATS = {
    b"\x70\x00\x00\x00": "a Leica container (.lif)",
    b"ZISRAWFILE": "a Zeiss container (.czi)",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
}


def is_raw_name(name: str) -> bool:
    """Return whether a file of this name, without folders, may be a raw image.

    Hidden files, an office program's `~$` copies, files under a temporary name
    (`x.tif.part`) and our own outputs (`x.tif.colvi.json`) are not.
    """
    lower = name.lower()
    return lower.endswith(RAW_SUFFIXES) and not lower.startswith((".", "~$")) and ".colvi." not in lower


def acquire(
    path: str | Path, *, channels: Sequence[str] | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Acquisition]:
    """Yield every image of a raw file; a TIFF file holds exactly one.

    Args:
        path: the file; a link is followed.
        channels: role of each channel in the file's order ("nuclei", "collagen", "other"); None
            to go by what the file says.
        limits: what the file may ask for.

    Raises:
        AcquisitionError: the file cannot be read, exactly and as one image of the assay; the
            sentence begins with the file's name.
    """
    path = Path(path)
    yield from acquire_opened(lambda: os.open(path, OPEN_FLAGS), path.name, channels=channels, limits=limits)


def acquire_opened(
    opened: Callable[[], int],
    name: str,
    *,
    channels: Sequence[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Acquisition]:
    """Yield every image of a raw file as `acquire` does, for callers that do not trust its path.

    Args:
        opened: opens the file with `OPEN_FLAGS`; its errors are those of the file.
        name: of the file, without folders; an OME-TIFF may refer to itself by it.
        channels: as for `acquire`.
        limits: as for `acquire`.
    """
    shown = printable_name(name)
    try:
        data = _read(opened, limits)
        _refuse_other_formats(data)
        # Imported here: listing a folder by name needs no reader.
        from colvi_edge.acquisition.tiff import read_tiff

        image = read_tiff(data, name, channels, limits)
    except AcquisitionError as error:
        raise type(error)(f"{shown}: {printable_name(str(error))}") from (error.__cause__ or error)
    except MemoryError as error:
        raise ImageTooLargeError(
            f"{shown}: needs more memory than this machine can spare; crop the image or close other programs"
        ) from error
    yield Acquisition(
        name=shown,
        image_key="",
        planes=image.planes,
        channels=image.roles,
        pixel_size_um=image.description.pixel_size_um,
        plane_spacing_um=image.description.plane_spacing_um,
        planes_planned=image.description.planes_planned,
        channels_assumed=image.roles_assumed,
        provenance=Provenance(len(data), hashlib.sha256(data).hexdigest(), image.axes, image.shape),
    )


def _read(opened: Callable[[], int], limits: Limits) -> bytes:
    """Return the file's bytes, as they were at one moment."""
    try:
        handle = opened()
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise NotAnImageError("is a folder, pipe or device; expected an image file")
            if before.st_size > limits.file_bytes:
                raise ImageTooLargeError(
                    f"is {before.st_size:,} bytes long, but at most {limits.file_bytes:,} are read "
                    "(limit 'file_bytes'); crop the image or raise the limit"
                )
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(before.st_size + 1)
            after = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EAGAIN):
            raise IncompleteFileError(
                "is held open by the program that writes it; try again later"
            ) from error
        raise AcquisitionError(
            f"cannot be read: {os.strerror(error.errno or 0)}; check its path and permissions"
        ) from error
    if _state(before) != _state(after) or len(data) != before.st_size:
        raise IncompleteFileError("changed while it was read; try again when it is finished")
    return data


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _refuse_other_formats(data: bytes) -> None:
    if not data:
        raise IncompleteFileError("is empty (0 bytes); export the image again")
    if not data[:64].strip(b"\0"):
        raise IncompleteFileError(
            "begins with zeros, as a file does whose writing has just begun; try again later"
        )
    for start, words in OTHER_FORMATS.items():
        if data.startswith(start):
            raise NotAnImageError(f"is {words}, which is not read here; export the image as TIFF")
