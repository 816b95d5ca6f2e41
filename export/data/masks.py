"""Images with masks: a folder with masks/, or a table of path, mask and subject.

    nuclei/images/*.tif     nuclei/training/images/*.tif      path,mask,subject
    nuclei/masks/*.tif      nuclei/training/masks/*.tif       day1/a.tif,drawn/a.tif,C01
                            nuclei/test/...                   day1/b.tif,drawn/b.tif,P07

A mask is called as its image, but for the ending .tif. An image may lie in any folder beside masks/.

A mask of 8 bits holds each pixel's class, counted from 0, the background; 255 is not annotated, which is
neither learnt from nor counted. One of 16 or 32 bits holds the number of each pixel's object, 0 for none: all
objects are of one class. As for other datasets, what would leak is refused (`dataset`).
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition.model import Acquisition, Limits
from colvi_edge.acquisition.tiff.gate import inspect
from colvi_edge.acquisition.tiff.strict import GatedTiff, strictly
from colvi_edge.acquisition.wanted import ASSAY, Wanted
from colvi_edge.bundle.task import MOST_CLASSES
from colvi_edge.errors import AcquisitionError, UsageError
from colvi_edge.patches import SMALLEST_PATCH_PX, project
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.sizing import Size
from colvi_edge.printable import counted, unambiguous_name

from .dataset import SPLITS, Entry, Image, is_file, read_images, refuse_leaks, rows_of

MASKS = "masks"
NOT_ANNOTATED = 255

UNLABELLED = ("",)
"""The one class of images that have a mask and no label."""

_MOST_BYTES = 2**28


@dataclass(frozen=True)
class MaskedEntry(Entry):
    """A raw file with its mask.

    Attributes:
        mask: file of the mask.
    """

    mask: Path = Path()


@dataclass(frozen=True)
class Masked:
    """An image with its mask.

    Attributes:
        image: what is known about it.
        planes: (Z, C, H, W) of the file's dtype.
        target: (H, W) uint8, class of each pixel, NOT_ANNOTATED where nobody said.
        objects: (H, W) int32, number of each pixel's object, 0 for none; None of a mask of classes.
    """

    image: Image
    planes: NDArray[Any]
    target: NDArray[np.uint8]
    objects: NDArray[np.int32] | None

    @property
    def counts(self) -> NDArray[Any]:
        """(C, H, W) the projection's own values, int64 or float64."""
        return project(self.planes)


def has_masks(where: Path) -> bool:
    """Return whether a dataset is one of images with masks."""
    if where.is_dir():
        return any((where / split / MASKS).is_dir() for split in ("", *SPLITS))
    return "mask" in _head(where)


def read_masked(where: Path) -> list[MaskedEntry]:
    """Return what a dataset of images with masks names, in order; nothing is opened.

    Raises:
        UsageError: an image has no mask, or a mask no image; or it would leak.
    """
    if where.is_dir():
        splits = [split for split in SPLITS if (where / split / MASKS).is_dir()] or [""]
        if splits != [""] and (where / MASKS).is_dir():
            raise UsageError(
                f"{where} holds {MASKS}/ and {splits[0]}/{MASKS}/, and one would be passed over; keep one"
            )
        entries = [entry for split in splits for entry in _beside_masks(where, split)]
    else:
        entries = [
            _entry(where, line, row) for line, row in rows_of(where, ("path", "mask"), ("subject", "split"))
        ]
    refuse_leaks(entries)
    return entries


def read_masks(
    entries: Sequence[MaskedEntry],
    layout: Sequence[str],
    channels: Sequence[str] | None = None,
    left_out: Callable[[str, str], None] = lambda name, why: None,
    read: Callable[[], None] = lambda: None,
    wanted: Sequence[Wanted] = ASSAY,
    size_of: Callable[[Acquisition], Size | None] = lambda _: None,
) -> Iterator[Masked]:
    """Yield every image of a dataset with its mask; the arguments are those of `dataset.read_images`.

    Raises:
        UsageError: the same picture comes twice, or masks are of two kinds.
    """
    by_name = {entry.name: entry for entry in entries}
    kinds: dict[bool, str] = {}
    for image, planes in read_images(
        entries, layout, SMALLEST_PATCH_PX, channels, left_out, read, UNLABELLED, wanted, size_of
    ):
        entry = by_name.get(image.name)
        if entry is None:
            left_out(
                image.name,
                "it is one of several in its file, and a mask is called as a file; save each as one",
            )
            continue
        try:
            mask = _read_mask(entry.mask, planes.shape[2:])
        except AcquisitionError as error:
            left_out(image.name, f"its mask {error}")
            continue
        kinds.setdefault(mask.dtype == np.uint8, image.name)
        if len(kinds) > 1:
            raise UsageError(
                f"the mask of {kinds[True]} holds classes in 8 bits and that of {kinds[False]} objects in "
                "more; save all as one kind"
            )
        yield _masked(image, planes, mask)


def classes_in(masked: Iterable[Masked]) -> int:
    """Return how many classes masks tell, the background counted: at least two.

    Raises:
        UsageError: they tell more than a bundle may have.
    """
    most = 1
    for one in masked:
        largest = int(np.max(one.target, where=one.target != NOT_ANNOTATED, initial=0))
        if largest >= MOST_CLASSES:
            raise UsageError(
                f"the mask of {one.image.name} has a class {largest}, expected 0 to {MOST_CLASSES - 1}; save "
                "the numbers of objects in 16 bits"
            )
        most = max(most, largest)
    return most + 1


def _masked(image: Image, planes: NDArray[Any], mask: NDArray[Any]) -> Masked:
    if mask.dtype == np.uint8:
        return Masked(image, planes, mask, None)
    return Masked(image, planes, (mask > 0).astype(np.uint8), mask.astype(np.int32))


def _read_mask(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    """Return a mask of uint8, uint16 or uint32.

    Raises:
        AcquisitionError: it is none that fits an image of that shape; reads on behind "its mask ".
    """
    try:
        if (found := path.stat().st_size) > _MOST_BYTES:
            raise AcquisitionError(f"has {found} bytes, expected at most {_MOST_BYTES}; compress it")
        data = path.read_bytes()
    except OSError as error:
        raise AcquisitionError(f"cannot be read: {error.strerror}") from error
    try:
        first, *more = inspect(data, Limits())
    except AcquisitionError as error:
        raise AcquisitionError(f"is no TIFF that is read here: {error}") from error
    size = first.height_px, first.width_px
    if more or first.samples != 1 or size != tuple(shape) or first.dtype not in ("u1", "u2", "u4"):
        raise AcquisitionError(
            f"has {counted(1 + len(more), 'page')} of {size[1]} x {size[0]} pixels, {first.samples} x "
            f"{first.dtype}; expected one of {shape[1]} x {shape[0]}, uint8 for classes or uint16 for objects"
        )
    try:
        with strictly(), GatedTiff(io.BytesIO(data)) as file:
            mask = np.asarray(file.pages.first.asarray())
    except AcquisitionError as error:
        raise AcquisitionError(f"cannot be read: {error}") from error
    if mask.dtype == np.uint8 and set(np.unique(mask)) == {0, NOT_ANNOTATED}:
        raise AcquisitionError(
            f"holds 0 and {NOT_ANNOTATED} alone, and {NOT_ANNOTATED} is what nobody annotated; save the "
            "class as 1"
        )
    if mask.dtype == np.uint32 and mask.max(initial=0) >= 2**31:
        raise AcquisitionError("has numbers of 2^31 and more; number the objects from 1")
    return mask


def _beside_masks(where: Path, split: str) -> Iterator[MaskedEntry]:
    here = where / split
    masks = {path.stem: path for path in sorted((here / MASKS).iterdir()) if path.suffix.lower() in _ENDINGS}
    others = [path for path in sorted(here.iterdir()) if path.is_dir() and path.name != MASKS]
    try:
        raws = [file.raw for file in find_inputs(others)] if others else []
    except UsageError as error:
        raise UsageError(f"{here}: {error}") from error
    stems = {raw.stem: raw for raw in raws}
    for raw in raws:
        if stems[raw.stem] != raw:
            raise UsageError(
                f"{raw} and {stems[raw.stem]} are called alike, and would have one mask; give each a name of "
                "its own"
            )
    if lone := sorted({*masks} ^ {*stems}):
        what = "an image has no mask" if lone[0] in stems else "a mask has no image"
        raise UsageError(
            f"{here}: found {len(stems)} images and {len(masks)} masks, and {what}: "
            f"{unambiguous_name(lone[0])}; expected {MASKS}/NAME.tif for each image NAME in another folder"
        )
    for raw in raws:
        yield MaskedEntry(
            raw, unambiguous_name(str(raw.relative_to(where))), "", split=split, mask=masks[raw.stem]
        )


_ENDINGS = (".tif", ".tiff")


def _entry(table: Path, line: int, row: dict[str, str]) -> MaskedEntry:
    here = f"{table}, line {line}"
    path, mask = table.parent / row["path"], table.parent / row["mask"]
    for column, file in (("path", path), ("mask", mask)):
        if not row[column] or not is_file(file):
            raise UsageError(
                f"{here}: {unambiguous_name(row[column])} is no file; paths start from the table's folder"
            )
    return MaskedEntry(path, unambiguous_name(row["path"]), "", row["subject"], row["split"], mask=mask)


def _head(table: Path) -> list[str]:
    """Return the columns of a table; none if it is none."""
    try:
        with table.open(encoding="utf-8-sig") as file:
            line = file.readline(4096)
    except (OSError, UnicodeDecodeError):
        return []
    for mark in ";\t":
        line = line.replace(mark, ",")
    return [word.strip().strip('"').lower() for word in line.split(",")]
