"""Puts a bundle's folder in its place: whole or not at all, and never over something else."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from colvi_edge.bundle.opening import listed_files
from colvi_edge.errors import BundleError, OutputError, UsageError
from colvi_edge.printable import printable_name


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
    """Write a bundle; it appears whole or not at all, and replaces one of the same path.

    The old one is renamed aside until the new one has its name: interrupted, one of the two stands at
    `path`. Only a kill between the two renames leaves them in hidden folders beside it, both whole.

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
        hidden = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            _write_folder(hidden / "new", contents)
            _exchange(path, hidden / "new", hidden / "old")
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); make room, or name another folder for the bundle"
        ) from error


def worst_of(precision: str) -> str:
    """Return the name of the bundle's file with the patches that a precision judges worst."""
    return f"worst-{precision}.tif"


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o755)
    for name, data in contents.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _exchange(path: Path, new: Path, old: Path) -> None:
    """Put `new` at `path`, what stood there at `old`; a link is moved, its target left alone."""
    try:
        if os.path.lexists(path):
            path.rename(old)
        new.rename(path)
    except BaseException:  # Ctrl-C too must not cost the old bundle
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        raise
