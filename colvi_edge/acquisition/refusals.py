"""What no format reads: files of other programs, files that are not whole, images that are too large."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from colvi_edge.acquisition.bounds import allowing
from colvi_edge.acquisition.model import Limits
from colvi_edge.errors import AcquisitionError, ImageTooLargeError, IncompleteFileError, NotAnImageError
from colvi_edge.printable import printable_name
from colvi_edge.raw_files import FORMATS

DAMAGED = "the file is damaged or still being written; export it again"
NO_TIFF = "is not a TIFF file, whatever its name says; export the image as TIFF"

BEGINNING_BYTES = 512
"""How much of a file tells what it is."""

MAX_SENTENCE = 500
"""Characters of an error's sentence, without its subject; what a file holds may be quoted in it."""

_UNWRITTEN_BYTES = 64
"""Zeros at the beginning of a file that is reserved, and not filled yet."""


def _at(place: int, magic: bytes) -> bytes:
    """Return the pattern of a magic that is not at the start, which in a file that is read is by chance."""
    read = [re.escape(magic) for known in FORMATS for magic in known.magics]
    return rb"(?!%s).{%d}%s" % (b"|".join(read), place, re.escape(magic))


_IMAGES = {
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

_OTHERS = {
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


def refuse_other_formats(beginning: bytes) -> None:
    """Refuse a file that begins as those of other programs do.

    Args:
        beginning: its first `BEGINNING_BYTES`.

    Raises:
        NotAnImageError: it is of a format that is known, and not read.
        IncompleteFileError: nothing was written into it yet.
    """
    if not beginning:
        raise IncompleteFileError("is empty (0 bytes); export the image again")
    for formats, remedy in (
        (_IMAGES, "wrote it, or with Fiji (File > Import > Bio-Formats, then File > Save As > Tiff)"),
        (_OTHERS, "acquired it"),
    ):
        for pattern, words in formats.items():
            if re.match(pattern, beginning, re.DOTALL):
                raise NotAnImageError(
                    f"is {words}, which is not read here; export the image as TIFF with the program that "
                    f"{remedy}"
                )
    if not beginning[:_UNWRITTEN_BYTES].strip(b"\0"):  # asked last: so does a DICOM file
        raise IncompleteFileError(
            "begins with zeros, as a file does whose writing has just begun; try again later"
        )


def refuse_too_large(decoded_bytes: int, pixel_bytes: int, file_bytes: int, limits: Limits) -> None:
    """Refuse an image before memory is taken for it."""
    pixels = decoded_bytes // pixel_bytes
    exceeded = [
        (f"{found:,} {unit}, but at most {limit:,} are read (limit '{name}')", name, needed)
        for found, limit, name, unit, needed in (
            (pixels, limits.pixels, "pixels", "pixels", pixels),
            (decoded_bytes, limits.decoded_bytes, "decoded_bytes", "bytes", decoded_bytes),
            (
                decoded_bytes,
                limits.expansion * file_bytes,
                "expansion",
                f"bytes in a file of {file_bytes:,}",
                -(-decoded_bytes // max(1, file_bytes)),
            ),
        )
        if found > limit
    ]
    if exceeded:
        options = allowing(**{name: needed for _, name, needed in exceeded})
        raise ImageTooLargeError(f"declares {exceeded[0][0]}; crop the image or allow it with {options}")


@contextmanager
def spared_memory() -> Iterator[None]:
    """Make too little memory an error of the image that it is taken for.

    Raises:
        ImageTooLargeError: there was too little.
    """
    try:
        yield
    except MemoryError as error:
        raise ImageTooLargeError(
            "needs more memory than this machine can spare; crop the image or close other programs"
        ) from error


@contextmanager
def told_of(subject: str) -> Iterator[None]:
    """Name the subject of every error that comes of reading a file."""
    try:
        with spared_memory():
            yield
    except AcquisitionError as error:
        say_of(subject, error)
        raise


def say_of(subject: str, error: AcquisitionError) -> None:
    """Give an error its subject, unless it has one, and printable words of bounded length."""
    if not error.subject:
        error.args, error.subject = (_shortened(printable_name(error.words)),), subject


def _shortened(sentence: str) -> str:
    """Return a sentence of bounded length; of one that is too long the middle goes, not the remedy."""
    if len(sentence) <= MAX_SENTENCE:
        return sentence
    return f"{sentence[: MAX_SENTENCE // 2]} ... {sentence[-MAX_SENTENCE // 2 + 5 :]}"
