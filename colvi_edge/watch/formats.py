"""Image formats that are not read here, known by suffix: a lab whose microscope saves one must hear of it.

The suffix that is told is always one of these, never what a file is called.
"""

NOT_READ = frozenset(
    {
        ".nd2", ".czi", ".lsm", ".zvi", ".oir", ".oib", ".oif", ".vsi", ".ims", ".lof", ".xlef",
        ".dv", ".stk", ".flex", ".ics", ".sld", ".svs", ".ndpi", ".scn", ".mrxs",
        ".dcm", ".dicom", ".nii", ".nii.gz", ".mrc", ".fits", ".fit", ".fts",
        ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp",
    }
)  # fmt: skip
"""Microscopes, slide scanners, medicine, pictures. What is taken for a raw file is told apart before; a .vsi
stands for the .ets files that belong to it."""


def unread_suffix(name: str) -> str:
    """Return the suffix of a file that holds an image in a format that is not read; "" for any other.

    Hidden files, an office program's `~$` copies and our own outputs are passed over, as among raw files.
    """
    lower = name.lower()
    suffix = ".nii.gz" if lower.endswith(".nii.gz") else lower[lower.rfind(".") :]
    if suffix not in NOT_READ or lower.startswith((".", "~$")) or ".colvi." in lower:
        return ""
    return suffix


def unread_words(suffix: str, count: int) -> str:
    """Return what is said of files of one suffix: `3 .nd2 files are not read here; export them as TIFF`."""
    if count == 1:
        return f"1 {suffix} file is not read here; export it as TIFF"
    return f"{count} {suffix} files are not read here; export them as TIFF"
