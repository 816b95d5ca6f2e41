"""What stands beside a raw file when its turn comes, and whether it may give way.

A result is of the same content if the SHA-256 of the raw file says so. The length, and what else is known
without reading, can tell that it is not. Where nothing can be read, a result is not taken for another's.
"""

import os
from collections.abc import Callable, Iterator

from colvi_edge.choices import Replace
from colvi_edge.errors import ColviEdgeError, OutputError
from colvi_edge.outputs.intact import is_intact, read_result
from colvi_edge.outputs.read_back import standing_record
from colvi_edge.outputs.sidecar import Image, Index, Sidecar
from colvi_edge.pipeline.raw_file import RawFile
from colvi_edge.system.bounded import sha256_of

IsKept = Callable[[Sidecar], bool]
"""Says of a result of the same content whether it is kept, or judged anew."""


class Content:
    """The content of a raw file, which is read at most once, and only where nothing less can tell."""

    def __init__(self, file: RawFile, sha256: str | None = None) -> None:
        """Remember the file, and its hash if somebody has read it."""
        self._file = file
        self._sha256 = sha256

    def is_of(self, image: Image) -> bool:
        """Return whether it is known to be that of a record."""
        return self._may_be(image) and self._hash() == image.sha256

    def may_be_of(self, image: Image) -> bool:
        """Return whether it is not known to be another than that of a record."""
        return self._may_be(image) and self._hash() in ("", image.sha256)

    def _may_be(self, image: Image) -> bool:
        return bool(self._sha256) or self._file.may_be(image)

    def _hash(self) -> str:
        """Return the hash of the whole file; "" if it cannot be read."""
        if self._sha256 is None:
            try:
                with os.fdopen(self._file.open(), "rb") as raw:
                    self._sha256 = sha256_of(raw)
            except (ColviEdgeError, OSError):
                self._sha256 = ""
        return self._sha256


def keeps(replace: Replace, model_sha256: str) -> IsKept:
    """Return what is kept for a choice, where this model judges."""

    def is_kept(sidecar: Sidecar) -> bool:
        is_own = sidecar.model.sha256 == model_sha256
        return is_own if replace is Replace.STALE else not is_own and replace is Replace.OWN

    return is_kept


def kept_result(
    file: RawFile, is_kept: IsKept, *, failed_too: bool, slot: str = "", content: Content | None = None
) -> Sidecar | Index | None:
    """Return the intact result of a raw file if it is of the same content and all of it is kept.

    The file is read only where nothing else speaks against that.

    Args:
        file: the raw file.
        is_kept: asked of each of its images' sidecars.
        failed_too: an index that tells of failed images counts as well.
        slot: of the bundle whose result is meant.
        content: of the raw file, where it is asked of several times.
    """
    try:
        with file.results() as folder_fd:
            result = read_result(folder_fd, file.name, slot)
            if result is None or not _all_kept(folder_fd, file.name, result, is_kept, failed_too):
                return None
            if not is_intact(folder_fd, file.name, result):
                return None
    except ColviEdgeError:
        return None  # what stands in the way will be met, and told, on the usual way
    return result if (content or Content(file)).is_of(result.image) else None


def _all_kept(
    folder_fd: int, raw_name: str, result: Sidecar | Index, is_kept: IsKept, failed_too: bool
) -> bool:
    if isinstance(result, Sidecar):
        return is_kept(result)
    if result.status == "error" or not (
        failed_too or all(entry.status != "error" for entry in result.images)
    ):
        return False
    keys = (entry.key for entry in result.images if entry.status != "error")
    found = (standing_record(Sidecar, folder_fd, raw_name, key, result.slot or "") for key in keys)
    return all(sidecar is not None and is_kept(sidecar) for sidecar in found)


def sidecars(file: RawFile, index: Index) -> Iterator[Sidecar]:
    """Yield the sidecars of the images that an index lists, but for the failed ones.

    Raises:
        OutputError: one of them went away meanwhile.
    """
    for entry in index.images:
        if entry.status != "error":
            with file.results() as folder_fd:
                sidecar = standing_record(Sidecar, folder_fd, file.name, entry.key, index.slot or "")
            if sidecar is None:
                raise OutputError(
                    f"the result of {entry.key} went away; diagnose it again", subject=file.name
                )
            yield sidecar


def kept_image(file: RawFile, key: str, raw_sha256: str, is_kept: IsKept, slot: str = "") -> Sidecar | None:
    """Return the intact result of one image of a file that was read, if it is of this content and kept."""
    try:
        with file.results() as folder_fd:
            sidecar = standing_record(Sidecar, folder_fd, file.name, key, slot)
            if sidecar is None or sidecar.image.sha256 != raw_sha256 or not is_kept(sidecar):
                return None
            return sidecar if is_intact(folder_fd, file.name, sidecar) else None
    except ColviEdgeError:
        return None


def stands(
    folder_fd: int, raw_name: str, key: str, content: Content, slot: str = ""
) -> Sidecar | Index | None:
    """Return the result that an error must not touch: ok or rejected, and not known to be of other content.

    It counts also where one of its files is missing: what was found out is in its record.
    """
    if key:
        result: Sidecar | Index | None = standing_record(Sidecar, folder_fd, raw_name, key, slot)
    else:
        result = read_result(folder_fd, raw_name, slot)
    if result is None or result.status == "error" or not content.may_be_of(result.image):
        return None
    return result
