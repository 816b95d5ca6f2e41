"""How the files beside a raw file are called, and how to tell that a file is one of them.

X.tif has X.tif.colvi.json, X.tif.colvi.png and so on; X.lif, which holds several images, has one
set for each of them: X.lif.0003-Series004.colvi.json, ... Where several bundles judge, the first has these
names, and a further one a *slot* of its own: X.tif.nuclei.colvi.json, X.lif.0003-Series004.nuclei.colvi.json,
and X.lif.nuclei.colvi.json, its index. Pictures that explain a network are named alike, but are no part of a
result.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from enum import Enum

from colvi_edge.errors import UsageError
from colvi_edge.printable import portable_name
from colvi_edge.raw_files import CONTAINER_SUFFIXES, RAW_SUFFIXES, is_container_name
from colvi_edge.system.atomic import is_temporary_name

NAME_MAX_BYTES = 255  # of one name, on ext4, XFS, NFS and CIFS alike


class OutputKind(str, Enum):
    """A kind of file beside the raw file; the value is what its name ends in.

    The sidecar stands first: who removes files in this order removes the word "done" first.
    """

    SIDECAR = ".colvi.json"
    OVERLAY = ".colvi.png"
    TABLE = ".colvi.csv"
    GEOJSON = ".colvi.geojson"
    ROIS = ".colvi.rois.zip"
    LABELS = ".colvi.labels.tif"
    OME_TIFF = ".colvi.ome.tif"
    ERROR = ".colvi.error.json"
    PREVIOUS = ".colvi.prev.json"
    """The sidecar of the result before this one; a part of none, so that it stays where others go."""


USUAL_KINDS = (
    OutputKind.SIDECAR,
    OutputKind.OVERLAY,
    OutputKind.TABLE,
    OutputKind.GEOJSON,
    OutputKind.ROIS,
)
"""Files of each result of which an image was judged; where regions were found, their labels come to it, and
an OME-TIFF where it is asked for."""

_EXPLANATION = re.compile(r"\.colvi\.(saliency|patch-\d{2,}-\d{2,})\.png\Z", re.ASCII)
_OF_AN_IMAGE = re.compile(
    rf"({'|'.join(map(re.escape, CONTAINER_SUFFIXES))})\.\d{{4,}}-", re.ASCII | re.IGNORECASE
)
_SUFFIXES = tuple(kind.value for kind in OutputKind)
_STEM_MAX_BYTES = NAME_MAX_BYTES - max(map(len, _SUFFIXES))

MAX_SLOT_BYTES = 32
NEVER_CUT = (_STEM_MAX_BYTES - len("~01234567") - len(".") - MAX_SLOT_BYTES) // 4
"""Characters, of at most four bytes, that every output's name begins with as its raw file's does."""

_TAKEN = frozenset(word for end in (*_SUFFIXES, *RAW_SUFFIXES) for word in end.split("."))
"""Words that are no slot: X.tif.tif.colvi.json is of the raw file X.tif.tif."""


def slot_of(bundle_name: str) -> str:
    """Return which slot the results of a further bundle have: part of their files' names, never empty.

    The letters and digits of the bundle's name, a dash for whatever else stands between them, so that it can
    be on any share and in any shell; 32 bytes at most, else its beginning and a hash of it. What would be
    taken for a suffix, or, beginning with a digit, for the key of an image, gets a word before it.
    """
    composed = unicodedata.normalize("NFC", bundle_name)
    words = "".join(c if c.isalnum() or c in "_~" else " " for c in composed).split()
    slot = "-".join(words)
    if slot[:1].isdigit() or slot.casefold() in _TAKEN:
        slot = f"model-{slot}".rstrip("-")
    return _cut(slot, MAX_SLOT_BYTES)


def slots_of(bundle_names: Sequence[str]) -> list[str]:
    """Return the slots of the bundles of one run: "" for the first, whose files have the plain names.

    Raises:
        UsageError: two of them have one slot, or two that a share may not tell apart.
    """
    further: dict[str, str] = {}
    for name in bundle_names[1:]:
        slot = slot_of(name)
        if other := further.get(slot.casefold()):
            raise UsageError(
                f"--bundle: found '{other}' and '{name}', which would both leave X.tif.{slot}.colvi.*; "
                "expected bundles of different names; leave one of them out, or export it under another name"
            )
        further[slot.casefold()] = name
    return ["", *map(slot_of, bundle_names[1:])]


def output_name(raw_name: str, kind: OutputKind, image_key: str = "", slot: str = "") -> str:
    """Return the name of an output, without folders, never longer than 255 bytes.

    All outputs of one image and slot share what stands before the suffix: either the raw name as it
    is, or, where that is too long for one of them, its beginning and a hash of the whole; and the slot.

    Args:
        raw_name: name of the raw file without folders, as `os.fsdecode` gives it.
        kind: which file.
        image_key: which image of a file that holds several; else "". Characters that a file
            system or its log could trip over become "_".
        slot: of the bundle that judged, as `slots_of` gives it.
    """
    return _stem(raw_name, image_key, slot, _STEM_MAX_BYTES) + kind.value


def explanation_name(raw_name: str, subject: str, image_key: str = "") -> str:
    """Return the name of a picture that `colvi-edge explain` leaves beside a raw file, 255 bytes at most.

    It is no `OutputKind`: it explains a checkpoint, is no part of a result, and stays when that changes.

    Args:
        raw_name: as for `output_name`.
        subject: "saliency", or "patch-RR-CC" by row and column.
        image_key: as for `output_name`.
    """
    suffix = f".colvi.{subject}.png"
    return _stem(raw_name, image_key, "", NAME_MAX_BYTES - len(suffix)) + suffix


def is_output_name(name: str) -> bool:
    """Return whether a file of this name was written by colvi-edge, finished or not."""
    is_explanation = _EXPLANATION.search(name) is not None
    return is_explanation or name.endswith(_SUFFIXES) or is_temporary_name(name)


def is_index_name(name: str) -> bool:
    """Return whether a file of this name is the index of a file that holds several images, in any slot.

    A slot is what `slot_of` leaves as it is: the sidecar of X.lif.tif is none. Nor is that of a series which
    is called like a container: its key, which no slot is like, stands behind the container's name.
    """
    stem = name.removesuffix(OutputKind.SIDECAR.value)
    if stem == name or _OF_AN_IMAGE.search(stem):
        return False
    before, _, slot = stem.rpartition(".")
    return is_container_name(stem) or (is_container_name(before) and slot == slot_of(slot))


def image_label(raw_name: str, image_key: str, slot: str = "") -> str:
    """Return how people and tables call one image: the file's name, its key if it has one, and the slot."""
    return ".".join(part for part in (raw_name, image_key, slot) if part)


def kind_of_name(name: str) -> str:
    """Return how an output is called where its name may not be told, such as "*.colvi.json"."""
    return f"*{next((kind.value for kind in OutputKind if name.endswith(kind.value)), '')}"


def record_name(raw_name: str, status: str, image_key: str = "", slot: str = "") -> str:
    """Return the name of the record that tells of an image: its sidecar, or its error record."""
    kind = OutputKind.ERROR if status == "error" else OutputKind.SIDECAR
    return output_name(raw_name, kind, image_key, slot)


def record_label(record: str, raw_name: str, image_key: str, slot: str = "") -> str:
    """Return how lists call the image that a record is about: as `image_label`, but unique in its folder.

    No two files of a folder have one name, so the record's own counts. Only where that had to be cut is it
    taken from what the record holds, if that leads to this very file.

    Args:
        record: name of the sidecar or error record, without folders.
        raw_name: of the raw file, as the record has it: printable, and so not always its real name.
        image_key: as the record has it.
        slot: as the record has it.
    """
    kind = next(kind for kind in (OutputKind.SIDECAR, OutputKind.ERROR) if record.endswith(kind.value))
    if "/" not in raw_name and record == output_name(raw_name, kind, image_key, slot):
        return image_label(raw_name, _safe_key(image_key), slot)
    return record.removesuffix(kind.value)


def series_name(raw_name: str, image_key: str) -> str:
    """Return how Bio-Formats, and with it OMERO and Fiji, call one image: `X.tif`, `X.lif [Series004]`.

    An image that lies in a folder of its container has that folder's name too there, and not in its key.
    """
    return f"{raw_name} [{image_key.partition('-')[2]}]" if image_key else raw_name


def _stem(raw_name: str, image_key: str, slot: str, max_bytes: int) -> str:
    end = f".{slot}" if slot else ""
    return _cut(image_label(raw_name, _safe_key(image_key)), max_bytes - len(os.fsencode(end))) + end


def _cut(name: str, max_bytes: int) -> str:
    """Return a name if it is not too long; else its beginning and a hash of the whole."""
    if len(os.fsencode(name)) > max_bytes:
        mark = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        while len(os.fsencode(name)) > max_bytes - len(mark):
            name = name[:-1]  # by characters: half a character is not valid UTF-8
        name += mark
    return name


def _safe_key(key: str) -> str:
    safe = portable_name(key)
    undotted = safe.lstrip(".")
    return "_" * (len(safe) - len(undotted)) + undotted
