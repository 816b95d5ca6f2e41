"""How the files beside a raw file are called, and how to tell that a file is one of them.

X.tif has X.tif.colvi.json, X.tif.colvi.png and so on; X.lif, which holds several images, has one
set for each of them: X.lif.0003-Series004.colvi.json, ... Pictures that explain a network are named
alike, but are no part of a result.
"""

import hashlib
import os
import re
from enum import Enum

from colvi_edge.printable import portable_name
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
_SUFFIXES = tuple(kind.value for kind in OutputKind)
_STEM_MAX_BYTES = NAME_MAX_BYTES - max(map(len, _SUFFIXES))


def output_name(raw_name: str, kind: OutputKind, image_key: str = "") -> str:
    """Return the name of an output, without folders, never longer than 255 bytes.

    All outputs of one image share what stands before the suffix: either the raw name as it
    is, or, where that is too long for one of them, its beginning and a hash of the whole.

    Args:
        raw_name: name of the raw file without folders, as `os.fsdecode` gives it.
        kind: which file.
        image_key: which image of a file that holds several; else "". Characters that a file
            system or its log could trip over become "_".
    """
    return _stem(raw_name, image_key, _STEM_MAX_BYTES) + kind.value


def explanation_name(raw_name: str, subject: str, image_key: str = "") -> str:
    """Return the name of a picture that `colvi-edge explain` leaves beside a raw file, 255 bytes at most.

    It is no `OutputKind`: it explains a checkpoint, is no part of a result, and stays when that changes.

    Args:
        raw_name: as for `output_name`.
        subject: "saliency", or "patch-RR-CC" by row and column.
        image_key: as for `output_name`.
    """
    suffix = f".colvi.{subject}.png"
    return _stem(raw_name, image_key, NAME_MAX_BYTES - len(suffix)) + suffix


def is_output_name(name: str) -> bool:
    """Return whether a file of this name was written by colvi-edge, finished or not."""
    is_explanation = _EXPLANATION.search(name) is not None
    return is_explanation or name.endswith(_SUFFIXES) or is_temporary_name(name)


def image_label(raw_name: str, image_key: str) -> str:
    """Return how people and tables call one image: the file's name, and its key if it has one."""
    return f"{raw_name}.{image_key}" if image_key else raw_name


def kind_of_name(name: str) -> str:
    """Return how an output is called where its name may not be told, such as "*.colvi.json"."""
    return f"*{next((kind.value for kind in OutputKind if name.endswith(kind.value)), '')}"


def record_name(raw_name: str, status: str, image_key: str = "") -> str:
    """Return the name of the record that tells of an image: its sidecar, or its error record."""
    return output_name(raw_name, OutputKind.ERROR if status == "error" else OutputKind.SIDECAR, image_key)


def record_label(record: str, raw_name: str, image_key: str) -> str:
    """Return how lists call the image that a record is about: as `image_label`, but unique in its folder.

    No two files of a folder have one name, so the record's own counts. Only where that had to be cut is it
    taken from what the record holds, if that leads to this very file.

    Args:
        record: name of the sidecar or error record, without folders.
        raw_name: of the raw file, as the record has it: printable, and so not always its real name.
        image_key: as the record has it.
    """
    kind = next(kind for kind in (OutputKind.SIDECAR, OutputKind.ERROR) if record.endswith(kind.value))
    if "/" not in raw_name and record == output_name(raw_name, kind, image_key):
        return image_label(raw_name, _safe_key(image_key))
    return record.removesuffix(kind.value)


def series_name(raw_name: str, image_key: str) -> str:
    """Return how Bio-Formats, and with it OMERO and Fiji, call one image: `X.tif`, `X.lif [Series004]`.

    An image that lies in a folder of its container has that folder's name too there, and not in its key.
    """
    return f"{raw_name} [{image_key.partition('-')[2]}]" if image_key else raw_name


def _stem(raw_name: str, image_key: str, max_bytes: int) -> str:
    stem = image_label(raw_name, _safe_key(image_key))
    if len(os.fsencode(stem)) > max_bytes:
        mark = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
        while len(os.fsencode(stem)) > max_bytes - len(mark):
            stem = stem[:-1]  # by characters: half a character is not valid UTF-8
        stem += mark
    return stem


def _safe_key(key: str) -> str:
    safe = portable_name(key)
    undotted = safe.lstrip(".")
    return "_" * (len(safe) - len(undotted)) + undotted
