"""Raw files by their names and first bytes: which formats are read, and which are only told of.

Free of every reader and of arrays, as also those processes ask that only list folders.
"""

from typing import NamedTuple


class Format(NamedTuple):
    """A format that is read.

    Attributes:
        name: as its makers call it.
        suffixes: of its files, in small letters.
        magics: how a file begins, one of them.
        several_images: a file may hold several; each has outputs of its own, and an index lists them.
    """

    name: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...]
    several_images: bool


TIFF = Format("TIFF", (".tif", ".tiff"), (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"), several_images=False)
LIF = Format("Leica LIF", (".lif",), (b"\x70\0\0\0",), several_images=True)
FORMATS = (TIFF, LIF)

RAW_SUFFIXES = tuple(suffix for known in FORMATS for suffix in known.suffixes)
CONTAINER_SUFFIXES = tuple(suffix for known in FORMATS if known.several_images for suffix in known.suffixes)
"""Suffixes of the formats whose files may hold several images."""

MAX_DEPTH = 64
"""How many folders deep below the one that is named raw files and results are looked for."""

NOT_READ = frozenset(
    {
        ".nd2", ".czi", ".lsm", ".zvi", ".oir", ".oib", ".oif", ".vsi", ".ims", ".lof", ".xlef",
        ".dv", ".stk", ".flex", ".ics", ".sld", ".svs", ".ndpi", ".scn", ".mrxs",
        ".dcm", ".dicom", ".nii", ".nii.gz", ".mrc", ".fits", ".fit", ".fts",
        ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp",
    }
)  # fmt: skip
"""Microscopes, slide scanners, medicine, pictures: a lab whose microscope saves one must hear of it. A .vsi
stands for the .ets files that belong to it."""


def is_raw_name(name: str) -> bool:
    """Return whether a file of this name, without folders, may be a raw image.

    Hidden files, an office program's `~$` copies, files under a temporary name
    (`x.tif.part`) and our own outputs (`x.tif.colvi.json`) are not.
    """
    lower = name.lower()
    return lower.endswith(RAW_SUFFIXES) and not _is_passed_over(lower)


def is_container_name(name: str) -> bool:
    """Return whether a raw file of this name may hold several images, each with outputs of its own."""
    return name.lower().endswith(CONTAINER_SUFFIXES)


def unread_suffix(name: str) -> str:
    """Return the suffix of a file that holds an image in a format that is not read; "" for any other.

    What is told is always one of `NOT_READ`, never what a file is called. What is passed over among raw files
    is passed over here, too.
    """
    lower = name.lower()
    suffix = ".nii.gz" if lower.endswith(".nii.gz") else lower[lower.rfind(".") :]
    return "" if suffix not in NOT_READ or _is_passed_over(lower) else suffix


def unread_words(suffix: str, count: int) -> str:
    """Return what is said of files of one suffix: `3 .nd2 files are not read here; export them as TIFF`."""
    if count == 1:
        return f"1 {suffix} file is not read here; export it as TIFF"
    return f"{count} {suffix} files are not read here; export them as TIFF"


def _is_passed_over(lower: str) -> bool:
    """Return whether a file of this name, in small letters, is hidden, an office program's, or ours."""
    return lower.startswith((".", "~$")) or ".colvi." in lower
