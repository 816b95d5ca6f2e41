"""`colvi-edge evaluate`: a model on labelled images that it has not learnt from."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import UsageError
from colvi_edge.outputs.folder import write_file
from colvi_edge.simulate import is_simulated
from colvi_edge.terminal import progress, wide_console

from .dataset import Entry, Image, read_dataset, read_images
from .evaluation import Judged, evaluate, evaluation_record
from .evaluation.page import render
from .evaluation.record import Dataset, to_json
from .evaluation.table import as_table
from .judging import Judge, open_judge


def evaluate_model(
    model: str,
    dataset: Path,
    *,
    engine: EngineName,
    precision: PrecisionChoice,
    channels: Sequence[str] | None,
    as_json: bool,
    html: Path | None,
) -> int:
    """Evaluate a model; see `colvi-edge evaluate --help` for the arguments.

    Returns:
        The exit code: 1 where a file could not be read, else 0.

    Raises:
        ColviEdgeError: the model or the dataset cannot be used.
    """
    said: list[str] = []
    entries = read_dataset(dataset)
    with open_judge(model, engine, precision) as judge:
        judged, images, seen = _judge(judge, entries, channels, said)
    if seen:
        said.append(
            f"{seen} of {seen + len(images)} images were not judged: the model has learnt from them, or from "
            "others of their subjects."
        )
    record = evaluation_record(
        evaluate(judged, [image.name for image in images]), judge.model, facts(dataset, entries), said
    )
    if html:
        write_file(html, render(record).encode())
    if as_json:
        sys.stdout.write(to_json(record).decode() + "\n")
    else:
        wide_console().print(as_table(record))
        wide_console().print(RESEARCH_USE_ONLY, style="dim")
    for sentence in said:
        Console(stderr=True).print(sentence, markup=False, soft_wrap=True)
    return int(len(said) > bool(seen))


def facts(dataset: Path, entries: Sequence[Entry]) -> Dataset:
    """Return what the record of a dataset tells of it."""
    subjects = {entry.subject for entry in entries}
    return Dataset(
        name=dataset.name,
        is_simulated=all(is_simulated(entry.path) for entry in entries),
        subjects=None if "" in subjects else len(subjects),
    )


def _judge(
    judge: Judge, entries: Sequence[Entry], channels: Sequence[str] | None, said: list[str]
) -> tuple[Judged, list[Image], int]:
    """Return what was said of the images that may be judged, those images, and how many may not."""
    seen = frozenset(judge.seen)
    found: list[tuple[Image, NDArray[np.float32]]] = []
    known: set[str] = set()
    total = 0
    with progress("Judging", len(entries)) as advance:
        for image, planes in read_images(entries, judge.layout, channels, said.append, advance):
            total += 1
            if image.digest in seen:
                known.add(image.group)
            elif image.group not in known:
                found.append((image, judge.probabilities(planes)))
    found = [(image, probabilities) for image, probabilities in found if image.group not in known]
    if not found:
        raise UsageError(
            "; ".join(said)
            or "the model has learnt from every image of the dataset, or from others of their subjects; "
            "evaluate it on images that it has not seen"
        )
    judged = Judged.by_image(
        [probabilities for _, probabilities in found], [image.label for image, _ in found]
    )
    return judged, [image for image, _ in found], total - len(found)
