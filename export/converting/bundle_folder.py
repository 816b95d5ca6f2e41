"""Puts a bundle's folder in its place: whole or not at all, and never over something else."""

from collections.abc import Mapping
from pathlib import Path

from colvi_edge.bundle.opening import listed_files
from colvi_edge.errors import BundleError, OutputError, UsageError
from colvi_edge.printable import printable_name
from colvi_edge.system.whole_folder import write_folder


def refuse_foreign(path: Path) -> None:
    """Raise UsageError if something stands at `path` that is no bundle, or holds more than one."""
    if not path.exists():
        return
    try:
        more = sorted({entry.name for entry in path.iterdir()} - listed_files(path))
    except (BundleError, NotADirectoryError):
        raise UsageError(f"{path} exists and is no bundle; name another folder for the bundle") from None
    if more:
        raise UsageError(
            f"{path} holds {printable_name(more[0])}, which is no part of its bundle; move it away, or name "
            "another folder"
        )


def replace_bundle(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a bundle; it replaces one of the same path, whole or not at all; see `write_folder`.

    Args:
        path: the folder, by custom NAME.colvi.
        contents: of every file.

    Raises:
        UsageError: something that is no bundle stands at `path`.
        OutputError: the disk is full, or the folder cannot be written.
    """
    refuse_foreign(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_folder(path, contents.items())
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); make room, or name another folder for the bundle"
        ) from error


def worst_of(precision: str) -> str:
    """Return the name of the bundle's file with the patches that a precision judges worst."""
    return f"worst-{precision}.tif"
