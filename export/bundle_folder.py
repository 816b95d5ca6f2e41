"""Puts a bundle's folder in its place: whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from colvi_edge.bundle import SUMS
from colvi_edge.errors import OutputError, UsageError


def refuse_foreign(path: Path) -> None:
    """Raise UsageError if something that is no bundle stands at `path`."""
    if path.exists() and not (path / SUMS).is_file():
        raise UsageError(f"{path} exists and is no bundle; name another folder for the bundle")


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


def worst_of(path: Path, precision: str) -> Path:
    """Return where the patches are kept that a precision of a bundle judges worst: beside it."""
    return path.with_name(f"{path.stem}.worst-{precision}.tif")


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
