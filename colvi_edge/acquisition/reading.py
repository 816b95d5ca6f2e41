"""From a raw file to planes: gate, read, find the channels; or refuse with one sentence.

The raw file is opened once, read whole and closed at once: it is never locked, mapped or
opened for writing, all of which can disturb the program that writes it (a locked file on a
share stops the microscope's own program; a mapped one that is cut short kills ours). What is
hashed, checked and decoded are the same bytes. Only a container, which holds many images, is
opened for each of them anew, and must not have changed meanwhile.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from colvi_edge.acquisition.formats import Reader, Request
from colvi_edge.acquisition.model import Acquisition, Limits, Refused
from colvi_edge.acquisition.refusals import BEGINNING_BYTES, NO_TIFF, refuse_other_formats, told_of
from colvi_edge.acquisition.source import OPEN_FLAGS, Source
from colvi_edge.acquisition.wanted import ASSAY, Asking, Wanted
from colvi_edge.errors import AcquisitionError, NotAnImageError
from colvi_edge.printable import printable_name
from colvi_edge.raw_files import LIF, TIFF, Format

DEFAULT_LIMITS = Limits()


def _read_tiff(source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    from colvi_edge.acquisition.tiff.reader import read

    return read(source, request)


def _read_lif(source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    from colvi_edge.acquisition.leica.reader import read

    return read(source, request)


READERS: Mapping[Format, Reader] = {TIFF: _read_tiff, LIF: _read_lif}
"""Imported when the first file of the format is met: listing a folder by name needs no reader."""


def acquire(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    wanted: Sequence[Wanted] = ASSAY,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Acquisition]:
    """Yield every image of a raw file: one of a TIFF file, those that are of the assay of a Leica container.

    Args:
        path: the file; a link is followed.
        channels: role of each channel in the file's order ("nuclei", "collagen", "other"); None
            to go by what the file says.
        wanted: what each image must hold a channel of.
        limits: what the file may ask for.

    Raises:
        AcquisitionError: the file cannot be read, exactly and as one image of the assay, or no image
            of the container can; the sentence begins with the file's name.
    """
    path = Path(path)
    read, refused = 0, []
    for found in acquire_opened(
        lambda: os.open(path, OPEN_FLAGS),
        path.name,
        channels=channels,
        asking=[Asking(tuple(wanted))],
        limits=limits,
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
    asking: Sequence[Asking] = (Asking(),),
    limits: Limits = DEFAULT_LIMITS,
    is_final: Callable[[AcquisitionError], bool] = lambda _: True,
) -> Iterator[Acquisition | Refused]:
    """Yield every image of a raw file, for callers that do not trust its path and lose no refusal.

    Args:
        opened: opens the file with `OPEN_FLAGS`; its errors are those of the file.
        name: of the file, without folders; an OME-TIFF may refer to itself by it.
        channels: as for `acquire`.
        asking: what each of those who judge asks for; they get the same images.
        limits: as for `acquire`.
        is_final: asked of an error whether no later look can help. If not, an image that is not whole is
            refused with its whole container, which may still be written, and a black last plane is not
            believed.
    """
    shown = printable_name(name)
    with told_of(shown):
        yield from _images(Source(opened), Request(name, shown, channels, asking, limits, is_final))


def _images(source: Source, request: Request) -> Iterator[Acquisition | Refused]:
    with source.reading():
        beginning = source.beginning(BEGINNING_BYTES)
        refuse_other_formats(beginning)
        read = _reader_of(beginning)
        if read is None:
            raise NotAnImageError(NO_TIFF)
        images = read(source, request)
    yield from images


def _reader_of(beginning: bytes) -> Reader | None:
    """Return what reads a file that begins like this; None if it is of no format that is read."""
    return next((read for known, read in READERS.items() if beginning.startswith(known.magics)), None)
