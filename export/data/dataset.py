"""Labelled projections: a folder with control/ and patient/, or a table of path, label and subject.

    cultures/control/*.tif      cultures/training/control/*.tif      path,label,subject
    cultures/patient/*.tif      cultures/training/patient/*.tif      day1/a.tif,control,C01
                                cultures/test/...                    day1/b.tif,patient,P07

Images of one subject look alike, and so do those of one Leica container: they are never divided. What
would let a network be tested on what it has seen is refused: a subject with two labels or in two
splits, and one picture twice, whatever its files are called.
"""

import csv
import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Refused, acquire_opened
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.acquisition.wanted import ASSAY, Asking, Wanted
from colvi_edge.errors import AcquisitionError, UsageError
from colvi_edge.outputs.names import image_label
from colvi_edge.patches import project
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.sizing import Size
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.tasks.classify import CLASSES

SUBJECT = "subject "
"""What the group of an image begins with whose subject is known."""

SPLITS = ("training", "validation", "test")
_TABLE_MAX_BYTES = 2**24


@dataclass(frozen=True)
class Entry:
    """A raw file with what is known about it.

    Attributes:
        path: of the file.
        name: the path as the dataset names it, printable; no two files have one.
        label: the name of its class; "" of an image with a mask.
        subject: whose cells they are; "" if nobody said.
        split: one of SPLITS; "" if the division is not given.
    """

    path: Path
    name: str
    label: str
    subject: str = ""
    split: str = ""

    @property
    def group(self) -> str:
        """What its images share: images of one group are never divided."""
        return f"{SUBJECT}{self.subject}" if self.subject else f"file {self.name}"


@dataclass(frozen=True)
class Image:
    """What is known about a labelled image.

    Attributes:
        name: of its file, and its key if the file holds several.
        label: index into the classes of the dataset.
        group: images of one group are never divided: those of a subject, else of a file.
        split: as of its entry.
        digest: of the projection, see `digest_of`: the same picture in any file has the same.
        pixel_size_um: edge of a pixel; None when the file does not say.
        size: that the network wants its planes brought to; None for their own.
    """

    name: str
    label: int
    group: str
    split: str
    digest: str
    pixel_size_um: float | None
    size: Size | None = None


def read_dataset(where: Path, classes: Sequence[str] = CLASSES) -> list[Entry]:
    """Return what a dataset names, in order; no image is opened.

    Args:
        where: a folder with a sub-folder for each class, searched to any depth, whose images come in turn; or
            one with such folders in sub-folders training, validation and test; or a table with columns path
            (from the table's own folder), label, and if known subject and split.
        classes: what the images are of, in the order of the network's outputs.

    Raises:
        UsageError: it is neither, a class is missing, or it would leak.
    """
    if where.is_dir():
        splits = [split for split in SPLITS if (where / split).is_dir()] or [""]
        beside = [label for label in classes if (where / label).is_dir()]
        if splits != [""] and beside:
            raise UsageError(
                f"{where} holds {beside[0]}/ and {splits[0]}/, and one of them would be passed over; keep "
                "folders of classes, or folders of splits that hold those"
            )
        entries = [entry for split in splits for entry in _in_turn(where, split, classes)]
    elif where.is_file():
        rows = rows_of(where, ("path", "label"), ("subject", "split"))
        entries = [_entry(where, line, row, classes) for line, row in rows]
    else:
        raise UsageError(
            f"{where} is not there; name a folder with {_folders(classes)}, or a table path,label,subject"
        )
    for label in classes:
        if not any(entry.label == label for entry in entries):
            every = "both classes" if len(classes) == 2 else "every class"
            raise UsageError(
                f"{where} holds no {label}; expected images of {every}, in folders {_folders(classes)} or in "
                "a table path,label,subject"
            )
    refuse_leaks(entries)
    return entries


def read_images(
    entries: Iterable[Entry],
    layout: Sequence[str],
    patch_px: int,
    channels: Sequence[str] | None = None,
    left_out: Callable[[str, str], None] = lambda name, why: None,
    read: Callable[[], None] = lambda: None,
    classes: Sequence[str] = CLASSES,
    wanted: Sequence[Wanted] = ASSAY,
    size_of: Callable[[Acquisition], Size | None] = lambda _: None,
) -> Iterator[tuple[Image, NDArray[Any]]]:
    """Yield every image of a dataset with its planes, (Z, C, H, W) of the file's dtype.

    Args:
        entries: of `read_dataset`.
        layout: channels that the network takes.
        patch_px: edge of the network's patches, of which an image must hold one.
        channels: role of each channel of the files, where they do not say it themselves.
        left_out: gets the name of each file, or image of one, that cannot be read as one of the assay, and
            what is wrong with it.
        read: called after each entry.
        classes: as for `read_dataset`.
        wanted: what each image must hold a channel of.
        size_of: to which the network wants an image brought, which is left to who judges; None for its own.

    Raises:
        UsageError: the same picture comes twice.
    """
    seen: dict[str, str] = {}
    for entry in entries:
        try:
            for found in _acquire(entry.path, channels, wanted):
                if isinstance(found, Refused):
                    left_out(entry.name, _why(entry, found.error))
                    continue
                found.check_holds_patch(patch_px)
                planes = found.laid_out(layout)
                image = _known(entry, found, digest_of(planes), classes, size_of(found))
                if found.last_plane_black:
                    left_out(
                        image.name,
                        "its last plane holds nothing but zeros, as after an acquisition that ended early",
                    )
                    continue
                earlier = seen.setdefault(image.digest, image.name)
                if earlier != image.name:
                    raise UsageError(
                        f"{earlier} and {image.name} are the same picture, and one might be tested on what "
                        "was learnt from the other; take one of them away"
                    )
                yield image, planes
        except AcquisitionError as error:
            left_out(entry.name, _why(entry, error))
        read()


def digest_of(planes: NDArray[Any]) -> str:
    """Return 16 digits of the SHA-256 of a projection's pixels, whatever its dtype and number of planes."""
    plain = project(planes).astype("<f8")  # exact: sums of counts have far fewer than 53 bits
    return hashlib.sha256(repr(plain.shape).encode() + plain.tobytes()).hexdigest()[:16]


def _why(entry: Entry, error: AcquisitionError) -> str:
    """Return what is wrong with a file without its name, so that all with one fault can be told together."""
    return str(error).removeprefix(f"{printable_name(entry.path.name)}: ")


def _acquire(
    path: Path, channels: Sequence[str] | None, wanted: Sequence[Wanted]
) -> Iterator[Acquisition | Refused]:
    asking = [Asking(tuple(wanted))]
    return acquire_opened(lambda: os.open(path, OPEN_FLAGS), path.name, channels=channels, asking=asking)


def _known(
    entry: Entry, acquisition: Acquisition, digest: str, classes: Sequence[str], size: Size | None
) -> Image:
    return Image(
        name=image_label(entry.name, acquisition.image_key),
        label=classes.index(entry.label),
        group=entry.group,
        split=entry.split,
        digest=digest,
        pixel_size_um=acquisition.pixel_size_um,
        size=size,
    )


def _folders(classes: Sequence[str]) -> str:
    *others, last = (f"{label}/" for label in classes)
    return f"{', '.join(others)} and {last}"


def _in_turn(where: Path, split: str, classes: Sequence[str]) -> Iterator[Entry]:
    """Yield the files of a folder: first control, first patient, second control, ..."""
    folders = [(where / split / label, label) for label in classes]
    files = [[(raw, label) for raw in _files(folder)] for folder, label in folders]
    for found in zip_longest(*files):
        yield from (
            Entry(raw, unambiguous_name(str(raw.relative_to(where))), label, split=split)
            for raw, label in filter(None, found)
        )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        return [file.raw for file in find_inputs([folder])]
    except UsageError as error:
        raise UsageError(f"{folder}: {error}") from error


def rows_of(table: Path, needed: Sequence[str], known: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table, each with its line; spreadsheets write it with a mark at the start.

    Split and subject are brought to one form: P07 and "p07 " are one person.

    Args:
        table: file of the table, columns separated by commas, semicolons or tabs.
        needed: names of columns that it must have.
        known: names of columns that it may have.

    Raises:
        UsageError: it is no such table.
    """
    if table.stat().st_size > _TABLE_MAX_BYTES:
        raise UsageError(f"{table} is no table of images: it has more than {_TABLE_MAX_BYTES >> 20} MiB")
    try:
        text = table.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.DictReader(
            io.StringIO(text),
            delimiter=next((mark for mark in ";\t" if mark in head), ","),
            strict=True,
            skipinitialspace=True,
        )
        columns = [name.strip().lower() for name in reader.fieldnames or []]
        if not set(needed) <= set(columns) <= {*needed, *known} or len(set(columns)) < len(columns):
            raise UsageError(
                f"{table} has the columns {printable_name(','.join(columns))[:200]}; expected "
                f"{','.join(needed)}, and if known {' and '.join(known)}"
            )
        reader.fieldnames = columns
        for row in reader:
            if not any(row.values()):  # what a spreadsheet leaves below its table
                continue
            yield reader.line_num, _cells(f"{table}, line {reader.line_num}", row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{table} is no table in UTF-8 ({error}); save it as CSV, UTF-8, or name a folder"
        ) from error


def _cells(here: str, row: dict[str | None, Any]) -> dict[str, str]:
    if None in row or None in row.values():
        raise UsageError(f"{here} has not as many cells as the head; quote cells that hold a comma")
    cells = {str(name): cell.strip() for name, cell in row.items()}
    split = cells["split"] = cells.get("split", "").lower()
    if split and split not in SPLITS:
        raise UsageError(f"{here} has the split '{printable_name(split)}'; expected {', '.join(SPLITS)}")
    cells["subject"] = " ".join(cells.get("subject", "").split()).casefold()
    return cells


def _entry(table: Path, line: int, row: dict[str, str], classes: Sequence[str]) -> Entry:
    here = f"{table}, line {line}"
    label = row["label"].casefold()
    known = {name.casefold(): name for name in classes}
    if label not in known:
        expected = f"{', '.join(classes[:-1])} or {classes[-1]}"
        raise UsageError(f"{here} has the label '{printable_name(label)}'; expected {expected}")
    path = table.parent / row["path"]
    if not row["path"] or not is_file(path):
        raise UsageError(
            f"{here}: {printable_name(row['path'])} is no file; paths start from the table's folder"
        )
    return Entry(path, unambiguous_name(row["path"]), known[label], row["subject"], row["split"])


def is_file(path: Path) -> bool:
    """Return whether a file is there."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def refuse_leaks(entries: Sequence[Entry]) -> None:
    """Refuse what would let a network be tested on what it has seen, as far as names tell.

    Raises:
        UsageError: a file stands there twice, a subject has two labels or splits, or some have a split alone.
    """
    by_subject, by_file = defaultdict(list), defaultdict(list)
    for entry in entries:
        by_file[entry.path.resolve()].append(entry)
        if entry.subject:
            by_subject[entry.subject].append(entry)
    for same in by_file.values():
        if len(same) > 1:
            raise UsageError(f"{same[0].name} stands there {len(same)} times; once is enough")
    for subject, same in by_subject.items():
        first = same[0]
        for other in same:
            if (other.label, other.split) != (first.label, first.split):
                one, two = (
                    f"{e.name} ({', '.join(filter(None, (e.label, e.split)))})" for e in (first, other)
                )
                raise UsageError(
                    f"subject {printable_name(subject)} has {one} and {two}: a network would be tested on "
                    "whom it has learnt from; give each subject one label and one split"
                )
    given = [entry for entry in entries if entry.split]
    if given and len(given) < len(entries):
        raise UsageError(
            f"{len(entries) - len(given)} of {len(entries)} files have no split; give all of them one or none"
        )
