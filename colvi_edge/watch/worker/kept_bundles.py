"""The copies of bundles in the state folder, so that workers do not depend on what becomes of the original.

A copy stands under its name only when it is whole on the disk. One that was torn all the same is made again,
and what cannot be kept is no reason not to judge.
"""

import os
from pathlib import Path
from typing import NamedTuple

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.errors import BundleError
from colvi_edge.system.whole_folder import remove_all, write_folder

_KEPT = 3
_NAME_LENGTH = 16  # hex digits of the bundle's hash
_HIDDEN = "."


class KeptBundle(NamedTuple):
    """A bundle, opened.

    Attributes:
        bundle: the copy; the original where there is none.
        not_kept: why there is no copy, in words; "" if there is one, or none was asked for.
    """

    bundle: Bundle
    not_kept: str


def kept_bundle(where: str, keep: Path | None) -> KeptBundle:
    """Return a bundle, opened; from a copy that is made of it in the folder `keep`, if that is named.

    Raises:
        BundleError: the bundle at `where` is none.
    """
    bundle = open_bundle(where)
    if not keep:
        return KeptBundle(bundle, "")
    folder = keep
    try:
        folder.mkdir(0o750, parents=True, exist_ok=True)
        for draft in folder.glob(f"{_HIDDEN}*"):  # of a worker that was killed
            remove_all(draft)
        copy = _whole(folder, bundle) or _copied(folder, bundle)
        os.utime(copy.path)
        _drop_oldest(folder, but=copy.path)
    except BundleError as error:
        why = f"a copy in {keep} was damaged as soon as it was written ({error}); check that disk"
    except OSError as error:
        why = f"a copy cannot be kept in {keep}: {error.strerror}; make room there or check its permissions"
    else:
        return KeptBundle(copy, "")
    return KeptBundle(bundle, why)


def _path_of_copy(folder: Path, bundle: Bundle) -> Path:
    return folder / bundle.sha256[:_NAME_LENGTH]


def _whole(folder: Path, bundle: Bundle) -> Bundle | None:
    """Return the copy that is there; None if there is none that is whole, which is removed."""
    path = _path_of_copy(folder, bundle)
    try:
        if not path.is_symlink() and (copy := open_bundle(path)).sha256 == bundle.sha256:
            return copy
    except (BundleError, OSError):
        pass
    remove_all(path)
    return None


def _copied(folder: Path, bundle: Bundle) -> Bundle:
    path = _path_of_copy(folder, bundle)
    write_folder(path, ((file.name, file.read_bytes()) for file in bundle.path.iterdir()), 0o750)
    return open_bundle(path)


def _drop_oldest(folder: Path, but: Path) -> None:
    copies = sorted((path for path in folder.iterdir() if path != but), key=os.path.getmtime)
    for old in copies[: -_KEPT + 1]:
        remove_all(old)
