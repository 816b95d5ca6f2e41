"""What the ledger knows of one file and bundle, and of the results of one model: the rows of its tables."""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.model import UNKNOWN, Model, Slot
from colvi_edge.watch.ipc.typed import WrongTypeError, made
from colvi_edge.watch.ledger.bounds import unpacked

FileState = Literal["pending", "done", "failed", "quarantined"]
"""pending: begun, without a final answer. done: has its sidecar. failed: has an error record. quarantined:
ended the worker too often; not read any more until it changes or the operator says `colvi-edge retry`."""

Wanted = Literal["", "stale", "all"]
"""Whether a file is to be judged though a result of it stands: the values of `Replace` that say so."""


@dataclass(frozen=True)
class Entry:
    """What is known of one file, by one bundle; the attributes are the columns of the table."""

    path: str
    slot: Slot
    signature: Signature
    state: FileState
    attempts: int
    recheck_s: float | None
    kind: str
    words: str
    sha256: str
    revision: int
    at: str
    model: str
    files: int
    wanted: Wanted


COLUMNS = ", ".join(column.name for column in fields(Entry))
"""Of a query whose rows are entries."""


@dataclass(frozen=True)
class ModelResults:
    """How many results are of one model."""

    model: Model
    results: int


def entry_of(row: tuple[Any, ...]) -> Entry | None:
    """Return the entry of a row of `COLUMNS`; None if no row like it was ever written."""
    path, slot, packed, *rest = row
    signature = unpacked(packed)
    if signature is None or not isinstance(path, bytes):
        return None
    names = [column.name for column in fields(Entry)]
    values = dict(zip(names, (os.fsdecode(path), slot, asdict(signature), *rest), strict=True))
    try:
        return made(Entry, values)
    except WrongTypeError:
        return None


def sound_entry_of(row: tuple[Any, ...]) -> Entry | None:
    """Return the same of a row that was found sound; of 10^5 in 0.6 s instead of 3.8 s."""
    path, slot, packed, *rest = row
    signature = unpacked(packed)
    return Entry(os.fsdecode(path), slot, signature, *rest) if signature else None


def model_results_of(sha256: object, name: object, version: object, results: int) -> ModelResults:
    """Return how many results are of a model; what nobody can have written of its name is not known."""
    for named in (
        {"name": name, "version": version, "sha256": sha256},
        {**asdict(UNKNOWN), "sha256": sha256},
    ):
        with suppress(WrongTypeError):
            return ModelResults(made(Model, named), results)
    return ModelResults(UNKNOWN, results)
