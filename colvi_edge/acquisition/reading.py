"""From a raw file to planes: gate, read, find the channels; or refuse with one sentence.

The raw file is opened once, read whole and closed at once: it is never locked, mapped or
opened for writing, all of which can disturb the program that writes it (a locked file on a
share stops the microscope's own program; a mapped one that is cut short kills ours). What is
hashed, checked and decoded are the same bytes. Only a Leica container, which holds many images, is
opened for each of them anew, and must not have changed meanwhile.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from colvi_edge.acquisition.bounds import allowing
from colvi_edge.acquisition.model import Acquisition, Limits, Provenance, Refused, Role
from colvi_edge.acquisition.source import Source, held, is_at_rest
from colvi_edge.acquisition.unwritten import refuse_unfinished
from colvi_edge.errors import AcquisitionError, ImageTooLargeError, IncompleteFileError, NotAnImageError
from colvi_edge.printable import printable_name
from colvi_edge.raw_files import LIF, MAGIC_BYTES, TIFF

__all__ = [
    "Acquisition",
    "Limits",
    "Provenance",
    "Refused",
    "Role",
    "acquire",
    "acquire_opened",
]

OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""How a raw file is opened. Without O_NONBLOCK a pipe that nobody writes to would be waited for for ever."""

DEFAULT_LIMITS = Limits()
MAX_SENTENCE = 500
"""Characters of an error's sentence, without the file's name; what a file holds may be quoted in it."""


def _at(place: int, magic: bytes) -> bytes:
    """Return the pattern of a magic that is not at the start, which in a TIFF file it is by chance."""
    return rb"(?!%s).{%d}%s" % (b"|".join(map(re.escape, TIFF.magics)), place, re.escape(magic))


IMAGES = {
    rb"\xff\xfe<\0": "an XML file such as Leica's .xlif, .xlef and .xlcf, whose pixels lie in other files",
    rb"ZISRAWFILE": "a Zeiss container (.czi)",
    rb"\xda\xce\xbe\x0a": "a Nikon container (.nd2)",
    rb"\0\0\0\x0cjP  ": "a JPEG 2000 picture or an old Nikon container (.nd2)",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an OLE container such as Olympus' .oib or Zeiss' .zvi",
    rb"OLYMPUSRAWFORMAT": "an Olympus image (.oir)",
    rb"II\*\0.{4}\x18\0IS": "the index of an Olympus or Evident image (.vsi), whose pixels lie in .ets files",
    rb"SIS\0": "the pixels of an Olympus or Evident image (.ets), which are opened by their .vsi",
    rb"\x89HDF\r\n\x1a\n": "an HDF5 file such as Imaris' .ims",
    rb"SIMPLE  =": "a FITS image (.fits)",
    _at(128, b"DICM"): "a DICOM file (.dcm)",
    _at(344, b"n+1\0"): "a NIfTI image (.nii)",
    _at(208, b"MAP "): "an MRC volume (.mrc)",
    rb"(?!\0{4})" + _at(96, b"\xa0\xc0"): "a DeltaVision image (.dv)",
}
"""How images of other microscopes and of medicine begin, and what they are; all of them Bio-Formats reads."""

OTHERS = {
    rb"<\?xml": "an XML file",
    rb"PK\x03\x04": "a ZIP archive",
    rb"\x1f\x8b": "a file compressed with gzip",
    rb"%PDF": "a PDF document",
    rb"GIF8": "a GIF picture",
    rb"\x89PNG": "a PNG picture",
    rb"\xff\xd8\xff": "a JPEG picture",
    rb"BM.{4}\0{4}": "a BMP picture",
    rb"RIFF.{4}WEBP": "a WebP picture",
}
"""What else is taken for an image; there is no way from it to the pixels as they were acquired."""


def acquire(
    path: str | Path, *, channels: Sequence[str] | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Acquisition]:
    """Yield every image of a raw file: one of a TIFF file, those that are of the assay of a Leica container.

    Args:
        path: the file; a link is followed.
        channels: role of each channel in the file's order ("nuclei", "collagen", "other"); None
            to go by what the file says.
        limits: what the file may ask for.

    Raises:
        AcquisitionError: the file cannot be read, exactly and as one image of the assay, or no image
            of the container can; the sentence begins with the file's name.
    """
    path = Path(path)
    read, refused = 0, []
    for found in acquire_opened(
        lambda: os.open(path, OPEN_FLAGS), path.name, channels=channels, limits=limits
    ):
        if isinstance(found, Refused):
            refused.append(found.error)
        else:
            read += 1
            yield found
    if not read:
        raise refused[0]


def acquire_opened(
    opened: Callable[[], int],
    name: str,
    *,
    channels: Sequence[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    may_lack: Callable[[AcquisitionError], bool] = lambda _: True,
) -> Iterator[Acquisition | Refused]:
    """Yield every image of a raw file, for callers that do not trust its path and lose no refusal.

    Args:
        opened: opens the file with `OPEN_FLAGS`; its errors are those of the file.
        name: of the file, without folders; an OME-TIFF may refer to itself by it.
        channels: as for `acquire`.
        limits: as for `acquire`.
        may_lack: asked of an error whether no later look can help. If not, an image that is not whole is
            refused with its whole container, which may still be written, and a black last plane is not
            believed.
    """
    shown = printable_name(name)
    with _named(shown):
        read = _read(opened, limits)
        if read is not None:
            _refuse_other_formats(read.data)
            # Imported here: listing a folder by name needs no reader.
            from colvi_edge.acquisition.tiff.reader import read_tiff

            image = read_tiff(read.data, name, channels, limits)
            if image.last_plane_black:
                refuse_unfinished(read.at_rest, may_lack)
            sha256 = hashlib.sha256(read.data).hexdigest()
    if read is None:
        yield from _images_of(opened, shown, channels, limits, may_lack)
        return
    yield Acquisition(
        name=shown,
        image_key="",
        planes=image.planes,
        channels=image.assigned.roles,
        pixel_size_um=image.description.pixel_size_um,
        plane_spacing_um=image.description.plane_spacing_um,
        planes_planned=image.description.planes_planned,
        channels_assumed=image.assigned.assumed,
        colours_disagree=image.assigned.colours_disagree,
        channels_overruled=image.assigned.overruled,
        pixel_height_um=image.description.pixel_height_um,
        last_plane_black=image.last_plane_black,
        provenance=Provenance(len(read.data), sha256, image.axes, image.shape, read.mtime_ns),
    )


def _images_of(
    opened: Callable[[], int],
    shown: str,
    channels: Sequence[str] | None,
    limits: Limits,
    may_lack: Callable[[AcquisitionError], bool],
) -> Iterator[Acquisition | Refused]:
    from colvi_edge.acquisition.leica.container import LifContainer, Listed

    def refused(listed: Listed, why: AcquisitionError | MemoryError) -> Refused:
        error = _begun(f"{shown}.{listed.key}", why)
        if isinstance(error, IncompleteFileError) and not may_lack(error):
            raise error
        return Refused(shown, listed.key, error, Provenance(container.bytes, container.sha256, "", ()))

    with _named(shown):
        source = Source(opened)
        container = LifContainer(source, channels, limits)
    for listed in container.images:  # before any is read: a container that lacks one may be growing
        if isinstance(listed.layout, AcquisitionError):
            refused(listed, listed.layout)
    for listed in container.images:
        with _named(shown):
            image = container.read(listed, may_lack)
        if isinstance(image, AcquisitionError | MemoryError):
            yield refused(listed, image)
            continue
        lies = image.layout
        yield Acquisition(
            name=shown,
            image_key=listed.key,
            planes=image.planes,
            channels=image.assigned.roles,
            pixel_size_um=lies.pixel_size_um,
            plane_spacing_um=lies.plane_spacing_um,
            planes_planned=None,
            channels_assumed=image.assigned.assumed,
            colours_disagree=image.assigned.colours_disagree,
            channels_overruled=image.assigned.overruled,
            pixel_height_um=lies.pixel_height_um,
            last_plane_black=image.last_plane_black,
            provenance=Provenance(container.bytes, container.sha256, lies.axes, lies.shape, source.mtime_ns),
        )
        del image  # or it would be held while the next one is read


@contextmanager
def _named(shown: str) -> Iterator[None]:
    """Begin the sentence of each error with whose it is."""
    try:
        yield
    except (AcquisitionError, MemoryError) as error:
        raise _begun(shown, error) from error.__cause__ or error


def _begun(shown: str, error: AcquisitionError | MemoryError) -> AcquisitionError:
    """Return an error whose sentence begins with whose it is."""
    if isinstance(error, MemoryError):
        return ImageTooLargeError(
            f"{shown}: needs more memory than this machine can spare; crop the image or close other programs"
        )
    begun = type(error)(f"{shown}: {_shortened(printable_name(str(error)))}")
    begun.__cause__ = error.__cause__ or error
    return begun


def _shortened(sentence: str) -> str:
    """Return a sentence of bounded length; of one that is too long the middle goes, not the remedy."""
    if len(sentence) <= MAX_SENTENCE:
        return sentence
    return f"{sentence[: MAX_SENTENCE // 2]} ... {sentence[-MAX_SENTENCE // 2 + 5 :]}"


class _Content(NamedTuple):
    """A whole file as it was at one moment."""

    data: bytes
    at_rest: bool
    mtime_ns: int


def _read(opened: Callable[[], int], limits: Limits) -> _Content | None:
    """Return the file; None for a container, which is not read whole."""
    with held(opened) as handle, os.fdopen(handle, "rb", closefd=False) as file:
        if os.pread(handle, MAGIC_BYTES, 0).startswith(LIF.magics):
            return None
        status = os.fstat(handle)
        file_bytes = status.st_size
        if file_bytes > limits.file_bytes:
            raise ImageTooLargeError(
                f"is {file_bytes:,} bytes long, but at most {limits.file_bytes:,} are read "
                f"(limit 'file_bytes'); crop the image or allow it with {allowing(file_bytes=file_bytes)}"
            )
        data = file.read(file_bytes + 1)
        at_rest = is_at_rest(handle, 0, file_bytes)
    if len(data) != file_bytes:
        raise IncompleteFileError("changed while it was read; try again when it is finished")
    return _Content(data, at_rest, status.st_mtime_ns)


def _refuse_other_formats(data: bytes) -> None:
    if not data:
        raise IncompleteFileError("is empty (0 bytes); export the image again")
    for formats, remedy in (
        (IMAGES, "wrote it, or with Fiji (File > Import > Bio-Formats, then File > Save As > Tiff)"),
        (OTHERS, "acquired it"),
    ):
        for pattern, words in formats.items():
            if re.match(pattern, data, re.DOTALL):
                raise NotAnImageError(
                    f"is {words}, which is not read here; export the image as TIFF with the program that "
                    f"{remedy}"
                )
    if not data[:64].strip(b"\0"):  # asked last: so does a DICOM file
        raise IncompleteFileError(
            "begins with zeros, as a file does whose writing has just begun; try again later"
        )
